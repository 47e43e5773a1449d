#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# life.sh - domains on encrypted disks that are saved, restored, and start with the
# host; firmware and TPM keep their state in the home volume.

set -u
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
plan

hypervisor
vms

define "$(web third)" >"$OUT" 2>&1
check "a domain starts" virsh start --paused web
check "its memory is saved" virsh managedsave web
closed "a saved domain has nothing open"
refuses "restored without key server and keys it is refused" 'kms|not running' \
	bash -c "systemctl mask --runtime --now vmcryptd.service; virsh start web; r=\$?; systemctl unmask --runtime vmcryptd.service; exit \$r"
check "what was saved is still there" bash -c 'virsh dominfo web | grep -q "Managed save: *yes"'
check "it is restored, with a vmcryptd that the bus starts for it" virsh start web
check "and goes on" bash -c 'virsh resume web || virsh domstate web'
wait_for 200 state_is web 'shut off'
check "it wrote to its disk" grep -q 'wrote entry .: third' "$CONSOLE-web"
closed "all is closed"

# memory saved into the home volume
check "it starts" virsh start --paused web
check "its memory is saved into the home volume" virsh save web "/run/vmcrypt/home/$WEB/save/memory"
closed "a domain saved there has nothing open"
check "home is opened by hand" vmcrypt vm power-on web
check "it is restored from there" virsh restore "/run/vmcrypt/home/$WEB/save/memory" --paused
check "it is destroyed" virsh destroy web
check "what was on by hand stays on" mapping "$WEB-home"
check "until it is powered off by hand" vmcrypt vm power-off web
closed "then all is closed"

# firmware and virtual TPM with their state in the home volume, as the manual tells
mkdir -p /var/lib/libvirt/swtpm /etc/apparmor.d/local/abstractions
ln -sfn "/run/vmcrypt/home/$WEB/tpm" "/var/lib/libvirt/swtpm/$WEB"
echo "owner /run/vmcrypt/home/*/tpm/** rwk," >>/etc/apparmor.d/local/abstractions/libvirt-qemu
tpm="<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>"
define "$(web uefi "$tpm" | sed "s#<kernel>.*initrd>#<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader><nvram template='/usr/share/OVMF/OVMF_VARS.fd'>/run/vmcrypt/home/$WEB/nvram/vars.fd</nvram>#; s#<cmdline>.*</cmdline>##")" >"$OUT" 2>&1
check "a domain with UEFI variables and a TPM in the home volume starts" virsh start --paused web
check "the variables are there" test -s "/run/vmcrypt/home/$WEB/nvram/vars.fd"
check "and so is the state of its TPM" test -s "/run/vmcrypt/home/$WEB/tpm/tpm2/tpm2-00.permall"
check "it is destroyed" virsh destroy web
closed "and the home volume is unmounted"
check "it is forgotten, its variables are not looked for" virsh undefine --keep-nvram web

# autostart: libvirtd brings vmcryptd up first
define "$(web fourth)" >"$OUT" 2>&1
virsh autostart web >"$OUT" 2>&1
check "libvirtd stops" systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket
check "vmcryptd stops" systemctl stop vmcryptd.service
check "libvirtd starts again" systemctl start libvirtd.service
check "vmcryptd with it" systemctl is-active vmcryptd.service
check "the domain that starts by itself does" wait_for 120 bash -c "virsh list --name | grep -q -x web"
wait_for 200 state_is web 'shut off'
check "and has its disks" grep -q 'found entry .: third' "$CONSOLE-web"
closed "all is closed in the end"
done_testing
