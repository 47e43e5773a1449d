#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# states.sh - each row of the table of states, each cause, each way back, with
# PyKMIP as the key server. A reboot is played by unloading the module: the kernel's
# keys are gone, files are not.

here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=../e2e/lib.sh
. "$here/../e2e/lib.sh"
WORK=/srv/vms/states
KMS=$WORK/kms
DAEMON_LOG=$WORK/vmcryptd.log
VMS=$WORK/vms
PORT=5696
rm -rf "$WORK"
mkdir -p "$WORK" "$VMS" /etc/vmcrypt
plan

kms_on()
{
	kms_start --port "$1" --client host-a
}

# settle INTERVAL RETRY: seconds between health checks
settle()
{
	printf '[kmip]\nconnect_timeout_ms = 1000\nrequest_timeout_ms = 3000\n[health]\ninterval = %s\nretry = %s\n' \
		"$1" "$2" >/etc/vmcrypt/vmcrypt.conf
}

provider_add()
{
	vmcrypt provider add kmip "$1" --server "localhost:$PORT" --default &&
		vmcrypt provider trust "$1" pin --ca "$KMS/ca.pem" &&
		vmcrypt provider trust "$1" import "$KMS/host-a.pem" "$KMS/host-a.key" &&
		vmcrypt provider default "$1"
}

# The host goes down and comes up. The module stays while a VM has keys loaded, as after an unlock: a power-off drops them.
reboot()
{
	local vm

	for vm in web db; do
		vmcrypt vm power-on "$vm" >/dev/null 2>&1 && vmcrypt vm power-off "$vm"
	done
	daemon_stop
	rmmod vmcrypt && modprobe vmcrypt && daemon_start
}

# shows VM: crypto_state shows_as cause
shows()
{
	vmcrypt --json vm show "$1" | /usr/bin/python3 -c 'import json, sys
v = json.load(sys.stdin)
print(v["crypto_state"], v["shows_as"], v["cause"] or "-")'
}

