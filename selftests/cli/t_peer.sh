# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# Other hosts, and who this one is to them.

start_mock
both "host identity show" 'Host: hosta*Fingerprint: sha256:ab01*Listens at: 0.0.0.0*vmcrypt peer add hosta*' host identity show
run host identity csr
expect "host identity csr" 0 '-----BEGIN CERTIFICATE REQUEST-----*' '*host identity upload FILE*'
printf -- '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n' >host.pem
run host identity upload host.pem
expect "host identity upload" 0 '*new certificate*' ''
called "host identity upload sends the PEM" 'org.vmcrypt1.Host.IdentityUpload s -----BEGIN CERTIFICATE-----~x~-----END CERTIFICATE-----~ '
run peer add hostb --address 192.0.2.2 --fingerprint 00ff
expect "peer add" 0 "*'hostb' is trusted*vmcrypt peer test hostb*" ''
called "peer add sends" 'org.vmcrypt1.Manager.AddPeer sa{sv} hostb {address 192.0.2.2  fingerprint 00ff  }'
run peer add hostb --address 192.0.2.2
expect "peer add, trusted by nothing" 1 '' '*exactly one of --fingerprint and --ca*Hint: *host identity show*'
run peer add hostb --address 192.0.2.2 --fingerprint 00ff --ca host.pem
expect "peer add, trusted by both" 1 '' '*exactly one*'
run peer add hostb --address 192.0.2.2 --ca host.pem
called "peer add sends a CA" 'org.vmcrypt1.Manager.AddPeer sa{sv} hostb {address 192.0.2.2  ca -----BEGIN CERTIFICATE-----~x~-----END CERTIFICATE-----~  } '
both "peer list" 'NAME *ADDRESS *PORT *TRUSTED BY *FINGERPRINT*hostb *192.0.2.2 *5698 *fingerprint *sha256:00ff*bad*no address*' peer list
both "peer show" '*192.0.2.2*' peer show hostb
both "peer test" '*X25519*' peer test hostb
run peer remove hostb
expect "peer remove" 0 "*'hostb' is not trusted any more*" ''
stop_mock

start_mock empty
both "peer list, none" "no other host is trusted; 'vmcrypt peer add *" peer list
run peer test hostb
expect "peer test, does not go together" 9 '*clocks*' ''
run host identity show
expect "host identity show, not listening" 0 '*Problem: it does not listen*What to do: set listen*' ''
stop_mock
