# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# hosts.sh - for tests with several lab hosts, after lib.sh: a folder of their
# own, what is asked of them, and their end. A test names its hosts in HOSTS.

here=$(dirname "$(readlink -f "$0")")
lab=$LAB_TREE/tools/lab
VMCRYPT_LAB=$(mktemp -d "$LAB_BUILD/selftest-${here##*/}.XXXXXX")
export VMCRYPT_LAB
out=$VMCRYPT_LAB/out
HOSTS=()

clean_up()
{
	local host

	for host in "${HOSTS[@]}"; do
		"$lab" down "$host" --hard >/dev/null 2>&1
	done
	rm -rf "$VMCRYPT_LAB"
}
at_exit clean_up

# on HOST COMMAND...
on()
{
	local host=$1

	shift
	"$lab" exec "$host" --timeout 180 -- "$@"
}

# check WHAT PATTERN STATUS COMMAND...: it ends with STATUS (a glob), and says PATTERN ('': whatever)
check()
{
	local what=$1 pattern=$2 want=$3 got

	shift 3
	"$@" >"$out" 2>&1
	got=$?
	# shellcheck disable=SC2053
	if [[ $got == $want ]] && { [ -z "$pattern" ] || grep -q -e "$pattern" "$out"; }; then
		ok "$what"
	else
		not_ok "$what"
		diag "status $got, wanted $want and '$pattern'"
		diag "$(tail -n 20 "$out")"
	fi
}

# said WHAT PATTERN: the command before this one said that, too
said()
{
	if grep -q -e "$2" "$out"; then ok "$1"; else not_ok "$1"; diag "$(tail -n 20 "$out")"; fi
}

same()
{
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1"; diag "'$2' is not '$3'"; fi
}
