# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# lib.sh - what the phases of the end-to-end test share. Runs in a lab host.
#
# A phase is one boot of the host. /srv/vms is on the host's own disk, so what a
# phase leaves there the next one finds; keys in the kernel it does not find.

# shellcheck source=/dev/null
. "$LAB_LIB"
# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"

E2E=$LAB_TREE/selftests/e2e
WORK=/srv/vms/e2e
KMS=$WORK/kms
DAEMON_LOG=$WORK/vmcryptd.log
OUT=$(mktemp)
mkdir -p "$WORK"
DAEMON=
# whatever happens, the log of the daemon is what one wants to see
at_exit daemon_log

# check WHAT COMMAND...: one test; its output is shown when it fails.
check()
{
	local what=$1

	shift
	if "$@" >"$OUT" 2>&1; then
		ok "$what"
		return 0
	fi
	not_ok "$what"
	diag "\$ $*"
	diag "$(tail -n 20 "$OUT")"
	return 1
}

# prints WHAT PATTERN COMMAND...: succeeds, and prints what matches PATTERN.
prints()
{
	local what=$1 pattern=$2

	shift 2
	if "$@" >"$OUT" 2>&1 && grep -q -E -e "$pattern" "$OUT"; then
		ok "$what"
		return 0
	fi
	not_ok "$what"
	diag "\$ $*   (wanted: $pattern)"
	diag "$(tail -n 20 "$OUT")"
	return 1
}

# refuses WHAT STATUS PATTERN COMMAND...: ends with STATUS (a glob, never 0), and
# says PATTERN and a hint.
refuses()
{
	local what=$1 want=$2 pattern=$3 status

	shift 3
	"$@" >"$OUT" 2>&1
	status=$?
	# shellcheck disable=SC2053
	if [ "$status" != 0 ] && [[ $status == $want ]] && grep -q -E -e "$pattern" "$OUT" &&
	   grep -q '^Hint: .' "$OUT"; then
		ok "$what"
		return 0
	fi
	not_ok "$what"
	diag "\$ $*   (status $status, wanted $want; wanted: $pattern, and a hint)"
	diag "$(tail -n 20 "$OUT")"
	return 1
}

daemon_log()
{
	[ "$TAP_FAILED" = 0 ] || diag "$(tail -n 30 "$DAEMON_LOG")"
}

# said WHAT PATTERN: the command before this one also printed that.
said()
{
	if grep -q -E -e "$2" "$OUT"; then
		ok "$1"
		return 0
	fi
	not_ok "$1"
	diag "(wanted: $2)"
	diag "$(tail -n 20 "$OUT")"
	return 1
}

kms_start()
{
	"$LAB_TREE/tools/lab" pykmip start "$KMS" "$@" >>"$WORK/kms.out" 2>&1
}

kms_stop()
{
	"$LAB_TREE/tools/lab" pykmip stop "$KMS" "$@" >>"$WORK/kms.out" 2>&1
}

bus_has_name()
{
	dbus-send --system --print-reply --dest=org.freedesktop.DBus / \
		org.freedesktop.DBus.NameHasOwner string:org.vmcrypt1 2>/dev/null |
		grep -q 'boolean true'
}

daemon_start()
{
	lab_dbus || return 1
	vmcryptd --foreground >>"$DAEMON_LOG" 2>&1 </dev/null &
	DAEMON=$!
	wait_for 60 bus_has_name
}

daemon_stop()
{
	kill -TERM "$DAEMON"
	wait "$DAEMON"
}

json()
{
	/usr/bin/python3 -c 'import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1:]:
    v = v[int(k)] if k.lstrip("-").isdigit() else v[k]
print(v)' "$@"
}

# vm_id NAME: its UUID
vm_id()
{
	vmcrypt --json vm show "$1" | json id
}

# guest VM WORDS: run the guest on the VM's disks, show its console.
guest()
{
	timeout 260 vmcrypt vm power-on "$1" --exec -- \
		"$E2E/guest" "$2" '{home}' '{disk:root}'
}

no_mapping()
{
	! dmsetup ls 2>/dev/null | grep -q '^vmcrypt-'
}

# finds TEXT FILE
finds()
{
	grep -q -a -F -e "$1" "$2"
}

# finds_not TEXT FILE: the file can be read, and has no TEXT
finds_not()
{
	finds "$@"
	[ $? = 1 ]
}
