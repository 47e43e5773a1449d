#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# boot.sh PART: what happens in one boot of the host, see host.sh.

# shellcheck source=../e2e/lib.sh
. "$LAB_TREE/selftests/e2e/lib.sh"
plan

NV='0x1B0C2E[01]'
TPM=device:/dev/tpmrm0
VTPM=$WORK/vtpm
persist=/var/lib/vmcrypt/persist
conf=/etc/vmcrypt/vmcrypt.conf

# extend PCR: as another Secure Boot state does (7), or another kernel (11).
extend()
{
	tpm2_pcrextend -T "$TPM" \
		"$1:sha256=0000000000000000000000000000000000000000000000000000000000000001"
}

nv_indices()
{
	tpm2_getcap -T "$TPM" handles-nv-index
}

no_counters()
{
	nv_indices >"$WORK/indices" && ! grep -E "$NV" "$WORK/indices"
}

setup_vm()
{
	vmcrypt provider add kmip kms --server localhost:5696 --default &&
		vmcrypt provider trust kms pin --ca "$KMS/ca.pem" &&
		vmcrypt provider trust kms csr >"$WORK/host.csr" &&
		"$LAB_TREE/tools/lab" pykmip sign "$KMS" "$WORK/host.csr" "$WORK/host.pem" &&
		vmcrypt provider trust kms upload "$WORK/host.pem" &&
		mkdir -p "$WORK/web" "$WORK/short" "$WORK/leased" &&
		vmcrypt vm create web --dir "$WORK/web" &&
		vmcrypt disk create web root --size 32M
}

power_cycle()
{
	vmcrypt vm power-on web && vmcrypt vm power-off web
}

# field VM KEY...: what "vm show" says
field()
{
	local vm=$1

	shift
	vmcrypt --json vm show "$vm" | json "$@"
}

is()
{
	[ "$(field "$1" "$2")" = "$3" ]
}

# ---- the guest's TPM: its state is in the home volume ----------------------------

vtpm_start()
{
	swtpm socket --tpm2 --tpmstate "dir=$(field web mount)/tpm" --server "type=unixio,path=$VTPM" \
		--ctrl "type=unixio,path=$VTPM.ctrl" --flags not-need-init,startup-clear --daemon \
		--pid "file=$VTPM.pid" && [ -s "$VTPM.pid" ]
}

vtpm_ended()
{
	! kill -0 "$1" 2>/dev/null
}

vtpm_stop()
{
	local pid

	pid=$(cat "$VTPM.pid") || return 1
	tpm2_shutdown -T "swtpm:path=$VTPM" -c
	kill "$pid"
	wait_for 20 vtpm_ended "$pid"
}

vtpm_write()
{
	vtpm_start &&
		tpm2_nvdefine -T "swtpm:path=$VTPM" 0x1500001 -C o -s 11 -a 'ownerread|ownerwrite' &&
		printf 'of-a-guest-' | tpm2_nvwrite -T "swtpm:path=$VTPM" 0x1500001 -C o -i - &&
		vtpm_stop
}

vtpm_read()
{
	vtpm_start && tpm2_nvread -T "swtpm:path=$VTPM" 0x1500001 -C o -s 11 && vtpm_stop
}

# ---- the configuration -------------------------------------------------------------

# configure LINE...: and start vmcryptd anew
configure()
{
	printf '%s\n' "$@" >"$conf" && daemon_stop && daemon_start
}

# The kernel forgets its keys; what vmcryptd has stored, it restores.
forget_keys()
{
	daemon_stop && rmmod vmcrypt && modprobe vmcrypt && daemon_start
}

# As systemd-measure sign does it, for what is in PCR 11 now.
sign_pcr11()
{
	local key=$WORK/sign.key

	[ -s "$key" ] || openssl genrsa -out "$key" 2048 || return 1
	openssl rsa -in "$key" -pubout -out /etc/vmcrypt/sign.pem &&
		tpm2_createpolicy -T "$TPM" --policy-pcr -l sha256:11 -L "$WORK/policy" >/dev/null &&
		printf '{"sha256":[{"pcrs":[11],"pkfp":"%s","pol":"%s","sig":"%s"}]}\n' \
			"$(openssl rsa -in "$key" -RSAPublicKey_out -outform DER | sha256sum | cut -d' ' -f1)" \
			"$(od -An -tx1 -v "$WORK/policy" | tr -d ' \n')" \
			"$(openssl dgst -sha256 -sign "$key" "$WORK/policy" | base64 -w0)" >/etc/vmcrypt/signature.json
}

