#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# boot.sh - firmware keeps its variables in the home volume; domains start with the host.

set -u
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
plan

hypervisor
vms

# firmware with variables in the home volume
define "$(web uefi | sed "s#<kernel>.*</cmdline>#<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader><nvram template='/usr/share/OVMF/OVMF_VARS.fd'>/run/vmcrypt/home/$WEB/nvram/vars.fd</nvram>#")" >"$OUT" 2>&1
check "a domain with UEFI variables in the home volume starts" virsh start --paused web
check "the variables are there" test -s "/run/vmcrypt/home/$WEB/nvram/vars.fd"
check "it is destroyed" virsh destroy web
closed "and the home volume is unmounted"
check "it is forgotten, its variables are not looked for" virsh undefine --keep-nvram web

# autostart: libvirtd brings vmcryptd up first
define "$(web fourth)" >"$OUT" 2>&1
virsh autostart web >"$OUT" 2>&1
rm -f "$CONSOLE-web"
check "libvirtd stops" systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket
check "vmcryptd stops" systemctl stop vmcryptd.service
# libvirtd starts them once a boot, which this file tells it; it is gone after a real one
check "the host seems to be booted anew" rm /run/libvirt/qemu/autostarted
check "libvirtd starts again" systemctl start libvirtd.service
check "vmcryptd with it" systemctl is-active vmcryptd.service
check "a domain starts by itself, and writes to its disk" \
	wait_for 200 grep -q -s 'wrote entry .: fourth' "$CONSOLE-web"
wait_for 60 state_is web 'shut off'
[ "$TAP_FAILED" = 0 ] || diag "$(journalctl -q -n 30 -u vmcryptd -u libvirtd; dmesg | grep 'apparmor.*DENIED' | tail -n 5)"
closed "all is closed in the end"
done_testing
