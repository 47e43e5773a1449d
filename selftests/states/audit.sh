#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# audit.sh - the log of what was done with keys: it says who, what, which key and
# what came of it, and an edit, a cut and a change of order are found.

here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=../e2e/lib.sh
. "$here/../e2e/lib.sh"
WORK=/srv/vms/audit
KMS=$WORK/kms
DAEMON_LOG=$WORK/vmcryptd.log
rm -rf "$WORK" /var/lib/vmcrypt/* /etc/vmcrypt/*
mkdir -p "$WORK" /etc/vmcrypt
plan

provider()
{
	vmcrypt provider add kmip kms --server localhost:5696 --default &&
		vmcrypt provider trust kms pin --ca "$KMS/ca.pem" &&
		vmcrypt provider trust kms import "$KMS/host-a.pem" "$KMS/host-a.key"
}

# tampered WHAT PATTERN PYTHON: the exported log, its lines changed so, is found out.
tampered()
{
	/usr/bin/python3 -c "import sys
lines = open(sys.argv[1]).readlines()
$3
open(sys.argv[2], 'w').writelines(lines)" "$WORK/export" "$WORK/changed"
	finds "$1" "$2" --file "$WORK/changed" --anchor "$ANCHOR"
}

# finds WHAT PATTERN OPTION...: "audit verify" says PATTERN, and ends with 7.
finds()
{
	local what=$1 pattern=$2 status

	shift 2
	vmcrypt audit verify "$@" >"$OUT" 2>&1
	status=$?
	if [ "$status" = 7 ] && grep -q -E -e "$pattern" "$OUT"; then
		ok "$what"
		return
	fi
	not_ok "$what"
	diag "audit verify $*   (status $status, wanted 7; wanted: $pattern)"
	diag "$(tail -n 20 "$OUT")"
}

check "a key server starts" kms_start --port 5696 --client host-a
check "vmcryptd starts" daemon_start
check "the cluster is a provider" provider
check "a VM is made" vmcrypt vm create web --dir "$WORK"
KEY=$(vmcrypt --json vm show web | json home key)
check "it powers on" vmcrypt vm power-on web
check "and off" vmcrypt vm power-off web
vmcrypt audit list --key "$KEY" >"$OUT" 2>&1
said "who made the key, and which, is in the log" "root.*$KEY|$KEY.*root"
vmcrypt audit list --vm web >"$OUT" 2>&1
said "who powered the VM on is in the log" 'PowerOn'
refuses "a key that is in use stays" '*' 'in use' vmcrypt key remove "$KEY"
vmcrypt audit list --key "$KEY" >"$OUT" 2>&1
said "and so says the log" 'RemoveKey +[A-Z][a-zA-Z]+ .*'"$KEY"

prints "the log is whole" 'The audit log is whole: [0-9]+ entries' vmcrypt audit verify
ANCHOR=$(vmcrypt audit head)
prints "it has the anchor that was noted" 'is whole' vmcrypt audit verify --anchor "$ANCHOR"
check "it is exported" vmcrypt audit export "$WORK/export"
prints "an export is verified anywhere" 'is whole' vmcrypt audit verify --file "$WORK/export"
tampered "an edit is found" 'line 3' "lines[2] = lines[2].replace('T', 't', 1)"
tampered "a cut in the middle is found" 'line 3' "del lines[2]"
tampered "a cut of the end is found" 'hash of the anchor' "del lines[-2:]"
tampered "a change of order is found" 'line 3' "lines[2], lines[3] = lines[3], lines[2]"
tampered "an entry that was put in is found" 'line 4' "lines.insert(3, lines[2])"

# and on the host itself
LOG=$(find /var/lib/vmcrypt/audit -name '*.log' | sort | tail -n 1)
check "vmcryptd stops" daemon_stop
sed -i '$d' "$LOG"
check "vmcryptd starts on a log that was cut" daemon_start
finds "it knows" 'cut off|other than|noted'
check "vmcryptd stops at the end" daemon_stop
done_testing
