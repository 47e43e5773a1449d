#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A Trust Authority as an operator sees it: from two empty machines to VMs on an
# attested host, every refusal on the way, an upgrade, and authorities that go.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
HOSTS=(ta1 ta2 host1)
missing_key='Virtual machine is locked because Trust Authority managed key(s) are missing on the required host'
unavailable='Virtual machine is locked because the required Trusted Key Provider(s) is unavailable'
plan

# On the authority that makes changes, and on the host.
trust()
{
	on ta1 vmcrypt trust "$@"
}

vm()
{
	on host1 vmcrypt "$@"
}

remediated()
{
	becomes "the other authority learns of it" '' 0 trust remediate
}

attested()
{
	check "$1" "$2" 0 vm trust host attest ta
}

# refused WHAT TEXT REASON
refused()
{
	check "$1" "$2" 10 vm trust host attest ta
	said "there is advice" '^Hint: .'
	same "the reason is $3" "$(on host1 sh -c "vmcrypt --json trust host status ta | jq -r '.[0].reason'")" "$3"
}

# unhealthy ELEMENT WHAT
unhealthy()
{
	becomes "$2" "^The $1 is not healthy, please fix it first!$" 9 trust health
	said "there is advice" 'Hint: .'
}

# ask WHO VERB BODY: of ta1, over HTTPS from host1, with WHO's certificate
ask()
{
	member host1 ask ta1 "$3" "/v1/admin/$2" --cert "/lab/$1.crt" --key "/lab/$1.key"
}

# principal WHO ROLE
principal()
{
	local dir
	dir=$(dirname "$(file_of host1 x)")

	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
		-keyout "$dir/$1.key" -out "$dir/$1.crt" 2>/dev/null
	bring "$1.crt" host1 ta1
	check "$1 gets the role $2" 'the role is given' 0 trust principal add "$1" --role "$2" --cert "/lab/$1.crt"
}

no_alarm()
{
	! vm --json alarm list | grep -q -e "\"$1\""
}

cleared()
{
	if wait_for 40 no_alarm "$1"; then
		ok "the alarm $1 clears itself"
	else
		not_ok "the alarm $1 clears itself"
		diag "$(vm alarm list)"
	fi
}

runs_on()
{
	same "the VM that runs goes on" "$(on host1 sh -c "vmcrypt --json vm show web | jq -r .power")" on
	check "its disk takes data and gives it back" '100 blocks' 0 member host1 io web
	check "an unencrypted VM starts" '' 0 member host1 plain
}

# ---- set-up, and who is refused until it is complete ------------------------------------
machines_up
cluster_made
check "one authority makes the changes" 'the key of the cluster is not on this authority' 10 \
	on ta2 vmcrypt trust policy set --lease 60
provider_added host1
unhealthy Tpm2AttestationSettings "no TPM is believed yet"
refused "nor is the host's" 'the endorsement key does not lead to a trusted CA' ek_untrusted
maker_known
remediated
unhealthy VMHostBaseImage "there is no base image yet"
refused "a host without Secure Boot is refused" 'does not prove that it was started with Secure Boot' secure_boot_off
no_secure_boot
remediated
refused "a host is refused while there is no base image" 'there are no base images' policy_mismatch
image_exported host1 first.image
check "ta1 imports it" "'first'" 0 trust base-image import /lab/first.image --name first
remediated
attested "the host is attested" "attested by 'ta1' until"
said "as that image" 'Base image: first'
becomes "all is healthy" 'VMHostBaseImage .*first .*yes' 0 trust health
number=$(on host1 sh -c "vmcrypt --json trust host status ta | jq -r '.[0].correlation'")
check "both ends log one number" "$number" 0 on ta1 grep "$number" /srv/vms/vmcrypt-attestd.log
check "the answer to a challenge of another is stale" '"reason":"nonce_expired"' 0 member host1 stray

# ---- from afar -----------------------------------------------------------------------------
principal alice trust-admin
principal monitor auditor
principal box host
check "an auditor sees" '"cluster":"dc1"' 0 ask monitor status '{}'
check "and changes nothing" "needs the role trust-admin, and the caller has the role auditor" 0 \
	ask monitor policy-set '{"secure_boot":false}'
check "a host administers nothing" "needs the role auditor, and the caller has the role host" 0 ask box status '{}'
check "an administrator does" '"token_lifetime":300' 0 ask alice policy-set '{"token_lifetime":300}'
remediated

# ---- VMs -----------------------------------------------------------------------------------
check "an encrypted VM is made" "'web' created" 0 vm vm create web --dir /srv/vms/guests
check "with a disk" 'created' 0 vm disk create web root --size 16M
check "and another VM" "'db' created" 0 vm vm create db --dir /srv/vms/guests
check "one powers on" 'is on' 0 vm vm power-on web
runs_on

# ---- a key server that gives each authority only its own keys ------------------------------------
key_server_known ta2 ta2
unhealthy KeyProvider "ta2 is another one to the key server"
said "it gets no key that ta1 made" "authority 'ta2' does not get key .* which authority 'ta1' made: "
key_server_known ta2
becomes "with the certificate of both it does" 'VMHostBaseImage .*first .*yes' 0 trust health

