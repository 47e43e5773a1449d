#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Quick Boot: a trusted host that was attested starts another kernel by kexec; then
# it is as one that joins after its kexec; then it boots in full. Authority and key
# server are on that host, too: what they know is on its disk.

# shellcheck source=lib.sh
. "$LAB_TREE/selftests/trust/lib.sh"
plan

HOSTS=(host1)

# shellcheck disable=SC2016 # it is the host that is asked
facts='(tpm2_readclock | grep reset_count; tpm2_pcrread sha256:0,1,2,3,4,5,6,7) | sha256sum'

# services_up: those of the authority, and the key server
services_up()
{
	check "the authority runs on it" '' 0 member host1 authority
	check "so does the key server" '' 0 member host1 kms
}

# kernel_anew WHAT COMMAND...: by that
kernel_anew()
{
	check "$1" 'is up after' 0 "${@:2}"
	check "vmcryptd starts" '' 0 member host1 trusted
	services_up
}

provider_anew()
{
	check "the services info is written" 'dc1' 0 \
		on host1 sh -c 'rm -f /lab/services.json; exec vmcrypt trust services-info --out /lab/services.json'
	check "the host has the provider" 'knows the services' 0 \
		on host1 vmcrypt provider add trusted ta --services-info /lab/services.json --default
}

machines_up
services_up
check "a cluster is made" "'dc1' made" 0 on host1 vmcrypt trust init dc1 --public-address host1
cp "$VMCRYPT_LAB/maker.pem" "$(file_of host1 maker.pem)"
check "it believes the maker of the TPM" 'are believed' 0 on host1 vmcrypt trust ca add maker /lab/maker.pem
check "and asks for no Secure Boot" '' 0 on host1 vmcrypt trust policy set --secure-boot no
check "the key server is known" "'kms' added" 0 \
	on host1 vmcrypt trust key-provider add kmip kms --server "${ADDRESS[host1]}" --default
check "by its CA" '' 0 on host1 vmcrypt trust key-provider trust kms pin --ca /lab/kms-ca.pem
check "a certificate is asked of it" '' 0 on host1 sh -c 'vmcrypt trust key-provider trust kms csr >/lab/host1.csr'
check "and signed" '' 0 member host1 sign host1
check "and uploaded" 'installed' 0 on host1 vmcrypt trust key-provider trust kms upload /lab/host1.pem

# ---- a full boot ------------------------------------------------------------------------

check "after a full boot the image is exported" 'events' 0 \
	on host1 vmcrypt trust host-image export --out /lab/first.image
! grep -q 'Quick Boot' "$out"
same "and nothing is said of Quick Boot" "$?" 0
check "the authority knows it" 'first' 0 on host1 vmcrypt trust base-image import /lab/first.image --name first
provider_anew
check "the host is attested" "attested by 'host1'" 0 on host1 vmcrypt trust host attest ta
check "as started in full" '"quick_boot": false' 0 on host1 vmcrypt --json trust host status ta
check "a VM is made" '' 0 vm_made host1 web
before=$(on host1 sh -c "$facts")

# ---- Quick Boot of a host that was attested ------------------------------------------------

kernel_anew "the host is upgraded by kexec" "$lab" kexec host1
same "the TPM knows nothing of it" "$(on host1 sh -c "$facts")" "$before"
check "the host is attested by its receipt" "attested by 'host1'" 0 on host1 vmcrypt trust host attest ta
check "as what it booted in full" 'Base image: first' 0 on host1 vmcrypt trust host status ta
said "and says so" 'Quick Boot: this is the image of the last full boot'
check "the VM gets its key" '' 0 on host1 vmcrypt vm power-on web
check "and gives it back" '' 0 on host1 vmcrypt vm power-off web
check "the image is exported again" 'started by Quick Boot (kexec)' 0 \
	on host1 vmcrypt trust host-image export --out /lab/second.image
check "it is the same image" "imported already, as 'first'" 5 \
	on host1 vmcrypt trust base-image import /lab/second.image --name second
check "the authority lists who needs it after Quick Boot" 'first .*host1 *$' 0 on host1 vmcrypt trust base-image list
check "and does not remove it" 'upgraded by Quick Boot' 5 on host1 vmcrypt trust base-image remove first
said "before a full reboot" 'Hint: keep it until they have completed a full reboot'
check "unless that is forced" '' 0 on host1 vmcrypt trust base-image remove first --force
check "then the host is refused" 'base image' '[1-9]*' on host1 vmcrypt trust host attest ta
check "as one that booted something else" '"reason": "policy_mismatch"' 0 on host1 vmcrypt --json trust host status ta
check "imported of the kexec'd host the image is the same" 'exported after a Quick Boot' 0 \
	on host1 vmcrypt trust base-image import /lab/second.image --name second
check "the host is attested again" "attested by 'host1'" 0 on host1 vmcrypt trust host attest ta

# ---- Quick Boot of a host that was not ------------------------------------------------------

check "the VM goes" '' 0 on host1 vmcrypt vm unregister web
check "the provider goes, and the receipt with it" '' 0 on host1 vmcrypt provider remove ta
provider_anew
check "a host that joins after its kexec is refused" 'was not attested since its last full boot' '[1-9]*' \
	on host1 vmcrypt trust host attest ta
said "with what cures it" 'only a full boot'
check "by that reason" '"reason": "quick_boot"' 0 on host1 vmcrypt --json trust host status ta
check "no VM can be made" 'last full boot' '[1-9]*' vm_made host1 web2
kernel_anew "a full boot" "$lab" reboot host1
check "cures it" "attested by 'host1'" 0 on host1 vmcrypt trust host attest ta
check "as started in full" '"quick_boot": false' 0 on host1 vmcrypt --json trust host status ta
check "a VM can be made" '' 0 vm_made host1 web2
check "nobody needs an image after Quick Boot" 'second' 0 on host1 vmcrypt --json trust base-image list
! grep -q quick_boot_hosts "$out"
same "so it may be removed" "$?" 0
check "and is" '' 0 on host1 vmcrypt trust base-image remove second
done_testing
