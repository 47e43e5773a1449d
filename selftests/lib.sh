# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# lib.sh - for test scripts: the Test Anything Protocol, and waiting.
#
#	. "$LAB_TREE/selftests/lib.sh"
#	plan
#	if modprobe vmcrypt; then ok "the module loads"; else not_ok "the module loads"; fi
#	done_testing
#
# A script that ends before done_testing has failed.

TAP_COUNT=0
TAP_FAILED=0
TAP_PLAN=
TAP_DONE=
TAP_AT_EXIT=()

# plan [N]: begin; with N, so many results must come.
plan()
{
	TAP_PLAN=${1:-}
	trap tap_exit EXIT
	[ -z "$TAP_PLAN" ] || echo "1..$TAP_PLAN"
}

# tap_line RESULT TEXT: "#" would begin a directive.
tap_line()
{
	TAP_COUNT=$((TAP_COUNT + 1))
	printf '%s %d - %s%s\n' "$1" "$TAP_COUNT" "${2//#/}" "${3:-}"
}

ok()
{
	tap_line ok "$1"
}

not_ok()
{
	TAP_FAILED=$((TAP_FAILED + 1))
	tap_line 'not ok' "$1"
}

# skip WHAT WHY: a test that cannot be made here.
skip()
{
	tap_line ok "$1" " # SKIP ${2:?skip: say why}"
}

# skip_all WHY: none of the tests can be made here.
skip_all()
{
	echo "1..0 # SKIP ${1:?skip_all: say why}"
	TAP_DONE=1
	exit 0
}

# diag TEXT: for who reads the log.
diag()
{
	printf '%s\n' "$*" | sed 's/^/# /'
}

# bail WHY: nothing that follows makes sense.
bail()
{
	echo "Bail out! $*"
	TAP_DONE=1
	exit 1
}

# done_testing: end; the status tells whether all went well.
done_testing()
{
	TAP_DONE=1
	if [ -z "$TAP_PLAN" ]; then
		echo "1..$TAP_COUNT"
	elif [ "$TAP_PLAN" != "$TAP_COUNT" ]; then
		diag "planned $TAP_PLAN tests, ran $TAP_COUNT"
		exit 1
	fi
	[ "$TAP_FAILED" = 0 ] && exit 0
	diag "$TAP_FAILED of $TAP_COUNT failed"
	exit 1
}

# at_exit COMMAND...: however the script ends; the last one given runs first.
at_exit()
{
	TAP_AT_EXIT=("$(printf '%q ' "$@")" "${TAP_AT_EXIT[@]}")
}

tap_exit()
{
	local status=$? command

	for command in "${TAP_AT_EXIT[@]}"; do
		eval "$command"
	done
	if [ -z "$TAP_DONE" ]; then
		not_ok "the script ran to its end (it ended with status $status)"
		exit 1
	fi
	exit "$status"
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds; 1 when it does not in
# five times as long: SECONDS are those of an idle machine, and an emulated host
# may have a part of one only.  COMMAND is tried ten times a second: where
# something can be waited for in earnest (a fifo, inotifywait, busctl wait), do
# that.
wait_for()
{
	local until tick now
	read -r now _ </proc/uptime
	until=$((${now%.*} + 5 * $1))
	shift
	until "$@"; do
		read -r tick _ </proc/uptime
		[ "${tick%.*}" -lt "$until" ] || return 1
		sleep 0.1
	done
}
