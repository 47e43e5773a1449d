#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# boot.sh PART: what happens in one boot of the host, see host.sh.

# shellcheck source=../e2e/lib.sh
. "$LAB_TREE/selftests/e2e/lib.sh"
plan

volume=/dev/mapper/vg-fast
fast=/run/vmcrypt/datastores/fast
mark='words that nobody may read on the volume'

# A linear mapping, which is what a logical volume is.
volume_up()
{
	local loop

	[ -e "$WORK/pv.img" ] || truncate -s 160M "$WORK/pv.img" || return 1
	loop=$(losetup --find --show "$WORK/pv.img") &&
		dmsetup create vg-fast --noudevsync --table "0 $((160 * 2048)) linear $loop 0" &&
		dmsetup mknodes vg-fast && test -b "$volume"
}

providers()
{
	vmcrypt provider add kmip kms --server localhost:5696 --default &&
		vmcrypt provider trust kms pin --ca "$KMS/ca.pem" &&
		vmcrypt provider trust kms csr >"$WORK/host.csr" &&
		"$LAB_TREE/tools/lab" pykmip sign "$KMS" "$WORK/host.csr" "$WORK/host.pem" &&
		vmcrypt provider trust kms upload "$WORK/host.pem" &&
		vmcrypt provider add native site &&
		echo 'correct horse battery' >"$WORK/pass" &&
		vmcrypt provider export site --out "$WORK/site.p12" --password-file "$WORK/pass"
}

# vm_make NAME: with a disk that has the mark on it.
vm_make()
{
	vmcrypt vm create "$1" --dir "$fast" --home-size 16M &&
		vmcrypt disk create "$1" root --size 4M &&
		vmcrypt vm power-on "$1" &&
		printf '%s' "$mark" | dd of="$(vmcrypt --json vm show "$1" | json disks 0 device)" conv=fsync status=none
}

# vm_reads NAME: it is on, and the mark is on its disk.
vm_reads()
{
	[ "$(vmcrypt --json vm show "$1" | json power)" = on ] &&
		[ "$(head -c ${#mark} "$(vmcrypt --json vm show "$1" | json disks 0 device)")" = "$mark" ]
}

store_is()
{
	[ "$(vmcrypt --json datastore show "$1" | json "$2")" = "$3" ]
}

no_key_in_clear()
{
	sync
	finds_not "$mark" "$WORK/pv.img"
}

mounted_safely()
{
	findmnt -n -o OPTIONS "$1" | grep nosuid | grep -q nodev
}

health()
{
	dbus-send --system --print-reply --reply-timeout=60000 --dest=org.vmcrypt1 /org/vmcrypt1 \
		org.vmcrypt1.Manager.Health
}

# Its status tells of the key server, which is away.
doctor()
{
	vmcrypt doctor || true
}

