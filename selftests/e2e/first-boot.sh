#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# First boot: from a key server to a running encrypted VM.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
plan

lab_nested_kvm || diag "no nested KVM; the guest is emulated"

check "a key server cluster of two nodes starts" kms_start --nodes 2 --client host-a --client stranger
check "vmcryptd starts" daemon_start

check "a KMIP provider is added" \
	vmcrypt provider add kmip kms --server localhost:5696 --server localhost:5697 --default
prints "a provider without a certificate says what it waits for" 'csr|certificate' vmcrypt provider show kms
check "the servers are trusted by their CA" vmcrypt provider trust kms pin --ca "$KMS/ca.pem"
check "this host's certificate is requested" bash -c "vmcrypt provider trust kms csr >$WORK/host.csr"
check "the key server's CA signs it" \
	"$LAB_TREE/tools/lab" pykmip sign "$KMS" "$WORK/host.csr" "$WORK/host.pem"
check "the signed certificate is uploaded" vmcrypt provider trust kms upload "$WORK/host.pem"
prints "both servers answer" '5697' vmcrypt provider test kms

mkdir -p "$WORK/web"
check "an encrypted VM is made" vmcrypt vm create web --dir "$WORK/web" || bail "no VM, no test"
check "it gets a disk" vmcrypt disk create web root --size 64M
check "and another one" vmcrypt disk create web data --size 32M --dm-flags no_read_workqueue,no_write_workqueue

# a disk that was there before, with something in it that can be looked for
head -c 20M /dev/urandom >"$WORK/old.raw"
yes 'written before encryption' | head -c 100000 |
	dd of="$WORK/old.raw" bs=1M seek=7 conv=notrunc status=none
truncate -s 40M "$WORK/old.raw"
qemu-img convert -O qcow2 "$WORK/old.raw" "$WORK/old.qcow2"
check "a qcow2 image is made into an encrypted disk" \
	vmcrypt disk encrypt web old --source "$WORK/old.qcow2" --format qcow2
check "its source is removed once the copy is checked" test ! -e "$WORK/old.qcow2"

ID=$(vm_id web)
DISK=$(vmcrypt --json vm show web | json disks 0 path)
OLD=$(vmcrypt --json vm show web | json disks 2 path)
HOME_FILE=$(vmcrypt --json vm show web | json home path)
printf '%s\n' "$ID" >"$WORK/web.id"

prints "blkid says LUKS" 'TYPE="crypto_LUKS"' blkid -p "$DISK"
prints "cryptsetup luksDump names the token" 'vmcrypt' cryptsetup luksDump "$DISK"
check "the header has no keyslot" bash -c \
	"cryptsetup luksDump --dump-json-metadata '$DISK' | /usr/bin/python3 -c 'import json,sys; sys.exit(bool(json.load(sys.stdin)[\"keyslots\"]))'"
prints "an independent program unwraps the DEK with the server's KEK" 'unwraps' \
	"$E2E/dek.py" --check "$KMS/kmip.db" "$DISK" "$OLD" "$HOME_FILE"

prints "the VM powers on with real QEMU, and writes" 'wrote entry 0: first-light' guest web first-light
said "the guest had its TPM" 'has a TPM'
prints "the VM is off when QEMU ends" '"power": ?"off"' vmcrypt --json vm show web
check "no mapping is left" no_mapping

DEV=$(vmcrypt disk open web root)
check "what the guest wrote is in the mapping" finds first-light "$DEV"
check "and not in the image" finds_not first-light "$DISK"
prints "cryptsetup status knows the mapping" 'type: +LUKS2' cryptsetup status "vmcrypt-$ID-root"
prints "its key is in a keyring" 'key location: keyring' cryptsetup status "vmcrypt-$ID-root"
check "the disk closes" vmcrypt disk close web root

DEV=$(vmcrypt disk open web old)
check "the encrypted disk holds the image's bytes" cmp -n 41943040 "$WORK/old.raw" "$DEV"
check "and not in plain" finds_not 'written before encryption' "$OLD"
check "it closes" vmcrypt disk close web old

check "a VM with its own home opens" vmcrypt vm power-on web
MOUNT=$(vmcrypt --json vm show web | json mount)
check "the TPM's state is in the home volume" bash -c "ls '$MOUNT'/tpm/*.permall"
check "flags of the disk are those asked for" bash -c \
	"dmsetup table vmcrypt-$ID-data | grep no_read_workqueue | grep -q no_write_workqueue"
refuses "a VM that is on cannot be unregistered" 9 'on' vmcrypt vm unregister web
check "it powers off" vmcrypt vm power-off web

check "vmcryptd stops" daemon_stop
check "the key servers stop" kms_stop
done_testing
