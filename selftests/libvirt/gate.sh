#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# gate.sh - an unmodified libvirtd starts and stops domains on encrypted disks: the
# hook opens and closes the volumes, and what it says is what virsh shows.

set -u
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
plan

hypervisor
systemctl mask --runtime --now vmcryptd.service 2>/dev/null
check "a plain domain starts without vmcryptd" virsh start --paused plain
define "$(web first-words)" >"$OUT" 2>&1
refuses "an encrypted one is refused" "vmcryptd is not running" virsh start web
said "with advice" 'Hint: systemctl start vmcryptd'
diag "$(cat "$OUT")"
systemctl unmask --runtime vmcryptd.service
vms

check "a domain runs on encrypted disks, and writes" runs web first-words
closed "when the guest has powered off, all is closed"
check "what it wrote is in no file" bash -c "! grep -q -a first-words $WORK/*.img $WORK/*.home"
check "with the key server down" kms stop
define "$(web second-words)" >"$OUT" 2>&1
check "it starts with the keys that are cached" runs web second-words
said "and finds what it wrote" 'found entry 0: first-words'
closed "all is closed again"

# the keys are gone from this host, and not to be had
vmcrypt --json key list | grep -o '"id": "[^"]*"' | cut -d'"' -f4 | while read -r key; do
	vmcrypt key remove "$key" --force || vmcrypt key remove "$key"
done >"$OUT" 2>&1
refuses "without keys the start is refused" 'kms' virsh start web
said "with advice" 'Hint: .'
diag "$(cat "$OUT")"
closed "nothing was opened"
check "the key server is back" kms start

# what fails after the hook
define "$(web third "<disk type='file'><source file='/nonexistent.img'/><target dev='hdc'/></disk>")" >"$OUT" 2>&1
refuses "a start that fails by itself says its own reason" 'nonexistent' virsh start web
closed "and leaves nothing open"

define "$(web third)" >"$OUT" 2>&1
check "a domain starts that stays" virsh start --paused web
check "its volumes are open" mapping "$WEB-data"
check "a shutdown of the host will not unmount home before the domain is off" home_stays
check "its keys are wiped under it" vmcrypt vm lock --now web
check "its disks stand still" stands_still "$WEB-root"
check "the domain is there all the same" state_is web paused
check "the keys come back" vmcrypt vm unlock web
check "its disks go on" bash -c "! dmsetup info 'vmcrypt-$WEB-root' | grep -q SUSPENDED"
define "$(domain thief "$OTHER" thief '' "/dev/mapper/vmcrypt-$WEB-root")" >"$OUT" 2>&1
refuses "another domain on the same VM is refused" "'web' is in use by the domain 'web'" virsh start thief
check "the first one keeps its volumes" mapping "$WEB-data"
define "$(domain thief "$OTHER" thief '' "/dev/mapper/vmcrypt-$WEB-root" "/dev/mapper/vmcrypt-$DB-root")" >"$OUT" 2>&1
refuses "a domain of two VMs is refused" "mixes volumes of two VMs" virsh start thief
define "$(domain thief "$OTHER" thief '' "$WORK/db-root.img")" >"$OUT" 2>&1
sed -i "s/type='block'/type='file'/; s/source dev/source file/" "$WORK/domain.xml"
sed -i "s/$OTHER/$DB/" "$WORK/domain.xml"
virsh undefine thief >"$OUT" 2>&1
virsh define "$WORK/domain.xml" >"$OUT" 2>&1
refuses "a container in place of what is in it is refused" "encrypted container of the volume 'root'" virsh start thief

qemu=$(cat /run/libvirt/qemu/web.pid)
check "libvirtd restarts under the domain" systemctl restart libvirtd.service
check "which goes on" state_is web paused
check "in the same process" kill -0 "$qemu"
check "with its volumes" mapping "$WEB-root"
check "QEMU dies" kill -9 "$qemu"
closed "its volumes are closed"
check "the plain domain ends as it began" virsh destroy plain
virsh undefine thief >"$OUT" 2>&1
done_testing