# is WHAT VM WANT: one test
is()
{
	local got

	got=$(shows "$2")
	if [ "$got" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1"
		diag "VM $2 is '$got', wanted '$3'"
	fi
}

becomes()
{
	[ "$(shows "$1")" = "$2" ]
}

# told SENTENCE: the newest event of a lock says exactly that, and so does the alarm
told()
{
	local event alarm

	event=$(vmcrypt --json event list --type vm-locked | json -1 text)
	alarm=$(vmcrypt --json alarm list | /usr/bin/python3 -c 'import json, sys
print(*(a["text"] for a in json.load(sys.stdin) if a["type"] == "vm-locked"), sep="\n")')
	if [ "$event" = "$1" ] && grep -q -x -F -e "$1" <<<"$alarm"; then
		ok "event and alarm: $1"
	else
		not_ok "event and alarm: $1"
		diag "event '$event'"
		diag "alarms '$alarm'"
	fi
}

no_alarms()
{
	[ "$(vmcrypt --json alarm list)" = '[]' ]
}

# Of the VMs; those of a provider are cleared by the next look at its health.
no_vm_alarms()
{
	! vmcrypt --json alarm list | grep -q -e vm-locked -e disk-key-missing
}

settle 86400 86400
check "a key server starts" kms_on "$PORT"
check "vmcryptd starts" daemon_start
check "the cluster is a provider" provider_add kms
check "a VM is made" vmcrypt vm create web --dir "$VMS" || bail "no VM, no test"
check "with a disk" vmcrypt disk create web root --size 16M
KEY=$(vmcrypt --json vm show web | json home key)
is "it is well" web 'unlocked ok -'

# ---- the KMS is gone ---------------------------------------------------------------
check "the key server stops" kms_stop
is "losing the KMS locks nothing" web 'unlocked ok -'
check "with its key on the host the VM powers on" vmcrypt vm power-on web
check "and off" vmcrypt vm power-off web
check "the host reboots without the KMS" reboot
refuses "now the VM cannot be powered on" 8 'because of a KMS cluster error' vmcrypt vm power-on web
is "it is invalid" web 'locked invalid kms-error'
told 'Virtual machine is locked because of a KMS cluster error.'
prints "status says what to type" 'vmcrypt provider test kms' vmcrypt status
refuses "other operations are refused with the reason" 9 'KMS cluster error' vmcrypt disk create web more --size 1M
check "reload is allowed" vmcrypt vm reload web
check "unregister is allowed" vmcrypt vm unregister web
check "and register, as locked" vmcrypt vm register "$VMS/web.vmcrypt"
is "it is invalid still" web 'locked invalid kms-error'
check "the alarm is acknowledged" vmcrypt alarm acknowledge --all
is "which unlocks nothing" web 'locked invalid kms-error'
check "vmcryptd restarts" daemon_stop
check "it starts" daemon_start
is "the VM is known as locked" web 'locked invalid kms-error'
check "the key server returns" kms_on "$PORT"
check "the VM is unlocked" vmcrypt vm unlock web
is "and well" web 'unlocked ok -'
check "the alarm of the VM is cleared" no_vm_alarms

# ---- the key is not active, or gone -------------------------------------------------
for state in deactivated compromised; do
	check "the key is $state" "$here/kmsdb.py" "$KMS/kmip.db" "${KEY#*/}" "$state"
	check "the host reboots" reboot
	refuses "with a $state key the VM cannot be powered on" 6 'keys are missing on KMS cluster' vmcrypt vm power-on web
	is "it is invalid" web 'locked invalid keys-missing-on-kms'
	told 'Virtual machine is locked because keys are missing on KMS cluster.'
	prints "the key's id and state are named" "${KEY#*/} \\($state\\)" \
		bash -c "vmcrypt --json vm show web | tr '[:upper:]' '[:lower:]'"
	check "the key is reactivated" "$here/kmsdb.py" "$KMS/kmip.db" "${KEY#*/}" active
	check "the next power-on fetches it" vmcrypt vm power-on web
	is "and all is well" web 'unlocked ok -'
	check "it powers off" vmcrypt vm power-off web
done
check "the key server stops for its backup" kms_stop
cp "$KMS/kmip.db" "$WORK/backup.db"
check "and goes on" kms_on "$PORT"
check "the key is revoked" "$E2E/kmsadmin.py" "$KMS/ca.pem" "$KMS/host-a.pem" "$KMS/host-a.key" revoke "${KEY#*/}"
check "the key is destroyed" "$E2E/kmsadmin.py" "$KMS/ca.pem" "$KMS/host-a.pem" "$KMS/host-a.key" destroy "${KEY#*/}"
prints "doctor says what would lock at a reboot" 'web' vmcrypt doctor
is "before that it is well" web 'unlocked ok -'
check "the host reboots" reboot
refuses "then the VM cannot be powered on" 6 'keys are missing on KMS cluster' vmcrypt vm power-on web
is "it is invalid" web 'locked invalid keys-missing-on-kms'
check "the key server's database is restored" bash -c "'$LAB_TREE/tools/lab' pykmip stop '$KMS' && cp '$WORK/backup.db' '$KMS/kmip.db'"
check "it serves again" kms_on "$PORT"
check "the VM is unlocked" vmcrypt vm unlock --all
is "and well" web 'unlocked ok -'

# ---- only the host lacks it ------------------------------------------------------------
refuses "a key in use is not removed" 5 'in use' vmcrypt key remove "$KEY"
check "unless by force" vmcrypt key remove --force "$KEY"
is "which locks the VM" web 'locked invalid keys-missing-on-host'
told 'Virtual machine is locked because keys are missing on host.'
check "nothing has to be recovered by hand" vmcrypt vm unlock web
is "it is well" web 'unlocked ok -'

# ---- one disk lacks its key -------------------------------------------------------------
check "the server is a second cluster by another name" bash -c "vmcrypt provider add kmip other --server localhost:$PORT &&
	vmcrypt provider trust other pin --ca '$KMS/ca.pem' &&
	vmcrypt provider trust other import '$KMS/host-a.pem' '$KMS/host-a.key'"
check "gives a disk its key" vmcrypt disk create web data --size 1M --provider other
DATA=$(vmcrypt --json vm show web | json disks 1 key)
check "that key is deactivated" "$here/kmsdb.py" "$KMS/kmip.db" "${DATA#*/}" deactivated
check "the host reboots" reboot
refuses "the VM is refused with the words" 6 \
	"The disk \[$VMS/web-data.img\] is encrypted and a required key was not found\." vmcrypt vm power-on web
is "it is not invalid" web 'unlocked disk-key-missing keys-missing-on-kms'
check "the disk is detached, and taken away" bash -c "vmcrypt disk detach web data && mv '$VMS/web-data.img' '$WORK'"
check "without it the VM powers on" vmcrypt vm power-on web
is "and is well" web 'unlocked ok -'
check "it powers off" vmcrypt vm power-off web

# ---- locked by hand ------------------------------------------------------------------------
check "the VM is on" vmcrypt vm power-on web
DEV=/dev/mapper/vmcrypt-$(vm_id web)-root
"$here/writer.py" write "$DEV" 4000 "$WORK/progress" >"$WORK/writer.out" 2>&1 &
WRITER=$!
written()
{
	[ "$(cat "$WORK/progress" 2>/dev/null || echo 0)" != "$1" ]
}
check "its guest writes" wait_for 20 written 0
check "it is locked now" vmcrypt vm lock --now web
BEFORE=$(cat "$WORK/progress")
is "it is suspended" web 'locked suspended by-hand'
prints "and on" '"power": ?"on"' vmcrypt --json vm show web
check "dm-crypt has no key" bash -c "dmsetup info -c --noheadings -o suspended '${DEV##*/}' | grep -q Suspended"
if wait_for 2 written "$BEFORE" || ! kill -0 "$WRITER"; then
	not_ok "the guest's I/O waits"
	diag "$BEFORE, then $(cat "$WORK/progress"); $(cat "$WORK/writer.out")"
else
	ok "the guest's I/O waits"
fi
refuses "it cannot be powered off" 9 'administrator locked it' vmcrypt vm power-off web
check "vmcryptd restarts" daemon_stop
check "it starts" daemon_start
is "the VM is known as suspended" web 'locked suspended by-hand'
check "it is unlocked" vmcrypt vm unlock web
if wait "$WRITER"; then ok "the guest goes on to its end"; else not_ok "the guest goes on to its end"; fi
is "and the VM is well" web 'unlocked ok -'
check "it powers off" vmcrypt vm power-off web
check "and on" vmcrypt vm power-on web
prints "nothing of what the guest wrote is lost" '4000 blocks' "$here/writer.py" check "$DEV" 4000
check "it is locked with a power-off" vmcrypt vm lock web
is "it is invalid" web 'locked invalid by-hand'
check "no mapping is left" no_mapping
refuses "a power-on does not end that" 9 'administrator locked it' vmcrypt vm power-on web
check "an unlock does" vmcrypt vm unlock web

# ---- by itself, when the provider is back ------------------------------------------------------
check "the key server stops" kms_stop
settle 2 1
check "the host reboots" reboot
vmcrypt vm power-on web >/dev/null 2>&1
is "the VM is locked" web 'locked invalid kms-error'
check "the provider has an alarm" wait_for 30 bash -c 'vmcrypt --json alarm list | grep -q provider-down'
check "the key server returns" kms_on "$PORT"
check "the VM unlocks by itself" wait_for 60 becomes web 'unlocked ok -'
check "all alarms are cleared" wait_for 60 no_alarms
settle 86400 86400

# ---- another helper, at another address, with the same name --------------------------------------
check "a second VM is made" vmcrypt vm create db --dir "$VMS"
check "the cluster moves" kms_stop
PORT=5796
check "to another port" kms_on "$PORT"
rebuild()
{
	reboot && daemon_stop && rm -rf /var/lib/vmcrypt/* /etc/vmcrypt/providers && daemon_start
}
check "the host is rebuilt" rebuild
check "its cluster has another name" provider_add renamed
prints "all bundles are registered, as locked" "there is no key provider 'kms'" \
	bash -c "vmcrypt vm register --all '$VMS' 2>&1; true"
is "the name is not known here" web 'locked invalid provider-unknown'
prints "status says how to add it" 'provider add kmip kms' vmcrypt status
check "the provider is added under its name" provider_add kms
check "one command reregisters all locked VMs" vmcrypt vm register --all "$VMS"
is "one is well" web 'unlocked ok -'
is "and the other" db 'unlocked ok -'
check "they power on" bash -c 'vmcrypt vm power-on web && vmcrypt vm power-on db'
check "and off" bash -c 'vmcrypt vm power-off web && vmcrypt vm power-off db'
check "the inventory and the bundles are lost" bash -c "vmcrypt vm unregister web && vmcrypt vm unregister db && rm '$VMS'/*.vmcrypt"
check "headers do as well" vmcrypt vm register --all --from-headers "$VMS"
is "all is well" db 'unlocked ok -'

check "vmcryptd stops" daemon_stop
check "the key server stops" kms_stop
done_testing
