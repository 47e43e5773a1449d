#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# libvirt.sh - an unmodified libvirtd starts and stops domains on encrypted disks:
# the hook opens and closes the volumes, and what it says is what virsh shows.

set -u
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=../lib.sh
. "$here/../lib.sh"
# shellcheck source=../../tools/lab.d/guest/lib.sh
. "$LAB_LIB"

WORK=/srv/vms/libvirt
KMS=$WORK/kms
WEB=11111111-1111-4111-8111-111111111111
DB=22222222-2222-4222-8222-222222222222
PLAIN=33333333-3333-4333-8333-333333333333
OTHER=44444444-4444-4444-8444-444444444444
IMAGES=/var/lib/libvirt/images
CONSOLE=/var/log/libvirt/qemu/console
OUT=$(mktemp)
mkdir -p "$WORK"

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

# refuses WHAT PATTERN COMMAND...: fails, and says PATTERN.
refuses()
{
	local what=$1 pattern=$2

	shift 2
	if ! "$@" >"$OUT" 2>&1 && grep -q -E -e "$pattern" "$OUT"; then
		ok "$what"
		return 0
	fi
	not_ok "$what"
	diag "\$ $*   (wanted: failure, and $pattern)"
	diag "$(tail -n 20 "$OUT")"
	return 1
}

# said WHAT PATTERN: the command before this one also printed that.
said()
{
	if grep -q -E -e "$2" "$OUT"; then
		ok "$1"
	else
		not_ok "$1"
		diag "(wanted: $2)"
		diag "$(tail -n 20 "$OUT")"
	fi
}

mapping()
{
	dmsetup info "vmcrypt-$1" >/dev/null 2>&1
}

no_mapping()
{
	! dmsetup ls 2>/dev/null | grep -q '^vmcrypt-' && ! grep -q /run/vmcrypt/home/ /proc/mounts
}

# closed WHAT: no volume is left open, nor the home of any VM mounted
closed()
{
	if wait_for 20 no_mapping; then
		ok "$1"
	else
		not_ok "$1"
		diag "$(dmsetup ls; grep vmcrypt /proc/mounts; journalctl -q -n 20 -u vmcryptd -u libvirtd)"
	fi
}

# systemd mounted home, and leaves it to vmcryptd to unmount
home_stays()
{
	local unit

	unit=$(systemd-escape -p --suffix=mount "/run/vmcrypt/home/$WEB")
	systemctl is-active "$unit" && ! systemctl show -P Conflicts "$unit" | grep umount.target
}

state_is()
{
	[ "$(virsh domstate "$1" 2>&1)" = "$2" ]
}

