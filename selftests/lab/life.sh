#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A host's life: what a reboot keeps, and what tools/lab says when a host, a
# command or a kernel goes wrong.

# shellcheck source=lib.sh
. "$LAB_TREE/selftests/lab/lib.sh"
plan

status "a host with a TPM comes up" 0 \
	"$lab" up h --kernel "$LAB_KERNEL_SERIES" --tpm --no-module
status "a second one on the same folder is refused" 1 "$lab" up h --no-module
status "a command's status comes back" 7 "$lab" exec h -- sh -c 'echo to-you; exit 7'
says "and its output" '^to-you$'
status "a signal's status too" 143 "$lab" exec h -- sh -c 'kill -TERM $$'
status "arguments arrive as they are" 0 \
	"$lab" exec h -- test "a  b'c\"\$HOME" = "a  b'c\"\$HOME"
status "the TPM makes a key" 0 "$lab" exec h -- sh -c \
	'tpm2_createprimary -Q -c /tmp/p.ctx && tpm2_evictcontrol -Q -c /tmp/p.ctx 0x81000123'
status "files are written" 0 "$lab" exec h -- sh -c \
	'echo kept >/var/lib/vmcrypt/x && echo lost >/var/lib/x && sync'
status "a command without end is ended" 124 "$lab" exec h --timeout 2 -- sleep 1000
status "and is gone" 1 "$lab" exec h -- pgrep -x sleep
status "it reboots" 0 "$lab" reboot h
status "the host's disk is kept" 0 "$lab" exec h -- grep -q kept /var/lib/vmcrypt/x
status "nothing else is" 1 "$lab" exec h -- test -e /var/lib/x
status "the TPM's state is kept" 0 "$lab" exec h -- tpm2_readpublic -Q -c 0x81000123
status "written but not synced before a power cut" 0 "$lab" exec h -- sh -c \
	'echo synced >/srv/vms/a && sync && echo unsynced >/srv/vms/b'
status "power cut and reboot" 0 "$lab" reboot h --hard
status "what was synced is there" 0 "$lab" exec h -- grep -q synced /srv/vms/a
status "what was not synced is not" 0 "$lab" exec h -- sh -c \
	'! grep -q -s unsynced /srv/vms/b'
status "the kernel complains" 0 "$lab" exec h -- sh -c 'echo "WARNING: a test" >/dev/kmsg'
status "down tells" 126 "$lab" down h
says "and shows the line" '>> .*WARNING: a test'
status "up again" 0 "$lab" up h --kernel "$LAB_KERNEL_SERIES" --no-module
status "the host dies under a command" 125 "$lab" exec h -- sh -c 'echo c >/proc/sysrq-trigger'
says "its last words are shown" 'sysrq triggered crash'
status "exec in a dead host" 125 "$lab" exec h -- true
done_testing
