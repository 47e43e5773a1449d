#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a trusted host does by itself: its base image from the log of a real
# start, and the texts, causes and alarms while no authority answers.

# shellcheck source=../e2e/lib.sh
. "$LAB_TREE/selftests/e2e/lib.sh"
plan

log=/sys/kernel/security/tpm0/binary_bios_measurements
image=$WORK/host.image
info=$WORK/services.json

# A certificate that nobody is there to show.
make_info()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ta1 \
		-keyout "$WORK/ta.key" -out "$WORK/ta.pem" 2>/dev/null
	/usr/bin/python3 - "$WORK/ta.pem" >"$info" <<-'EOF'
		import json, sys
		pem = open(sys.argv[1]).read()
		print(json.dumps({"v": 1, "cluster": "lab", "serial": 1, "key_providers": [{"name": "kms", "default": True}],
		      "authorities": [{"name": n, "attest": "127.0.0.1:" + a, "attest_cert": pem, "kmx": "127.0.0.1:" + k,
		                       "kmx_cert": pem} for n, a, k in (("ta1", "5700", "5701"), ("ta2", "5710", "5711"))]}))
	EOF
}

image_has()
{
	/usr/bin/python3 - "$image" <<-'EOF'
		import json, sys
		i = json.load(open(sys.argv[1]))
		pcrs = {e["pcr"] for e in i["events"]}
		assert {0, 1, 2, 4, 7} <= pcrs, pcrs
		assert i["kernel"] and i["os"] and i["quick_boot"] is False, i
	EOF
}

state()
{
	vmcrypt --json trust host status ta | json 0 "$@"
}

mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
check "the firmware left a log" test -r "$log"
check "the daemon starts" daemon_start
prints "no trusted provider" 'no trusted key provider' vmcrypt trust host status
prints "the base image of this host is exported" 'written to .*events' vmcrypt trust host-image export --out "$image"
check "it has what was measured, and what it is of" image_has
prints "a second export is the same image" "$(json id <"$image")" vmcrypt trust host-image export
check "a services-info file" make_info
prints "the trusted provider is added" 'knows the services' vmcrypt provider add trusted ta --services-info "$info" --default
sed 's/"lab"/"other"/' "$info" >"$info.other"
refuses "another authority is not taken for it" 5 "authority 'lab'" \
	vmcrypt provider add trusted ta --services-info "$info.other"
prints "it is unknown whether this host is trusted" 'ta: (unknown|attesting)' vmcrypt trust host status ta
refuses "nobody attests it" 8 'attestation service of' vmcrypt trust host attest ta
check "the reason is that nobody answers" test "$(state reason)" = unavailable
refuses "no VM can be created under it" 8 'attestation service of' vmcrypt vm create web --dir "$WORK"
refuses "provider test shows every service" 8 '5711.*key provider service of' vmcrypt provider test ta
prints "an alarm says so" 'provider-down' vmcrypt --json alarm list
refuses "its keys are never kept on this host" '*' 'trusted key provider' vmcrypt host persistence enable --provider ta
check "a provider beside it works all the same" vmcrypt provider add native local
prints "the metrics tell" 'vmcrypt_provider_attested\{provider="ta"\} 0' vmcrypt metrics
check "the provider goes" vmcrypt provider remove ta
check "the daemon ends" daemon_stop
done_testing
