# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# The audit log as the client shows it; an exported one it verifies by itself.

start_mock
both "audit list" 'SEQ  TIME *WHO *ACTION *RESULT*7 *2026-01-31*root *kek-fetch *ok*kms1/42*' audit list --since '2026-01-31 12:00'
called "audit list sends" 'org.vmcrypt1.Manager.ListAudit a{sv} {since 1769860800  }'
run audit list --since 2026-01-31 --key 'kms1/*' --actor root --limit 5 --vm web1
called "audit list sends all that it is given" 'org.vmcrypt1.Manager.ListAudit a{sv} {since 1769817600  vm web1  key kms1/*  actor root  limit 5  }'
run audit list --since yesterday
expect "audit list, no time" 1 '' "*yesterday*Hint: *"
both "audit verify" '*a note*The audit log is whole: 7 entries, the last is 7.' audit verify
both "audit head" '7:ab' audit head
run audit export exported
expect "audit export" 0 "*verify --file exported*" ''
run audit export exported --json
expect "audit export, to a file that is there" 5 '*Exists*' '*cannot make*File exists*'

log=$top/userspace/audit/corpus/log
both "audit verify --file" 'The audit log is whole: 3 entries, the last is 3.' audit verify --file "$log/plain"
run audit verify --file "$log/gap"
expect "audit verify --file, one missing" 7 'gap, line 2 (byte *): entry 2 is missing*tampered*' ''
run audit verify --file "$log/plain" --anchor 2:0000000000000000000000000000000000000000000000000000000000000000
expect "audit verify --anchor, of another log" 7 '*no entry 2 with the hash of the anchor*' ''
run audit verify --file "$log/plain" --anchor 2
expect "audit verify --anchor, not one" 1 '' '*not an anchor*Hint: *'
stop_mock