# domain NAME UUID WORDS EXTRA DISK...: XML; the guest writes WORDS into its diary
domain()
{
	local name=$1 id=$2 words=$3 extra=$4 letter=a

	shift 4
	cat <<-XML
	<domain type='$ACCEL'><name>$name</name><uuid>$id</uuid>
	<memory unit='MiB'>192</memory><vcpu>1</vcpu><features><acpi/></features>
	<os><type arch='x86_64' machine='pc'>hvm</type>
	<kernel>$IMAGES/vmlinuz</kernel><initrd>$IMAGES/initrd</initrd>
	<cmdline>console=ttyS0 quiet panic=-1 diary=$words</cmdline></os>
	<on_reboot>destroy</on_reboot>
	<devices>
	XML
	while [ $# -gt 0 ]; do
		printf "<disk type='block' device='disk'><driver name='qemu' type='raw' cache='none'/>"
		printf "<source dev='%s'/><target dev='vd%s' bus='virtio'/></disk>\n" "$1" "$letter"
		shift
		letter=b
	done
	cat <<-XML
	<serial type='file'><source path='$CONSOLE-$name'/></serial>
	$extra
	</devices></domain>
	XML
}

# define XML
define()
{
	printf '%s\n' "$1" >"$WORK/domain.xml"
	virsh define "$WORK/domain.xml"
}

web()
{
	domain web "$WEB" "$1" "${2:-}" "/dev/mapper/vmcrypt-$WEB-root" "/dev/mapper/vmcrypt-$WEB-data"
}

# runs NAME WORDS: the guest boots, writes, and powers off
runs()
{
	rm -f "$CONSOLE-$1"
	virsh start "$1" || return
	wait_for 200 state_is "$1" 'shut off' && cat "$CONSOLE-$1" && grep -q "wrote entry .: $2" "$CONSOLE-$1"
}

kms()
{
	"$LAB_TREE/tools/lab" pykmip "$1" "$KMS" "${@:2}"
}

new_vms()
{
	vmcrypt provider add kmip kms --server localhost:5696 --default &&
		vmcrypt provider trust kms pin --ca "$KMS/ca.pem" &&
		vmcrypt provider trust kms csr >"$WORK/host.csr" &&
		kms sign "$WORK/host.csr" "$WORK/host.pem" &&
		vmcrypt provider trust kms upload "$WORK/host.pem" &&
		vmcrypt vm create web --dir "$WORK" --uuid "$WEB" &&
		vmcrypt disk create web root --size 32M &&
		vmcrypt disk create web data --size 32M &&
		vmcrypt vm create db --dir "$WORK" --uuid "$DB" &&
		vmcrypt disk create db root --size 32M
}

plan

check "the tree installs, below /usr/local" make -s -C "$LAB_TREE" install activate-packaging
ACCEL=qemu
if lab_nested_kvm; then
	ACCEL=kvm
	udevadm settle --timeout=10
fi
diag "domains of type $ACCEL"
cp "$LAB_KERNEL_IMAGE" "$IMAGES/vmlinuz"
check "a guest is made" "$LAB_TREE/selftests/e2e/mkguest" "$IMAGES/initrd"

# confined as Debian confines it
mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security
ARMOR=
if grep -q apparmor /sys/kernel/security/lsm; then
	check "Debian's AppArmor profiles load" apparmor_parser -r \
		/etc/apparmor.d/usr.sbin.libvirtd /etc/apparmor.d/usr.lib.libvirt.virt-aa-helper && ARMOR=1
fi

truncate -s 16M "$IMAGES/plain.img"
check "libvirtd starts, before vmcryptd ever ran" systemctl start libvirtd.service
define "$(domain plain "$PLAIN" plain '' "$(losetup --show -f "$IMAGES/plain.img")")" >"$OUT" 2>&1
if [ "$ARMOR" ]; then
	check "it is confined, and confines" bash -c "virsh capabilities | grep -q '<model>apparmor'"
else
	skip "it is confined, and confines" "this kernel has no AppArmor"
fi

systemctl mask --runtime --now vmcryptd.service 2>/dev/null
check "a plain domain starts without vmcryptd" virsh start --paused plain
define "$(web first-words)" >"$OUT" 2>&1
refuses "an encrypted one is refused" "vmcryptd is not running" virsh start web
said "with advice" 'Hint: systemctl start vmcryptd'
diag "$(cat "$OUT")"
systemctl unmask --runtime vmcryptd.service
check "vmcryptd starts" systemctl start vmcryptd.service
check "a key server starts" kms start
check "two encrypted VMs are made" new_vms

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
define "$(web third "<disk type='file'><source file='/nonexistent.img'/><target dev='vdc'/></disk>")" >"$OUT" 2>&1
refuses "a start that fails by itself says its own reason" 'nonexistent' virsh start web
closed "and leaves nothing open"

define "$(web third)" >"$OUT" 2>&1
check "a domain starts that stays" virsh start --paused web
check "its volumes are open" mapping "$WEB-data"
check "a shutdown of the host will not unmount home before the domain is off" home_stays
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

check "it starts again" virsh start --paused web
check "its memory is saved" virsh managedsave web
closed "a saved domain has nothing open"
refuses "restored without key server and keys it is refused" 'kms|not running' \
	bash -c "systemctl mask --runtime --now vmcryptd.service; virsh start web; r=\$?; systemctl unmask --runtime vmcryptd.service; exit \$r"
check "what was saved is still there" bash -c 'virsh dominfo web | grep -q "Managed save: *yes"'
check "it is restored" virsh start web
check "and goes on" bash -c 'virsh resume web || virsh domstate web'
wait_for 200 state_is web 'shut off'
check "it wrote to its disk" grep -q 'wrote entry 2: third' "$CONSOLE-web"
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
ln -s "/run/vmcrypt/home/$WEB/tpm" "/var/lib/libvirt/swtpm/$WEB"
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
virsh destroy plain >"$OUT" 2>&1
check "libvirtd stops" systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket
check "vmcryptd stops" systemctl stop vmcryptd.service
check "libvirtd starts again" systemctl start libvirtd.service
check "vmcryptd with it" systemctl is-active vmcryptd.service
check "the domain that starts by itself does" wait_for 120 bash -c "virsh list --name | grep -q -x web"
wait_for 200 state_is web 'shut off'
check "and has its disks" grep -q 'found entry 2: third' "$CONSOLE-web"
closed "all is closed in the end"
done_testing
