# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# lib.sh - what the tests with libvirt share. Runs in a lab host.

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

stands_still()
{
	dmsetup info "vmcrypt-$1" | grep -q SUSPENDED
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
	<domain type='qemu'><name>$name</name><uuid>$id</uuid>
	<memory unit='MiB'>64</memory><vcpu>1</vcpu><features><acpi/></features>
	<os><type arch='x86_64' machine='pc'>hvm</type>
	<kernel>$IMAGES/guest</kernel><cmdline>diary=$words</cmdline></os>
	<on_reboot>destroy</on_reboot>
	<devices>
	XML
	while [ $# -gt 0 ]; do
		printf "<disk type='block' device='disk'><driver name='qemu' type='raw' cache='none'/>"
		printf "<source dev='%s'/><target dev='hd%s' bus='ide'/></disk>\n" "$1" "$letter"
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

# wrote WORDS CONSOLE: the guest says that it did; all that it says is shown
wrote()
{
	cat "$2"
	grep -q "wrote entry .: $1" "$2"
}

# runs NAME WORDS: the guest boots, writes, and powers off
runs()
{
	rm -f "$CONSOLE-$1"
	virsh start "$1" || return
	wait_for 400 state_is "$1" 'shut off' && wrote "$2" "$CONSOLE-$1"
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

# hypervisor: the tree installed, a guest made, libvirtd running as Debian runs it;
# unless another test in this host did it
hypervisor()
{
	if [ -e "$IMAGES/guest" ]; then
		return
	fi
	check "the tree installs" lab_install
	cp "$LAB_BUILD/selftests/libvirt-guest" "$IMAGES/guest"

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
}

# vms: vmcryptd, a key server, and the VMs "web" and "db", unless they are there
vms()
{
	check "vmcryptd starts" systemctl start vmcryptd.service
	if vmcrypt vm show db >"$OUT" 2>&1; then
		return
	fi
	check "a key server starts" kms start
	check "two encrypted VMs are made" new_vms
}