# ---- an image that nobody knows any more ------------------------------------------------------
check "its image is removed" '' 0 trust base-image remove first
remediated
refused "the host is not attested any more" 'there are no base images' policy_mismatch
said "the remedy is that of an upgrade" 'host-image export.*base-image import.*base-image remove'
check "its other VM, whose key it had, does not power on" "$missing_key" 10 vm vm power-on db
check "no encrypted VM is made" 'there are no base images' 10 vm vm create more --dir /srv/vms/guests
runs_on
check "an alarm says so" 'Trusted Host attestation failed\. VMs that run go on' 0 vm alarm list
said "and one about the VM" "$missing_key"
check "and an event" 'Trusted Host attestation failed\.$' 0 vm event list --type attestation
check "the image is imported again" "'first'" 0 trust base-image import /lab/first.image --name first
remediated
attested "the host is attested again" 'Base image: first'
cleared host-attestation
check "the other VM powers on" 'is on' 0 vm vm power-on db
cleared vm-locked

# ---- an upgrade, whose image was not imported before ------------------------------------------
check "the image that will come is not there" 'Not now' 9 trust upgrade-check hosts --image second
check "the VM powers off" '' 0 vm vm power-off web
check "the host goes down, its kernel is content" '' 0 "$lab" down host1
check "it comes up with other firmware" '' 0 machine_up host1 --qemu '-smbios type=0,version=second'
refused "which nobody knows" "from 'first', the nearest, PCR 1 differ.*expected .*, found " policy_mismatch
check "the host says what differs" 'PCR 1: expected' 0 vm trust host status ta
check "its VM does not power on" "$missing_key" 10 vm vm power-on web
check "and an alarm says why" "$missing_key" 0 vm alarm list
image_exported host1 second.image
check "ta1 imports it" "'second'" 0 trust base-image import /lab/second.image --name second
remediated
check "hosts may come" '' 0 trust upgrade-check hosts --image second
attested "this one is attested" 'Base image: second'
check "its VM powers on" 'is on' 0 vm vm power-on web
check "what was on its disk is there" '100 blocks' 0 member host1 read web
check "the list tells who attested as which" 'second .*host1' 0 trust base-image list
check "the old image is removed" '' 0 trust base-image remove first
remediated
attested "which the host does not need" 'Base image: second'

# ---- an authority is removed, reverted, and added again ---------------------------------------
check "an authority is removed" '' 0 trust authority remove ta2
becomes "the rest is healthy" 'VMHostBaseImage .*second .*yes' 0 trust health
check "the one that went serves no host" 'is not in the Trust Authority cluster' 0 \
	member host1 ask ta2 '{"ak_receipt":"x"}' /v1/attest/challenge
check "and says so" 'is not in the Trust Authority cluster' 9 on ta2 vmcrypt trust health
check "it is set back" '' 0 member ta2 stop
check "and starts" '' 0 member ta2 start
authority_added ta2
becomes "it is as consistent as the other" 'AttestationServiceStatus .*ta2 .*yes' 0 trust health

# ---- what is first not healthy -------------------------------------------------------------------
check "a key server stops" '' 0 member ta2 kms-stop
unhealthy KeyProvider "the walk comes to it"
key=$(on host1 sh -c "vmcrypt --json vm show db | jq -r .home.key")
check "a VM has no key on the host" '' 0 vm key remove --force "$key"
check "does not power on" "$unavailable" 8 vm vm power-on db
said "the key server is named" "key provider service of 'ta[12]'.*key server"
check "the host is attested all the same" 'attested' 0 vm trust host status ta
check "a Key Provider Service stops" '' 0 member ta2 stop vmcrypt-kmxd
unhealthy KeyProviderServiceStatus "which comes before it"
check "an Attestation Service stops" '' 0 member ta2 stop vmcrypt-attestd
unhealthy AttestationServiceStatus "which is the first of all"
check "they start" '' 0 member ta2 start
check "and the key server" '' 0 member ta2 kms
becomes "all is healthy" 'VMHostBaseImage .*second .*yes' 0 trust health

# ---- one authority is killed, then the other ---------------------------------------------------
check "ta1 is killed" '' '*' "$lab" down ta1 --hard
attested "ta2 attests" "attested by 'ta2' until"
check "it makes a key for a new VM" "'late' created" 0 vm vm create late --dir /srv/vms/guests
check "which powers on" 'is on' 0 vm vm power-on late
key=$(on host1 sh -c "vmcrypt --json vm show db | jq -r .home.key")
check "ta2 stops, too" '' 0 member ta2 stop
check "a VM has no key on the host" '' '*' vm key remove --force "$key"
check "does not power on" "$unavailable" 8 vm vm power-on db
check "an alarm says why" "$unavailable" 0 vm alarm list
check "and an event" "$unavailable" 0 vm event list --type vm-locked
check "nothing is made" 'attestation service of\|key provider service of' 8 vm vm create more --dir /srv/vms/guests
runs_on
check "ta2 is back" '' 0 member ta2 start
cleared vm-locked
cleared provider-down
check "the VM powers on" 'is on' 0 vm vm power-on db
check "the host goes down, its kernel is content" '' 0 "$lab" down host1
done_testing
