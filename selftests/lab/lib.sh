# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# lib.sh - for tests of tools/lab itself: "$lab" drives hosts of this test's own,
# and what the last command said is in "$out".

# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
lab=$LAB_TREE/tools/lab
VMCRYPT_LAB=$(mktemp -d "$LAB_BUILD/selftest-lab.XXXXXX")
export VMCRYPT_LAB
out=$VMCRYPT_LAB/out
clean_up()
{
	"$lab" down h --hard >/dev/null 2>&1
	rm -rf "$VMCRYPT_LAB"
}
at_exit clean_up

# status WHAT WANTED COMMAND...: ends with that status
status()
{
	local what=$1 want=$2 got
	shift 2
	"$@" >"$out" 2>&1
	got=$?
	if [ "$got" = "$want" ]; then
		ok "$what"
	else
		not_ok "$what"
		diag "status $got, wanted $want"
		diag "$(tail -n 40 "$out")"
	fi
}

says()
{
	if grep -q -e "$2" "$out"; then
		ok "$1"
	else
		not_ok "$1"
		diag "$(tail -n 40 "$out")"
	fi
}
