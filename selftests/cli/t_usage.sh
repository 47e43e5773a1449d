# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# Needs no service: usage errors, help, no daemon.

run
expect "no verb: the help, status 1" 1 '' 'Usage: vmcrypt VERB*provider add kmip*doctor*'
run help
expect "help" 0 'Usage: vmcrypt VERB*' ''
run vm --help
expect "help of a family" 0 'Usage: vmcrypt vm ...*vm create NAME*vm recrypt*' ''
run vm create --help
expect "help of a verb" 0 'Usage: vmcrypt vm create NAME --dir DIR*Options:*--home-size SIZE*' ''
run help provider trust
expect "help of half a verb" 0 '*provider trust PROVIDER pin*' ''
run help nonsense
expect "help on nothing" 1 '' "vmcrypt: there is no help on 'nonsense'*Hint: *"
run --version
expect "--version" 0 'vmcrypt [0-9]*.[0-9]*.[0-9]*' ''
run vm crate
expect "nearest verb" 1 '' "vmcrypt: unknown verb 'vm crate'*Hint: did you mean 'vm create'[?]"
run vm crate --json
expect "errors are JSON, too" 1 '{*"error"*"code": "InvalidArgument"*"hint"*}' 'vmcrypt: *'
is_json "errors are JSON, one value"
run vm show $'\xff'
expect "not UTF-8" 1 '' 'vmcrypt: word 3 of the command line is not UTF-8'
run vm list
expect "no daemon" 10 '' '*vmcryptd is not running*Hint: systemctl start vmcryptd*'
run version
expect "version without a daemon" 0 'vmcrypt *vmcryptd not running*' ''
VMCRYPT_BUS=unix:path=/nonexistent run vm list
expect "no bus" 10 '' "*cannot connect to the bus 'unix:path=/nonexistent'*Hint: VMCRYPT_BUS*"
run doctor
expect "doctor without a daemon" 10 '*fail  daemon: vmcryptd is not running*-> systemctl start vmcryptd*' ''
run doctor --json
expect "doctor without a daemon, --json" 10 '{*"ok": false*}' ''
is_json "doctor, one JSON value"
run vm power-on web1 --exec
expect "--exec without a command" 1 '' '*--exec needs a command*Hint: vmcrypt vm power-on web1 --exec -- *'
run vm recrypt web1
expect "recrypt without a kind" 1 '' '*--shallow or --deep[?]*'
run vm recrypt --deep a b
expect "deep is for one VM" 1 '' '*--deep takes exactly one VM*'
run vm recrypt --deep a --provider k
expect "deep keeps the provider" 1 '' '*first *--shallow a --provider k*'
run vm recrypt --shallow a --disk d
expect "shallow is for whole VMs" 1 '' '*--disk goes with --deep*'
run vm unlock
expect "unlock nobody" 1 '' '*which VMs[?]*--all*'
run vm unlock --all a
expect "unlock all and one" 1 '' "*both --all and 'a'*"
run provider trust k pin
expect "pin to nothing" 1 '' '*either --fingerprint or --ca*trust k show*'
run provider trust k upload missing.pem
expect "a file that is not there" 4 '' '*missing.pem*No such file*'
if [ -w /dev/full ]; then
	timeout 10 "$cli" help > /dev/full 2> err
	rc=$?
	out=
	err=$(cat err)
	: > out
	expect "standard output full" 10 '' '*cannot write to standard output*'
fi
