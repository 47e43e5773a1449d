#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The services of an authority under systemd: their walls let them work, systemd
# and "vmcrypt trust service" rule them, the journal tells who refused what,
# polkit decides for others, and certificates rotate.

# shellcheck source=../e2e/lib.sh
. "$LAB_TREE/selftests/e2e/lib.sh"
plan

# ---- one authority, one key server, and this host as the one that is trusted -------------

state()
{
	vmcrypt --json trust host status ta | json 0 "$@"
}

is()
{
	[ "$("${@:2}")" = "$1" ]
}

units()
{
	systemctl "$@" vmcrypt-attestd.service vmcrypt-kmxd.service
}

# The TPM has no certificate: it is believed by its key.
know_tpm()
{
	tpm2_createek -Q -G ecc -c "$WORK/ek.ctx" -f pem -u "$WORK/ek.pem" &&
		vmcrypt trust ek add this "$WORK/ek.pem" &&
		vmcrypt trust policy set --require-ek-certificate no --secure-boot no
}

know_image()
{
	rm -f "$WORK/host.image"
	vmcrypt trust host-image export --out "$WORK/host.image" &&
		vmcrypt trust base-image import "$WORK/host.image" --name first
}

know_kms()
{
	vmcrypt trust key-provider add kmip kms --server 127.0.0.1:5696 --default &&
		vmcrypt trust key-provider trust kms pin --ca "$KMS/ca.pem" &&
		vmcrypt trust key-provider trust kms csr >"$WORK/kms.csr" &&
		"$LAB_TREE/tools/lab" pykmip sign "$KMS" "$WORK/kms.csr" "$WORK/kms.pem" &&
		vmcrypt trust key-provider trust kms upload "$WORK/kms.pem"
}

# know_services: the trusted provider, or what changed of its authority.
know_services()
{
	rm -f "$WORK/services.json"
	vmcrypt trust services-info --out "$WORK/services.json" &&
		vmcrypt provider add trusted ta --services-info "$WORK/services.json" --default
}

healthy()
{
	vmcrypt trust health
}

check "the tree installs" lab_install
check "the services start" systemctl enable --now vmcrypt-attestd.service vmcrypt-kmxd.service
check "both are ready" units is-active
prints "systemd shows what they know" 'in no cluster yet, port 5700' systemctl show -P StatusText vmcrypt-attestd.service
check "a cluster is made" vmcrypt trust init lab --public-address 127.0.0.1
status_has()
{
	systemctl show -P StatusText "$1" | grep -q "$2"
}
for unit in vmcrypt-attestd vmcrypt-kmxd; do
	check "$unit takes its state by itself" wait_for 20 status_has "$unit.service" "cluster 'lab'"
done
check "vmcryptd starts" systemctl enable --now vmcryptd.service
check "this TPM is believed" know_tpm
check "this host's image is imported" know_image
check "a key server" kms_start
check "is known to the authority" know_kms
check "all elements are healthy" wait_for 20 healthy
check "the host knows the services" know_services
prints "it attests through their walls" 'attested' vmcrypt trust host attest ta
check "it gets a key through them" vmcrypt vm create web --dir "$WORK"
check "and gives it back" vmcrypt vm unregister web

# ---- walls ----------------------------------------------------------------------------------

for unit in vmcrypt-attestd vmcrypt-kmxd; do
	pid=$(systemctl show -P MainPID "$unit.service")
	check "$unit: no core dumps" grep -q 'core file size  *0  *0' "/proc/$pid/limits"
	check "$unit: no capability" grep -q '^CapBnd:[[:space:]]*0*$' "/proc/$pid/status"
	check "$unit: seccomp is on" grep -q '^Seccomp:.*2' "/proc/$pid/status"
	check "$unit: no secret of it is in the journal" finds_not "PRIVATE KEY" <(journalctl -q -t "$unit")
done
check "kmxd reads the state" nsenter -m -t "$pid" test -r /var/lib/vmcrypt-trust/state.jws
for file in state.jws cluster.pub attestd/cluster.key attestd/token.key; do
	check "and cannot write $file" bash -c '! nsenter -m -t "$0" sh -c ">>/var/lib/vmcrypt-trust/$1" 2>/dev/null' \
		"$pid" "$file"
done
for file in attestd/cluster.key attestd/token.key; do
	check "nor read $file" bash -c '! nsenter -m -t "$0" sh -c "test -s /var/lib/vmcrypt-trust/$1"' "$pid" "$file"
done

# ---- vmcrypt trust service --------------------------------------------------------------------

