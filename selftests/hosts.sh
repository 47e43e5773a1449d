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
	"$lab" exec "$host" --timeout 600 -- "$@"
}

# says PATTERN STATUS COMMAND...: it ends with STATUS (a glob), and says PATTERN ('': whatever)
says()
{
	local pattern=$1 want=$2

	shift 2
	"$@" >"$out" 2>&1
	SAID=$?
	# shellcheck disable=SC2053
	[[ $SAID == $want ]] && { [ -z "$pattern" ] || grep -q -e "$pattern" "$out"; }
}

# verdict STATUS WHAT PATTERN WANTED
verdict()
{
	if [ "$1" = 0 ]; then
		ok "$2"
	else
		not_ok "$2"
		diag "status $SAID, wanted $4 and '$3'"
		diag "$(tail -n 20 "$out")"
	fi
}

# check WHAT PATTERN STATUS COMMAND...: at once
check()
{
	says "${@:2}"
	verdict $? "${@:1:3}"
}

# becomes WHAT PATTERN STATUS COMMAND...: soon, for COMMAND has deadlines of its own, which a busy machine misses
becomes()
{
	wait_for 20 says "${@:2}"
	verdict $? "${@:1:3}"
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
