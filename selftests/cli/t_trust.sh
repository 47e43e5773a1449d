# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# The verbs of a Trust Authority, against vmcrypt-attestd's object and systemd.

# asked TITLE VERB PARAMS [OPTIONS]: the last call that the authority got
asked()
{
	called "$1" "org.vmcrypt1.Trust.Call ssa{sv} $2 $3 {${4:-}}"
}

for kind in CERTIFICATE 'PUBLIC KEY' 'PRIVATE KEY'; do
	printf -- '-----BEGIN %s-----\nx\n-----END %s-----\n' "$kind" "$kind" > "${kind% KEY}.pem"
done
pem='-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n'

run trust status
expect "trust status, no authority here" 10 '' '*vmcrypt-attestd*not running*Hint: *vmcrypt trust service start*'
run trust service status
expect "trust service status, no systemd here" 9 '' '*systemd: *'

start_authority
both "trust status" 'Status: *ok*Cluster: *c1*Can change: *yes*' trust status
if grep -q SetHints calls; then not_ok "vmcryptd is not woken for it" "$(cat calls)"; else ok "vmcryptd is not woken for it"; fi
run trust init c1 --public-address 192.0.2.7
expect "trust init" 0 "*'c1' made*trust backup --out FILE*" ''
asked "trust init sends" init '{"cluster":"c1","address":"192.0.2.7"}'
both "trust services-info" '*"cluster_key": "PEM"*' trust services-info
run trust services-info --out info.json
expect "trust services-info --out" 0 "*'c1' is in *info.json*" ''
run trust services-info --out info.json
expect "trust services-info, never over a file" 5 '' '*cannot make*Hint: *new file*'
run trust join info.json
expect "trust join" 0 "*'c1'*vmcrypt trust authority show --out FILE*" ''
asked "trust join sends the key" join '{"cluster_key":"PEM"}'
printf '{"v":1}' > other.json
run trust join other.json
expect "trust join, another file" 1 '' "*other.json' is not what 'vmcrypt trust services-info' wrote*"
printf '[' > bad.json
run trust join bad.json
expect "trust join, no JSON" 1 '' '*bad.json*is not JSON*'
run trust join missing.json
expect "trust join, no file" 4 '' '*missing.json*'
both "trust health" '*TrustAuthorityCluster *c1 *yes*AttestationServiceStatus *ta1 *yes*' trust health
both "trust remediate" '*ta1 *in step*ta2 *remediated*' trust remediate
run trust remediate --force
asked "trust remediate --force sends" remediate '{"force":true}'
both "trust metrics" '*vmcrypt_trust_configured 1' trust metrics

both "trust service rotate-certificate" '*vmcrypt trust remediate*' trust service rotate-certificate attestation announce
run trust service rotate-certificate key-provider switch --force
asked "trust service rotate-certificate sends" certificate-rotate \
	'{"service":"key-provider","step":"switch","force":true}'

both "trust authority show" 'Name: *ta1*ta1:5700*' trust authority show
run trust authority show --public-address 192.0.2.7 --out ta1.json
expect "trust authority show --out" 0 '*vmcrypt trust authority add FILE*' ''
asked "trust authority show sends" authority-show '{"address":"192.0.2.7"}'
run trust authority add ta1.json
expect "trust authority add" 0 '*in the cluster*vmcrypt trust remediate*' ''
asked "trust authority add sends the file" authority-add \
	'{"authority":{"name":"ta1","attest":"ta1:5700","kmx":"ta1:5701","version":"0.1.0"}}'
both "trust authority list" 'NAME *ta1 *in step *7*ta2 *unreachable*' trust authority list
run trust authority remove ta2
asked "trust authority remove sends" authority-remove '{"name":"ta2"}'
run trust authority remove nobody
expect "trust authority remove, none such" 4 '' "*no such thing 'nobody'*Hint: list them"
run trust authority remove nobody --json
expect "trust authority remove, none such, --json" 4 '*"code": "NotFound"*' "*no such thing*"

run trust ca add maker CERTIFICATE.pem
expect "trust ca add" 0 '*are believed*' ''
asked "trust ca add sends" ca-add "{\"name\":\"maker\",\"pem\":\"$pem\"}"
run trust ca add maker PUBLIC.pem
expect "trust ca add, no certificate" 1 '' '*PUBLIC KEY*'
both "trust ca list" '*maker *CN=maker *400 days' trust ca list
both "trust ca show" '*CN=maker*' trust ca show maker
run trust ca remove maker
asked "trust ca remove sends" ca-remove '{"name":"maker"}'
run trust ek add host1 PUBLIC.pem
asked "trust ek add sends" ek-add \
	'{"name":"host1","pub":"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n"}'
both "trust ek list" '*host1 *00ff' trust ek list
run trust ek remove host1 --json
expect "trust ek remove --json" 0 '*"done": "trust ek remove EK"*"name": "host1"*' ''
asked "trust ek remove sends" ek-remove '{"name":"host1"}'

