# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# This host to a Trust Authority: the provider, attestation, the base image.

start_mock
printf '{"v":1}' >services.json
run provider add trusted ta --services-info services.json
expect "provider add trusted" 0 "*'ta' knows the services*vmcrypt trust host attest ta*" ''
called "provider add trusted sends the file" 'org.vmcrypt1.Manager.AddProvider sss trusted ta {"services_info":"{\"v\":1}"}'
run provider add trusted ta
expect "provider add trusted, no file" 1 '' '*--services-info*'
printf '\377' >bad.json
run provider add trusted ta --services-info bad.json
expect "provider add trusted, no text" 1 '' '*no services-info file*'
run trust host status
expect "trust host status, no provider" 0 '*no trusted key provider is configured*' ''
run trust host status kms1
expect "trust host status" 0 "*ta: attested by 'ta1' until 2027-01-15T08:00:00Z*Base image: debian-12*Quick Boot*" ''
run trust host attest kms1
expect "trust host attest" 0 '*attested by*' ''
called "trust host attest attests now" 'org.vmcrypt1.Provider.Attest s now'
run trust host enroll kms1
called "trust host enroll enrols" 'org.vmcrypt1.Provider.Attest s enroll'
run trust host-image export --out host.image
expect "host-image export" 0 "*'debian-12'*host.image': 2 events*base-image import *host.image*" ''
run trust host-image export --out host.image
expect "host-image export, never over a file" 5 '' '*cannot make*Hint: *new file*'
run trust host-image export
expect "host-image export, to standard output" 0 '*"events"*' ''
stop_mock

start_mock empty
run trust host status kms1
expect "trust host status, not attested" 0 '*attestation failed*Reason: policy_mismatch*PCR 4: expected EV_IPL kernel 6.1*found *nothing*What to do: import it*' ''
run trust host attest kms1
expect "trust host attest, refused" 10 '' '*PCR 4 differs*'
run trust host-image export --out quick.image
expect "host-image export after Quick Boot" 0 '*Quick Boot (kexec)*' ''
stop_mock