part_make()
{
	check "a key server starts" kms_start --client host-a
	check "vmcryptd starts" daemon_start
	check "there are a KMIP and a native provider" providers || bail "no provider, no test"
	check "there is a volume" volume_up
	check "with an old file system" mkfs.ext4 -q -L precious "$volume"
	refuses "that is not destroyed" 5 'something on .*ext4.*precious' vmcrypt datastore create fast "$volume"
	said "but by --force" 'Hint: .*--force'
	mount "$volume" /mnt
	refuses "nor by --force while it is in use" 5 '.' vmcrypt datastore create fast "$volume" --force
	umount /mnt
	check "a datastore is made" vmcrypt datastore create fast "$volume" --force
	prints "its header tells what it is" "vmcrypt" cryptsetup luksDump "$volume"
	prints "one in a file, of the native provider" 'Next: vmcrypt datastore open spare' \
		vmcrypt datastore create spare "$WORK/spare.img" --size 48M --provider site --mount /srv/spare
	check "and one with an XFS" vmcrypt datastore create big "$WORK/big.img" --size 320M --fs xfs --autoopen no
	check "which opens" vmcrypt datastore open big
	prints "as an XFS" 'xfs' findmnt -n -o FSTYPE /run/vmcrypt/datastores/big
	check "and closes" vmcrypt datastore close big
	check "and is removed" vmcrypt datastore remove big --force
	check "its file is gone" test ! -e "$WORK/big.img"
	prints "the datastore opens" "^$fast\$" vmcrypt datastore open fast
	check "mounted nosuid and nodev" mounted_safely "$fast"
	check "cryptsetup knows it" cryptsetup status "vmcrypt-$(vmcrypt --json datastore show fast | json id)-datastore"
	printf '%s' "$mark" >"$fast/plain.raw"
	check "two VMs are made on it" eval 'vm_make web && vm_make db'
	refuses "VM verbs refuse it" 4 "'fast' is a datastore, not a VM" vmcrypt vm power-on fast
	refuses "it is not closed under a VM" 5 "VM '(web|db)' lies on it and is on" vmcrypt datastore close fast
	check "one of them starts with the host" vmcrypt vm set web --autostart yes
	check "the key server's keys are kept" vmcrypt host persistence enable
	check "a new key while all is on" vmcrypt datastore recrypt --shallow fast
	check "the VMs go off" eval 'vmcrypt vm power-off web && vmcrypt vm power-off db'
	exec 9<"$fast/plain.raw"
	refuses "with a file open it is not closed" 5 'unmount' vmcrypt datastore close fast
	exec 9<&-
	check "it closes" vmcrypt datastore close fast
	check "nothing of it is mapped" no_mapping
	check "nothing on the volume is in clear" no_key_in_clear
	check "the key server stops" kms_stop
}

part_kept()
{
	check "the volume is there" volume_up
	check "vmcryptd starts" daemon_start
	check "the VM that starts with the host does, with no key server" wait_for 60 vm_reads web
	check "its datastore is open" store_is fast state open
	check "the other VM powers on" vmcrypt vm power-on db
	check "with its data" vm_reads db
	check "so is that of the native provider" store_is spare state open
	check "where it was told to be" mountpoint -q /srv/spare
	check "nothing is wrong with datastores" eval '! vmcrypt --json alarm list | grep -q datastore'
	prints "the doctor has nothing to say of them" 'datastores: 2 registered, none is locked' doctor
	check "keys are kept no more" vmcrypt host persistence disable --remove-all-stored-keys
	prints "now a reboot would lock one" "Datastore 'fast' would be locked if this host rebooted now" doctor
}

part_locked()
{
	check "the volume is there" volume_up
	check "vmcryptd starts" daemon_start
	check "the datastore is locked" wait_for 100 store_is fast crypto_state locked
	check "for the right cause" store_is fast cause kms-error
	prints "which the status tells" 'Datastore is locked because of an error of the key provider' vmcrypt status
	said "with what to type" 'vmcrypt datastore unlock fast'
	prints "and an alarm" 'datastore-locked' vmcrypt alarm list
	refuses "its VMs do not power on" '*' "VM 'db' lies on datastore 'fast', which is closed" vmcrypt vm power-on db
	check "that of the native provider is open" wait_for 30 store_is spare state open
	check "the key server comes back" kms_start
	check "its health is looked at" health
	check "the datastore is open" wait_for 60 store_is fast state open
	check "and the VM that starts with the host is on" wait_for 60 vm_reads web
	check "no alarm is left" eval '! vmcrypt --json alarm list | grep -q datastore-locked'
	prints "what happened is recorded" 'datastore-locked' vmcrypt event list --limit 500
	check "the VM goes off" vmcrypt vm power-off web
	check "the datastore closes" vmcrypt datastore close fast
	check "powering on a VM opens it" vmcrypt vm power-on db
	check "with its data" vm_reads db
	check "the VM goes off again" vmcrypt vm power-off db
	check "the datastore closes again" vmcrypt datastore close fast
	check "it is unregistered" vmcrypt datastore unregister fast
	check "and registered from its header" vmcrypt datastore register fast "$volume"
	check "it opens" vmcrypt datastore open fast
	check "with what was on it" finds "$mark" "$fast/plain.raw"
	check "it closes" vmcrypt datastore close fast
	check "the other one closes" vmcrypt datastore close spare
	check "nothing is mapped" no_mapping
	check "the key server stops" kms_stop
}

"part_$1"
check "vmcryptd ends" daemon_stop
done_testing
