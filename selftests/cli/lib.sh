# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# What the tests of the client share; read by run.sh.

ok()
{
	n=$((n + 1))
	echo "ok $n - $1"
}

not_ok()
{
	n=$((n + 1))
	failed=$((failed + 1))
	echo "not ok $n - $1"
	shift
	[ $# -eq 0 ] || printf '%s\n' "$@" | sed 's/^/# /'
}

finish()
{
	local rc=$?

	[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2> /dev/null
	wait 2> /dev/null
	rm -rf "$work"
	[ "$rc" -eq 0 ] || { echo "Bail out! run.sh ended with status $rc"; exit "$rc"; }
	[ "$failed" -eq 0 ] || { echo "# cli: $failed of $n not ok"; exit 1; }
	echo "# cli: $n ok"
}

# Start a program that writes a line when it is ready, and wait for that line: ready NAME COMMAND...
ready()
{
	local name=$1 line

	shift
	mkfifo "$name.ready"
	"$@" > "$name.ready" 2> "$name.err" &
	pids+=($!)
	last_pid=$!
	exec 9< "$name.ready"
	rm "$name.ready"
	if ! read -r -t 20 line <&9; then
		cat "$name.err" >&2
		echo "$name did not start" >&2
		exit 1
	fi
	exec 9<&-
}

start_bus()
{
	ready bus dbus-daemon --config-file="$here/bus.conf" --address="$VMCRYPT_BUS" \
		--nofork --nopidfile --print-address=1
}

# start_mock [empty]: the service, with a fresh log of calls
start_mock()
{
	: > calls
	ready mock "$build/cli/mock_service" "$VMCRYPT_BUS" "$work/calls" "$@"
	mock_pid=$last_pid
}

# start_authority [sick]: vmcrypt-attestd and systemd instead; ended by stop_mock, too
start_authority()
{
	: > calls
	ready authority "$build/cli/mock_trust" "$VMCRYPT_BUS" "$work/calls" "$@"
	mock_pid=$last_pid
}

stop_mock()
{
	kill "$mock_pid" 2> /dev/null
	wait "$mock_pid" 2> /dev/null
	cat calls >> all-calls
}

# run WORD...: the client; leaves $out, $err (texts) and $rc
run()
{
	timeout -k 5 30 "$cli" "$@" > out 2> err < /dev/null
	rc=$?
	out=$(cat out)
	err=$(cat err)
}

# expect TITLE RC OUT ERR: patterns (of case) that the last run must fit
expect()
{
	local bad=

	# shellcheck disable=SC2254
	case $rc in $2) ;; *) bad="status $rc, not $2" ;; esac
	# shellcheck disable=SC2254
	case $out in $3) ;; *) bad="$bad; standard output" ;; esac
	# shellcheck disable=SC2254
	case $err in $4) ;; *) bad="$bad; standard error" ;; esac
	if grep -q "$(printf '[ \t]$\|\t')" out; then
		bad="$bad; spaces at a line's end or tabs"
	fi
	if grep -q "$(printf '\033')" out err; then
		bad="$bad; escapes although it is no terminal"
	fi
	if grep -q 'ERROR: .*Sanitizer\|runtime error:' err; then
		bad="$bad; sanitizer"
	fi
	if [ -z "$bad" ]; then ok "$1"; else not_ok "$1" "$bad" "out: $out" "err: $err"; fi
}

# called TITLE LINE: the last call that the service got
called()
{
	local last

	last=$(tail -n 1 calls)
	if [ "$last" = "$2 " ] || [ "$last" = "$2" ]; then ok "$1"; else not_ok "$1" "sent: $last" "not:  $2"; fi
}

# both TITLE OUT WORD...: text fits OUT; with --json it is one JSON value
both()
{
	local title=$1 pattern=$2

	shift 2
	run "$@"
	expect "$title" 0 "$pattern" ''
	run "$@" --json
	expect "$title, --json" 0 '[[{]*[]}]' ''
	is_json "$title, one JSON value"
}

is_json()
{
	if /usr/bin/python3 -c 'import json, sys; json.load(open("out"))' 2> json.err; then
		ok "$1"
	else
		not_ok "$1" "$(cat json.err)" "$out"
	fi
}
