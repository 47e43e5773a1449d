# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# Migrations.

start_mock
both "migrate" "VM 'web1' runs on host 'hostb' now*Encrypted: *X25519*Key of 'home'*Key of 'root': sealed*Sent: 1.0 MiB*5 connections in 900 ms; downtime 30 ms*Warning: a warning" \
	migrate web1 --to hostb
run migrate web1 --to hostb --parallel 4 --postcopy --copy-storage --qmp /run/q --to-qmp /run/r
called "migrate sends" 'org.vmcrypt1.Manager.Migrate ssa{sv} web1 hostb {parallel 4  postcopy true  copy_storage true  qmp /run/q  to_qmp /run/r  }'
run migrate other --to hostb --dry-run
expect "migrate --dry-run, in clear" 0 "*can be migrated to host 'hostb'; nothing was changed*NOT encrypted: no module*" ''
called "migrate --dry-run sends" 'org.vmcrypt1.Manager.Migrate ssa{sv} other hostb {dry_run true  }'
run migrate web1
expect "migrate, to nowhere" 1 '' '*--to*'
stop_mock

start_mock empty
run migrate web1 --to hostb
expect "migrate, a wire that alters" 7 '' '*not authentic*Hint: see the network*'
stop_mock