printf '{"v":1}' > image.json
run trust base-image import image.json --name new
expect "trust base-image import" 0 "*'new' attest*vmcrypt trust remediate*" ''
asked "trust base-image import sends" base-image-import '{"image":{"v":1},"name":"new"}'
both "trust base-image list" '*debian-12 *6.1 *host1 *-' trust base-image list
both "trust base-image show" '*debian-12*EV_IPL*' trust base-image show debian-12
run trust base-image remove debian-12 --force
asked "trust base-image remove sends" base-image-remove '{"image":"debian-12","force":true}'

run trust key-provider add kmip kms1 --server a --server 'b:1' --server '::1' --server '[::1]:2' --default
expect "trust key-provider add" 0 "*'kms1' added*vmcrypt trust key-provider trust kms1 csr*" ''
asked "trust key-provider add sends" key-provider-add \
	'{"name":"kms1","kind":"kmip","servers":["a:5696","b:1","[::1]:5696","[::1]:2"],"default":true}'
both "trust key-provider list" '*kms1 *kmip *a:5696 *yes *healthy' trust key-provider list
both "trust key-provider show" '*kms1*a:5696*' trust key-provider show kms1
run trust key-provider show kms2
expect "trust key-provider show, none such" 4 '' "*no key provider 'kms2'*Hint: *trust key-provider list*"
run trust key-provider remove kms1
asked "trust key-provider remove sends" key-provider-remove '{"name":"kms1"}'
run trust key-provider trust kms1 csr
expect "trust key-provider trust csr" 0 '-----BEGIN CERTIFICATE REQUEST-----' 'Next: *trust kms1 upload FILE'
asked "trust key-provider trust csr sends" key-provider-trust '{"name":"kms1","verb":"csr"}'
run trust key-provider trust kms1 self-signed
expect "trust key-provider trust self-signed" 0 '-----BEGIN CERTIFICATE-----' 'Next: *vmcrypt trust health'
run trust key-provider trust kms1 upload CERTIFICATE.pem
asked "trust key-provider trust upload sends" key-provider-trust \
	"{\"name\":\"kms1\",\"verb\":\"upload\",\"args\":{\"pem\":\"$pem\"}}"
run trust key-provider trust kms1 import CERTIFICATE.pem PRIVATE.pem
expect "trust key-provider trust import" 0 '*installed*shred -u *PRIVATE.pem*' ''
asked "the private key goes as an open file" key-provider-trust \
	"{\"name\":\"kms1\",\"verb\":\"import\",\"args\":{\"pem\":\"$pem\"}}" \
	'key -----BEGIN PRIVATE KEY-----~x~-----END PRIVATE KEY-----~  '
both "trust key-provider trust show" '*a *5696 *not trusted*b *5696 *connection refused*CN=a *400 *AA:BB' \
	trust key-provider trust kms1 show
run trust key-provider trust kms1 pin --fingerprint AABB
asked "trust key-provider trust pin sends" key-provider-trust \
	'{"name":"kms1","verb":"pin","args":{"fingerprint":"AABB"}}'
run trust key-provider trust kms1 pin --ca CERTIFICATE.pem
asked "trust key-provider trust pin sends a CA" key-provider-trust \
	"{\"name\":\"kms1\",\"verb\":\"pin\",\"args\":{\"ca_pem\":\"$pem\"}}"
run trust key-provider trust kms1 pin
expect "trust key-provider trust pin, by nothing" 1 '' '*either --fingerprint or --ca*Hint: *trust kms1 show*'

run trust principal add alice --role auditor --cert CERTIFICATE.pem
asked "trust principal add sends" principal-add "{\"name\":\"alice\",\"role\":\"auditor\",\"pem\":\"$pem\"}"
run trust principal add alice --role auditor
expect "trust principal add, nothing shown" 1 '' '*exactly one of --cert and --fingerprint*'
run trust principal add alice --role king --fingerprint 00
expect "trust principal add, no such role" 1 '' '*king*'
both "trust principal list" '*alice *auditor *00ff' trust principal list
run trust principal remove alice
asked "trust principal remove sends" principal-remove '{"name":"alice"}'
both "trust policy show" '*300*' trust policy show
run trust policy set --pcrs 0,4,7 --secure-boot yes --token-lifetime 600 --lease 0 --require-ek-certificate no --hosts-destroy-keys yes
expect "trust policy set" 0 '*600*' ''
asked "trust policy set sends" policy-set \
	'{"pcrs":[0,4,7],"lease":0,"token_lifetime":600,"secure_boot":true,"require_ek_certificate":false,"hosts_destroy_keys":true}'
run trust policy set --pcrs 0,24
expect "trust policy set, no such PCR" 1 '' "*'0,24'*0 to 15*"
run trust policy set --lease soon
expect "trust policy set, no number" 1 '' "*'soon'*seconds*"

