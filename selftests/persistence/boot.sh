#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# boot.sh PART: what happens in one boot of the host, see host.sh.

# shellcheck source=../e2e/lib.sh
. "$LAB_TREE/selftests/e2e/lib.sh"
plan

NV='0x1B0C2E[01]'
persist=/var/lib/vmcrypt/persist

# change_pcr7: as another Secure Boot state does.
change_pcr7()
{
	tpm2_pcrextend -T device:/dev/tpmrm0 \
		"7:sha256=0000000000000000000000000000000000000000000000000000000000000001"
}

nv_indices()
{
	tpm2_getcap -T device:/dev/tpmrm0 handles-nv-index
}

setup_vm()
{
	vmcrypt provider add kmip kms --server localhost:5696 --default &&
		vmcrypt provider trust kms pin --ca "$KMS/ca.pem" &&
		vmcrypt provider trust kms csr >"$WORK/host.csr" &&
		"$LAB_TREE/tools/lab" pykmip sign "$KMS" "$WORK/host.csr" "$WORK/host.pem" &&
		vmcrypt provider trust kms upload "$WORK/host.pem" &&
		mkdir -p "$WORK/web" &&
		vmcrypt vm create web --dir "$WORK/web" &&
		vmcrypt disk create web root --size 32M
}

power_cycle()
{
	vmcrypt vm power-on web && vmcrypt vm power-off web
}

part_enable()
{
	check "a key server starts" kms_start --client host-a
	check "vmcryptd starts" daemon_start
	check "a VM is made" setup_vm || bail "no VM, no test"
	prints "persistence is off by default" 'persistence: off' vmcrypt host persistence status
	prints "it is enabled" '2 keys were fetched|1 keys were fetched' vmcrypt host persistence enable
	prints "and says so" 'Sealed to: PCR 7 \(sha256\)' vmcrypt host persistence status
	prints "its counters are in the TPM" "$NV" nv_indices
	prints "the recovery key is printed" '^([0-9]{6}-){15}[0-9]{6}$' vmcrypt host persistence recovery-key
	refuses "once" 9 'exported before' vmcrypt host persistence recovery-key
	check "no key of the server is in the stored files" bash -c \
		"! grep -r -q -a 'BEGIN' '$persist'"
	check "the VM powers on and off" power_cycle
	check "the key server stops for good" kms_stop
}

part_no-server()
{
	check "vmcryptd starts" daemon_start
	check "the VM powers on with no key server" power_cycle
	prints "its keys came from the TPM" 'Stored keys: [1-9]' vmcrypt host persistence status
}

part_changed()
{
	check "PCR 7 changes" change_pcr7
	check "vmcryptd starts" daemon_start
	refuses "the VM does not power on" '*' 'kms|key' vmcrypt vm power-on web
	prints "the status names the PCR" 'PCR 7 changed' vmcrypt host persistence status
	said "and the cure" 'vmcrypt host persistence reseal'
	prints "there is an alarm" 'host' vmcrypt alarm list
	check "the key server comes back" kms_start
	prints "the keys are sealed anew" 'sealed to what this host has booted' vmcrypt host persistence reseal
	prints "and open" 'persistence: on$' vmcrypt host persistence status
	check "the VM powers on" power_cycle
	check "the key server stops for good" kms_stop
}

part_resealed()
{
	check "PCR 7 changes as the last time" change_pcr7
	check "vmcryptd starts" daemon_start
	check "the VM powers on with no key server" power_cycle
	prints "a suspension is taken" 'next 1 starts' vmcrypt host persistence suspend --reboots 1
}

# Another TPM, and a suspension that has not come to its end: the disk was stolen.
part_stolen()
{
	check "vmcryptd starts" daemon_start
	refuses "nothing opens with another TPM" '*' 'kms|key' vmcrypt vm power-on web
	prints "the status tells" 'root key' vmcrypt host persistence status
	check "what is stored can be removed" vmcrypt host persistence disable --remove-all-stored-keys
	check "nothing is left on the disk" test ! -e "$persist"
	prints "and nothing in the TPM" '^$|^[^0]*$' bash -c "tpm2_getcap -T device:/dev/tpmrm0 handles-nv-index | grep -v -E '$NV'; echo"
	prints "persistence is off" 'persistence: off$' vmcrypt host persistence status
	refuses "the VM is still locked" '*' 'kms|key' vmcrypt vm power-on web
}

"part_$1"
check "vmcryptd ends" daemon_stop
done_testing