tpm_clock()
{
	tpm2_readclock -T "$TPM" | sed -n 's/^ *clock: *//p'
}

# ---- leases --------------------------------------------------------------------------

not_cached()
{
	[ "$(field "$1" home cached)" = False ]
}

lease_test()
{
	check "a lease of 6 s is set" configure '[cache]' 'lease = 6' || return
	check "a VM is made" vmcrypt vm create short --dir "$WORK/short"
	check "and powered on" vmcrypt vm power-on short
	check "the kernel drops the key of the VM that is on" wait_for 30 not_cached short
	check "which runs on" touch "$(field short mount)/nvram/written"
	check "it is powered off" vmcrypt vm power-off short
	check "and on again, which fetches the key" vmcrypt vm power-on short
	check "and off" vmcrypt vm power-off short
	check "a lease of an hour is set" configure '[cache]' 'lease = 3600'
	check "a VM is made whose key is kept for so long" vmcrypt vm create leased --dir "$WORK/leased"
	check "no lease is set" configure ''
}

lease_over_a_reboot()
{
	local clock

	prints "the lease goes on over the reboot" 'kms/.* [0-9]+ ?(m|min|s)' vmcrypt key list
	check "the VM with it powers on" vmcrypt vm power-on leased
	check "and off" vmcrypt vm power-off leased
	clock=$(tpm_clock)
	check "the TPM's clock goes on by two hours" tpm2_setclock -T "$TPM" -c o $((clock + 7200000))
	check "the kernel forgets its keys" forget_keys
	refuses "the key is not restored: the VM does not power on" '*' 'key' vmcrypt vm power-on leased
	prints "because its lease has ended" 'lease of key .* has ended' vmcrypt vm show leased
	check "the other VM's key is" power_cycle
}

# ---- the parts -------------------------------------------------------------------------

part_enable()
{
	check "a key server starts" kms_start --client host-a
	check "vmcryptd starts" daemon_start
	check "a VM is made" setup_vm || bail "no VM, no test"
	check "it is to start with the host" vmcrypt vm set web --autostart yes
	prints "persistence is off by default" 'persistence: off' vmcrypt host persistence status
	prints "it is enabled" '2 keys were fetched|1 keys were fetched' vmcrypt host persistence enable
	prints "and says so" 'Sealed to: PCR 7 \(sha256\)' vmcrypt host persistence status
	prints "its counters are in the TPM" "$NV" nv_indices
	prints "the recovery key is printed" '^([0-9]{6}-){15}[0-9]{6}$' vmcrypt host persistence recovery-key
	refuses "once" 9 'exported before' vmcrypt host persistence recovery-key
	check "no key of the server is in the stored files" bash -c \
		"! grep -r -q -a 'BEGIN' '$persist'"
	check "the VM powers on" vmcrypt vm power-on web
	check "its guest writes to its TPM" vtpm_write
	check "the VM powers off" vmcrypt vm power-off web
	lease_test
	check "the key server stops for good" kms_stop
	prints "a reboot would lock the VM whose key is not kept any more" "VM 'short' would be locked" bash -c 'vmcrypt doctor; true'
	check "and no other" bash -c "! grep -E \"VM '(web|leased)' would\" '$OUT'"
}

part_no-server()
{
	check "vmcryptd starts" daemon_start
	check "the VM comes on by itself, with no key server" wait_for 60 is web power on
	prints "its keys came from the TPM" 'Stored keys: [1-9]' vmcrypt host persistence status
	prints "its guest's TPM is as it was" 'of-a-guest-' vtpm_read
	check "the VM powers off" vmcrypt vm power-off web
	lease_over_a_reboot
	check "what was powered off is still off" is web power off
}