echo 'correct horse battery' > password
run trust backup --out backup.vta --password-file password
expect "trust backup" 0 '9 files*backup.vta*' ''
asked "the password goes as an open file" backup '{}' 'password correct horse battery  data   '
if [ "$(cat backup.vta)" = backup ] && [ "$(stat -c %a backup.vta)" = 600 ]; then
	ok "the backup is written into the new file"
else
	not_ok "the backup is written into the new file" "$(ls -l backup.vta)"
fi
run trust backup --out backup.vta --password-file password
expect "trust backup, never over a file" 5 '' '*never overwritten*'
run trust restore backup.vta --password-file password --force
expect "trust restore" 0 "*'c1'*vmcrypt trust service restart; then vmcrypt trust health*" ''
asked "trust restore sends" restore '{"force":true}' 'password correct horse battery  data backup  '
both "trust upgrade-check authority" '*ta1 *done*Warning: it is the only authority*' \
	trust upgrade-check authority ta1 --to-version 9
asked "trust upgrade-check authority sends" upgrade-check '{"step":"authority","name":"ta1","to":"9"}'
run trust upgrade-check hosts --image new --force
asked "trust upgrade-check hosts sends" upgrade-check '{"step":"host","image":"new","force":true}'

both "trust service status" '*attestation *vmcrypt-attestd.service *active*key-provider *vmcrypt-kmxd.service *active*2027-01-15T08:00:00Z' \
	trust service status
run trust service status key-provider
expect "trust service status of one" 0 '*key-provider *active*' ''
for verb in start stop restart; do
	run trust service "$verb"
	expect "trust service $verb" 0 'attestation: *key-provider: *' ''
	called "trust service $verb asks systemd" \
		"org.freedesktop.systemd1.Manager.${verb^}Unit ss vmcrypt-kmxd.service replace"
done
run trust service restart attestation --json
expect "trust service restart of one, --json" 0 '*"done": "trust service restart \[SERVICE\]"*"services": *attestation*' ''
run trust service start kms
expect "trust service start, no such service" 1 '' "*'kms' is no service*attestation, key-provider*"
completed_by_authority=$("$cli" __complete trust base-image show ''; "$cli" __complete trust key-provider trust ''
	"$cli" __complete trust service start ''; "$cli" __complete trust upgrade-check hosts --image '')
if [ "$completed_by_authority" = "$(printf '%s\n' debian-12 kms1 attestation key-provider debian-12)" ]; then
	ok "names are completed as the authority has them"
else
	not_ok "names are completed as the authority has them" "$completed_by_authority"
fi
stop_mock

start_authority sick
run trust health
expect "trust health, sick" 9 '*ta2 *no*The AttestationServiceStatus is not healthy, please fix it first!*no answer*Hint: on *ta2*' ''
run trust health --json
expect "trust health, sick, --json" 9 '*"healthy": false*' ''
run trust remediate
expect "trust remediate, failed" 9 '*ta2 *failed *no answer*' ''
both "trust status, in no cluster" '*not-configured*' trust status
run trust upgrade-check authority ta1
expect "trust upgrade-check, not now" 9 "*Not now: authority 'ta2' has drifted*" ''
run trust backup --out new.vta --password-file password
expect "trust backup, refused" '[1-9]*' '' '*key of the cluster*'
if [ -e new.vta ]; then not_ok "nothing is left of it"; else ok "nothing is left of it"; fi
run trust base-image list
expect "trust base-image list, not all were asked" 0 "no base image*'ta2' did not answer*" ''
run trust base-image import image.json
expect "trust base-image import after a Quick Boot" 0 "*'debian-12'*Warning: *Quick Boot*" ''
run trust key-provider trust kms1 csr
expect "trust key-provider trust csr, no answer in it" '[1-9]*' '' '*no PEM*'
run trust service start
expect "trust service start, does not start" 9 '' "*vmcrypt-attestd.service*failed*Hint: *journalctl -u vmcrypt-attestd.service*"
run trust service restart
expect "trust service restart, not installed" 9 '' '*Unit vmcrypt-attestd.service not found*Hint: *not installed*'
run trust service stop
expect "trust service stop, not allowed" 2 '' '*Permission denied*Hint: *sudo*'
run trust service status
expect "trust service status, one failed" 9 '*attestation *active*key-provider *failed*' ''
for what in authority ca ek base-image key-provider principal; do
	run trust "$what" list
	expect "trust $what list, none" 0 '*no*' ''
done
stop_mock

# all that an administrator may ask for, but what authorities tell one another
sed -n 's/^\t{ "\([a-z-]*\)", TRUST_ROLE.*/\1/p' "$top/userspace/trust/state/admin.c" | grep -v '^state-' | sort > there
sed -n 's/^org\.vmcrypt1\.Trust\.Call ssa{sv} \([a-z-]*\) .*/\1/p' all-calls | sort -u > odd
if [ -s there ] && cmp -s there odd; then
	ok "each verb of an authority is called, and no other"
else
	not_ok "each verb of an authority is called, and no other" "$(diff there odd)"
fi
