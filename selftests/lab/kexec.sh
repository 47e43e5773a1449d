#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A kernel that is started by another one: for the firmware and the TPM nothing
# has happened.

# shellcheck source=lib.sh
. "$LAB_TREE/selftests/lab/lib.sh"
plan

status "a host with a TPM comes up" 0 \
	"$lab" up h --kernel "$LAB_KERNEL_SERIES" --tpm --no-module
for when in before after; do
	[ "$when" = before ] || status "it starts another kernel by kexec" 0 "$lab" kexec h
	status "what the TPM counts and measured, $when" 0 "$lab" exec h -- sh -c \
		"(tpm2_readclock | grep _count; tpm2_pcrread sha256:0,1,2,3,4,5,6,7) >/srv/vms/$when &&
		 cp /proc/sys/kernel/random/boot_id /srv/vms/$when.id"
done
status "the TPM saw no start" 0 "$lab" exec h -- cmp /srv/vms/before /srv/vms/after
status "though the kernel has begun anew" 1 "$lab" exec h -- cmp /srv/vms/before.id /srv/vms/after.id
done_testing
