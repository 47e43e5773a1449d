#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A native provider: no keys before the backup, a reboot with no key server, a
# VM that moves between key servers and back while it is on, and the disk of the
# host in another one, whose TPM gives nothing until the backup is imported.

# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
here=$(cd "$(dirname "$0")" && pwd -P)
lab=$LAB_TREE/tools/lab
VMCRYPT_LAB=$(mktemp -d "$LAB_BUILD/selftest-native.XXXXXX")
export VMCRYPT_LAB
out=$VMCRYPT_LAB/out
options=(--kernel "$LAB_KERNEL_SERIES" --tpm --dbus --mem 1536)
plan

clean_up()
{
	"$lab" down a --hard >/dev/null 2>&1
	"$lab" down b --hard >/dev/null 2>&1
	rm -rf "$VMCRYPT_LAB"
}
at_exit clean_up

# status WHAT WANTED COMMAND...: ends with that status (a glob)
status()
{
	local what=$1 want=$2 got
	shift 2
	"$@" >"$out" 2>&1
	got=$?
	# shellcheck disable=SC2053
	if [[ $got == $want ]]; then
		ok "$what"
		return 0
	fi
	not_ok "$what"
	diag "status $got, wanted $want: $*"
	diag "$(tail -n 20 "$out")"
	return 1
}

# on HOST WHAT WANTED COMMAND...
on()
{
	local host=$1 what=$2 want=$3
	shift 3
	status "$what" "$want" "$lab" exec "$host" -- "$@"
}

says()
{
	if grep -q -E -e "$2" "$out"; then
		ok "$1"
	else
		not_ok "$1"
		diag "wanted: $2"
		diag "$(tail -n 20 "$out")"
	fi
}

# what the guest would write and read
mark='written before the reboot'
write="printf '%s' '$mark' | dd of=\$(vmcrypt --json vm show web | jq -r '.disks[0].device') conv=fsync status=none"
read_back="head -c ${#mark} \$(vmcrypt --json vm show web | jq -r '.disks[0].device') | grep -q -x '$mark'"

status "host a comes up" 0 "$lab" up a "${options[@]}" || bail "no host, no test"
on a "vmcryptd starts" 0 "$here/daemon.sh" || bail "no daemon, no test"
on a "a native provider is added" 0 vmcrypt provider add native site --default
says "and says what comes next" 'Next: vmcrypt provider export site'
on a "its key is sealed" 0 sh -c 'test -s /etc/vmcrypt/providers/site/kdk.tpm && test ! -e /etc/vmcrypt/providers/site/kdk.file'
on a "it makes no keys yet" 9 sh -c 'mkdir -p /srv/vms/web && vmcrypt vm create web --dir /srv/vms/web'
says "because it is not backed up" 'Hint: vmcrypt provider export site --out'
on a "the list nags" 0 vmcrypt provider list
says "with its state" 'site +native +yes +Not backed up'
says "and what to type" 'Warning: .*provider export site --out'
on a "so does the status" 0 vmcrypt status
says "by name" "Key provider 'site' is not backed up"
on a "it is backed up" 0 sh -c 'echo "correct horse battery" >/srv/vms/pass &&
	vmcrypt provider export site --out /srv/vms/site.p12 --password-file /srv/vms/pass'
on a "others can read the backup's kind" 0 openssl pkcs12 -info -noout -in /srv/vms/site.p12 -passin file:/srv/vms/pass
says "and that it is strong" 'PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256'
on a "a VM is made" 0 sh -c 'vmcrypt vm create web --dir /srv/vms/web && vmcrypt disk create web root --size 16M'
on a "it powers on, and writes" 0 sh -c "vmcrypt vm power-on web && $write && vmcrypt vm power-off web && sync"

status "the host reboots" 0 "$lab" reboot a
on a "vmcryptd starts again" 0 "$here/daemon.sh"
on a "the VM powers on with no server at all" 0 vmcrypt vm power-on web
on a "with what was written" 0 sh -c "$read_back"

on a "a key server comes" 0 "$here/kms.sh"
on a "the VM moves to it while it is on" 0 vmcrypt vm recrypt --shallow --provider kms web
on a "its keys are there now" 0 sh -c 'vmcrypt --json vm show web | jq -e "[.home.key, .disks[].key] | all(startswith(\"kms/\"))"'
on a "and its data is whole" 0 sh -c "$read_back"
on a "it moves back" 0 vmcrypt vm recrypt --shallow --provider site web
on a "its keys are native again" 0 sh -c 'vmcrypt --json vm show web | jq -e "[.home.key, .disks[].key] | all(startswith(\"site/\"))"'
on a "off and on again" 0 sh -c "vmcrypt vm power-off web && vmcrypt vm power-on web && $read_back && vmcrypt vm power-off web"
on a "the key server goes" 0 sh -c "\"\$LAB_TREE/tools/lab\" pykmip stop /srv/vms/kms && sync"
status "host a goes down" 0 "$lab" down a

mkdir -p "$("$lab" dir b)"
cp --sparse=always "$("$lab" dir a)/disk.img" "$("$lab" dir b)/disk.img"
status "its disk starts in host b" 0 "$lab" up b "${options[@]}" || bail "no second host"
on b "vmcryptd starts there" 0 "$here/daemon.sh"
on b "the stolen disk opens nothing" '[1-9]*' vmcrypt vm power-on web
says "because of the TPM" 'TPM'
on b "which is the cause that the VM shows" 0 sh -c 'vmcrypt --json vm show web | jq -e ".cause == \"host-tpm\""'
on b "with a remedy that fits" 0 vmcrypt vm show web
says "the backup" 'provider import FILE --new-tpm'
on b "a wrong password opens nothing" 7 sh -c 'echo "not this one" | vmcrypt provider import /srv/vms/site.p12 --password-fd 0'
on b "another TPM is not taken unnoticed" '[1-9]*' vmcrypt provider import /srv/vms/site.p12 --password-file /srv/vms/pass
on b "the backup opens it when one says so" 0 vmcrypt provider import /srv/vms/site.p12 --password-file /srv/vms/pass --new-tpm
says "and says that it restored the provider" 'is restored'
on b "the VM powers on there" 0 sh -c "vmcrypt vm power-on web && $read_back && vmcrypt vm power-off web"
on b "VM and provider are forgotten" 0 sh -c 'vmcrypt vm unregister web && vmcrypt provider remove site && sync'
status "so are the keys, by a reboot" 0 "$lab" reboot b
on b "vmcryptd starts" 0 "$here/daemon.sh"
on b "the VM cannot be used" '[1-9]*' sh -c 'vmcrypt vm register /srv/vms/web/web.vmcrypt && vmcrypt vm power-on web'
on b "the provider is imported" 0 vmcrypt provider import /srv/vms/site.p12 --password-file /srv/vms/pass
says "as one that was not there" 'on this host now'
on b "and the VM opens" 0 sh -c "{ vmcrypt vm show web >/dev/null 2>&1 || vmcrypt vm register /srv/vms/web/web.vmcrypt; } &&
	vmcrypt vm power-on web && $read_back && vmcrypt vm power-off web"
status "host b goes down" 0 "$lab" down b
done_testing
