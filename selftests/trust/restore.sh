#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# An authority is lost with all that it kept. A fresh machine of its name takes
# its backup, and serves the same trusted host, which does not enrol again. The
# key server is on the trusted host.

# shellcheck source=lib.sh
. "$LAB_TREE/selftests/trust/lib.sh"
plan

HOSTS=(ta1 host1)
kept=$VMCRYPT_LAB/kept

# restore FILE PASSWORD [OPTION]: on ta1
restore()
{
	on ta1 sh -c 'printf "%s\n" "$1" | vmcrypt trust restore "$2" --password-fd 0 $3' - "$2" "/lab/$1" "${3-}"
}

services_anew()
{
	member ta1 stop vmcrypt-attestd && member ta1 stop vmcrypt-kmxd &&
		member ta1 start vmcrypt-attestd && member ta1 start vmcrypt-kmxd
}

receipts()
{
	on host1 sh -c 'cd /var/lib/vmcrypt/trust/ta && sha256sum ak*'
}

machines_up
check "a key server starts" '' 0 member host1 kms
check "its CA is known to ta1" '' 0 bring kms-ca.pem host1 ta1
check "a cluster is made" "'dc1' made" 0 on ta1 vmcrypt trust init dc1 --public-address ta1
maker_known
no_secure_boot
image_exported host1 host1.image
check "ta1 imports it" "host1" 0 on ta1 vmcrypt trust base-image import /lab/host1.image --name host1
check "it has a key provider" "'kms' added" 0 \
	on ta1 vmcrypt trust key-provider add kmip kms --server "${ADDRESS[host1]}" --default
check "trusted by its CA" '' 0 on ta1 vmcrypt trust key-provider trust kms pin --ca /lab/kms-ca.pem
check "it asks for a certificate" '' 0 on ta1 sh -c 'vmcrypt trust key-provider trust kms csr >/lab/ta1.csr'
check "which comes to the key server" '' 0 bring ta1.csr ta1 host1
check "its CA signs it" '' 0 member host1 sign ta1
check "it comes back" '' 0 bring ta1.pem host1 ta1
check "and is uploaded" 'installed' 0 on ta1 vmcrypt trust key-provider trust kms upload /lab/ta1.pem
host_joined host1
check "a VM is made under it" '' 0 vm_made host1 web
enrolled=$(receipts)
check "all is well" 'VMHostBaseImage.*yes' 0 on ta1 vmcrypt trust health

# ---- backup --------------------------------------------------------------------------------

check "a short password is refused" 'must have 8' 1 \
	on ta1 sh -c 'echo short | vmcrypt trust backup --out /lab/dc1.backup --password-fd 0'
check "and leaves no file" '' 1 test -e "$(file_of ta1 dc1.backup)"
check "a backup is made" 'files of this authority' 0 \
	on ta1 sh -c 'echo correct horse battery | vmcrypt trust backup --out /lab/dc1.backup --password-fd 0'
check "into no file that is there" '' '[1-9]*' \
	on ta1 sh -c 'echo correct horse battery | vmcrypt trust backup --out /lab/dc1.backup --password-fd 0'
cp "$(file_of ta1 dc1.backup)" "$kept"
check "nothing of it can be read" '' 1 grep -q -a -e 'PRIVATE KEY' -e '"cluster"' "$kept"

# ---- all is lost -----------------------------------------------------------------------------

check "the authority burns down" '' 0 "$lab" down ta1 --hard --wipe
check "nobody attests" 'attestation service of' 8 on host1 vmcrypt trust host attest ta
machine_up ta1 >"$VMCRYPT_LAB/ta1.log" 2>&1 || bail "no fresh machine: $(tail -n 10 "$VMCRYPT_LAB/ta1.log")"
ok "a fresh machine has its name and address"
check "it is in no cluster" '' '[1-9]*' on ta1 vmcrypt trust health
check "the host does not take it for the authority" '' '[1-9]*' on host1 vmcrypt trust host attest ta
# the key is to come from the key server, not from this host
check "the host starts anew" 'is up after' 0 "$lab" reboot host1
check "with vmcryptd" '' 0 member host1 trusted
check "and the key server" '' 0 member host1 kms

# ---- restore -----------------------------------------------------------------------------------

cp "$kept" "$(file_of ta1 dc1.backup)"
head -c 1000 "$kept" >"$(file_of ta1 cut.backup)"
check "not with another password" '' 7 restore dc1.backup 'wrong horse battery'
check "not of a part of the file" '' '[1-9]*' restore cut.backup 'correct horse battery'
check "restored" "cluster 'dc1' that the backup was made of" 0 restore dc1.backup 'correct horse battery'
check "the services restart" '' 0 services_anew
check "all is well" 'VMHostBaseImage.*yes' 0 on ta1 vmcrypt trust health
check "it may change the state" '' 0 on ta1 vmcrypt trust policy set --lease 3600
check "it is not replaced unawares" "in the cluster 'dc1' already" 5 restore dc1.backup 'correct horse battery'
check "but by force" 'made of' 0 restore dc1.backup 'correct horse battery' --force

# ---- the same host -----------------------------------------------------------------------------

check "the host is attested" "attested by 'ta1'" 0 on host1 vmcrypt trust host attest ta
same "by the receipt that it had" "$(receipts)" "$enrolled"
check "the VM gets the key that it had, which opens its volume" 'home */' 0 on host1 vmcrypt vm power-on web
check "that closes" '' 0 on host1 vmcrypt vm power-off web
check "another VM can be made" '' 0 vm_made host1 db
check "the authority knows the host" 'host1' 0 on ta1 vmcrypt trust base-image list
done_testing