prints "service status shows both" 'key-provider' vmcrypt trust service status
said "with what they are" 'attestation.*(active|runs)'
check "service stop" vmcrypt trust service stop key-provider
check "systemd has stopped it" is inactive systemctl is-active vmcrypt-kmxd.service
check "in good order" is success systemctl show -P Result vmcrypt-kmxd.service
check "and not the other" is active systemctl is-active vmcrypt-attestd.service
check "service status says so by its own status" bash -c 'vmcrypt trust service status; test $? = 9'
refuses "no key without it" 8 'key provider service of' vmcrypt vm create no-key --dir "$WORK"
check "service start" vmcrypt trust service start
check "all run again" vmcrypt trust service status
before=$(systemctl show -P MainPID vmcrypt-attestd.service)
check "service restart" vmcrypt trust service restart attestation
check "it is another process" test "$(systemctl show -P MainPID vmcrypt-attestd.service)" != "$before"
check "the host attests with that" vmcrypt trust host attest ta
refuses "there are no other services" 1 'no service of an authority' vmcrypt trust service restart frob
before=$(systemctl show -P MainPID vmcrypt-kmxd.service)
[ "$before" != 0 ] || bail "no Key Provider Service to kill"
kill -KILL "$before"
started_anew()
{
	local pid
	pid=$(systemctl show -P MainPID vmcrypt-kmxd.service)
	[ "$pid" != 0 ] && [ "$pid" != "$before" ] && [ "$(systemctl is-active vmcrypt-kmxd.service)" = active ]
}
check "one that dies is started anew" wait_for 20 started_anew

# ---- who refused what ------------------------------------------------------------------------

# correlated WHAT SERVICE: the refusal in OUT is in the journal of both ends.
correlated()
{
	local id
	id=$(sed -n 's/.*(correlation \([0-9a-f]\{16\}\)).*/\1/p' "$OUT" | head -n 1)
	check "$1: the error has a correlation" test -n "$id"
	journalctl --sync
	prints "$1: $2 tells of it" . journalctl -q -o cat -t "$2" "VMCRYPT_CORRELATION=$id"
	diag "$(cat "$OUT")"
	prints "$1: vmcryptd tells of it" . journalctl -q -o cat -t vmcryptd "VMCRYPT_CORRELATION=$id"
	diag "$(cat "$OUT")"
}

prints "each has an identifier of its own" . journalctl -q -t vmcrypt-attestd _SYSTEMD_UNIT=vmcrypt-attestd.service
prints "both have" . journalctl -q -t vmcrypt-kmxd _SYSTEMD_UNIT=vmcrypt-kmxd.service
check "the image goes" vmcrypt trust base-image remove first
refuses "a host without an image is refused" '*' 'correlation' vmcrypt trust host attest ta
correlated "attestation" vmcrypt-attestd
check "the image comes back" know_image
check "the host attests" vmcrypt trust host attest ta
check "the key server goes" kms_stop
refuses "a key is refused" '*' 'correlation' vmcrypt vm create no-key --dir "$WORK"
correlated "key" vmcrypt-kmxd
check "the key server comes back" kms_start

# ---- polkit ------------------------------------------------------------------------------------

as_user()
{
	setpriv --reuid="$1" --regid="$(id -g "$1")" --init-groups "${@:2}"
}

check "polkit" lab_polkit
useradd --system --no-create-home looker
useradd --system --no-create-home keeper
mkdir -p /etc/polkit-1/rules.d
cat >/etc/polkit-1/rules.d/40-trust.rules <<-'RULE'
	polkit.addRule(function (action, subject) {
		if (action.id == "org.vmcrypt1.trust.audit" && (subject.user == "looker" || subject.user == "keeper") ||
		    action.id == "org.vmcrypt1.trust.admin" && subject.user == "keeper")
			return polkit.Result.YES;
	});
RULE
echo correct horse battery >"$WORK/password"
refuses "nobody may not look" 2 'org.vmcrypt1.trust.audit' as_user nobody vmcrypt trust status
refuses "nor change anything" 2 'org.vmcrypt1.trust.admin' as_user nobody vmcrypt trust policy set --lease 60
refuses "nor stop a service" 2 'systemd: ' as_user nobody vmcrypt trust service stop
check "an auditor looks" wait_for 20 as_user looker vmcrypt trust status
refuses "and changes nothing" 2 'org.vmcrypt1.trust.admin' as_user looker vmcrypt trust policy set --lease 60
refuses "nor takes a backup" 2 'org.vmcrypt1.trust.admin' as_user looker \
	vmcrypt trust backup --out /tmp/backup --password-file "$WORK/password"
check "an administrator changes something" as_user keeper vmcrypt trust policy set --lease 3600
prints "which holds" '3600' as_user looker vmcrypt --json trust policy show
check "the services run on" units is-active

# ---- certificates are exchanged ---------------------------------------------------------------

# shows PORT: the certificate there
shows()
{
	openssl s_client -connect "127.0.0.1:$1" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256
}

shows_another()
{
	local now
	now=$(shows "$1")
	[ -n "$now" ] && [ "$now" != "$2" ]
}

for service in attestation:5700 key-provider:5701; do
	port=${service#*:}
	service=${service%:*}
	old=$(shows "$port")
	check "$service: another certificate is announced" vmcrypt trust service rotate-certificate "$service" announce
	check "$service: it is not shown yet" is "$old" shows "$port"
	check "$service: the host attests, and hears of it" vmcrypt trust host attest ta
	check "$service: they change places" vmcrypt trust service rotate-certificate "$service" switch --force
	check "$service: another one is shown" wait_for 20 shows_another "$port" "$old"
	check "$service: the host attests all the same" vmcrypt trust host attest ta
	check "$service: the old one is forgotten" vmcrypt trust service rotate-certificate "$service" finish
	check "$service: the host attests for good" vmcrypt trust host attest ta
done
check "everything is healthy after it" wait_for 20 healthy
check "the host gets a key" vmcrypt vm create db --dir "$WORK"

done_testing