part_changed()
{
	check "PCR 7 changes" extend 7
	printf '[health]\nretry = 2\ninterval = 5\n' >"$conf"
	check "vmcryptd starts" daemon_start
	check "the VM does not come on: it is locked for want of its key server" wait_for 60 is web cause kms-error
	refuses "nor by hand" '*' 'kms|key' vmcrypt vm power-on web
	prints "the status names the PCR" 'PCR 7 changed' vmcrypt host persistence status
	said "and the cure" 'vmcrypt host persistence reseal'
	prints "there is an alarm" 'host' vmcrypt alarm list
	check "the key server comes back" kms_start
	prints "the keys are sealed anew" 'sealed to what this host has booted' vmcrypt host persistence reseal
	prints "and open" 'persistence: on$' vmcrypt host persistence status
	check "the VM comes on by itself, late" wait_for 60 is web power on
	check "and is powered off" vmcrypt vm power-off web
	check "the key server stops for good" kms_stop
}

signed_policy()
{
	check "what is in PCR 11 is signed" sign_pcr11
	check "a signed policy is configured" configure '[tpm]' 'public_key = /etc/vmcrypt/sign.pem' \
		'signature = /etc/vmcrypt/signature.json'
	check "the keys are sealed to it" vmcrypt host persistence reseal
	prints "the status says so" 'Sealed to: PCR policies signed by' vmcrypt host persistence status
	check "PCR 7 has no say any more" extend 7
	check "the kernel forgets its keys" forget_keys
	check "the VM powers on" power_cycle
	check "PCR 11 changes, as by another kernel" extend 11
	check "the kernel forgets its keys once more" forget_keys
	refuses "nobody has signed that: the VM does not power on" '*' 'kms|key' vmcrypt vm power-on web
	prints "the status tells the cure" 'systemd-measure sign' vmcrypt host persistence status
	check "it is signed" sign_pcr11
	check "the kernel forgets its keys a last time" forget_keys
	check "the VM powers on" power_cycle
}

part_resealed()
{
	check "PCR 7 changes as the last time" extend 7
	check "vmcryptd starts" daemon_start
	check "the VM comes on by itself, with no key server" wait_for 60 is web power on
	check "and is powered off" vmcrypt vm power-off web
	signed_policy
	prints "a suspension is taken" 'next 1 starts' vmcrypt host persistence suspend --reboots 1
}

# Another TPM, and a suspension that has not come to its end: the disk was stolen.
part_stolen()
{
	: >"$conf"
	check "vmcryptd starts" daemon_start
	check "nothing opens with another TPM" wait_for 60 is web cause kms-error
	refuses "nor by hand" '*' 'kms|key' vmcrypt vm power-on web
	prints "the status tells" 'root key' vmcrypt host persistence status
	check "it is not to start with the host any more" vmcrypt vm set web --autostart no
	check "what is stored can be removed" vmcrypt host persistence disable --remove-all-stored-keys
	check "nothing is left on the disk" test ! -e "$persist"
	check "the key server comes back" kms_start
	check "with it the VM powers on" power_cycle
	refuses "another TPM is not taken unnoticed" '*' 'root key' vmcrypt host persistence enable
	said "and the cure is told" 'reseal --new-tpm'
	refuses "it is taken when one says so" 9 'from now on' vmcrypt host persistence reseal --new-tpm
	check "persistence is enabled with it" vmcrypt host persistence enable
	prints "its counters are in it" "$NV" nv_indices
	check "all is removed once more" vmcrypt host persistence disable --remove-all-stored-keys
	check "nothing is left on the disk" test ! -e "$persist"
	check "and nothing in the TPM" no_counters
	check "the key server stops for good" kms_stop
	prints "persistence is off" 'persistence: off$' vmcrypt host persistence status
	check "the kernel forgets its keys" forget_keys
	refuses "with persistence off a reboot locks the VM" '*' 'kms|key' vmcrypt vm power-on web
	prints "and the cause is the key server" 'kms-error' vmcrypt vm show web
	prints "the VM's alarm says the same" 'KMS cluster error' vmcrypt alarm list
}

"part_$1"
check "vmcryptd ends" daemon_stop
done_testing
