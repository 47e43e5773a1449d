#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# unit.sh - vmcryptd under systemd in a real host with the module: the hardened
# unit lets it work, a restart leaves mappings alone, polkit decides for others.

set -u
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source=../lib.sh
. "$here/../lib.sh"
# shellcheck source=../../tools/lab.d/guest/lib.sh
. "$LAB_LIB"

check()
{
	local what=$1
	shift
	if "$@" >/tmp/seen 2>&1; then
		ok "$what"
	else
		diag "$(cat /tmp/seen)"
		not_ok "$what"
	fi
}

call=(busctl --timeout=60)
manager=("${call[@]}" call org.vmcrypt1 /org/vmcrypt1 org.vmcrypt1.Manager)
property=("${call[@]}" get-property org.vmcrypt1 /org/vmcrypt1 org.vmcrypt1.Manager)

is()
{
	[ "$("${@:2}")" = "$1" ]
}

plan

check "the tree installs" lab_install
check "enable --now returns when vmcryptd is ready" systemctl enable --now vmcryptd.service
check "it is active" is active systemctl is-active vmcryptd.service
check "its status tells what it has" grep -q "key providers" <(systemctl show -P StatusText vmcryptd.service)
check "the module is seen through the unit's walls" is "b true" "${property[@]}" ModuleLoaded
check "calls are answered" "${manager[@]}" ListVMs

# A mapping that is none of ours stands for those of running VMs: ours need keys.
truncate -s 16M /srv/vms/stand-in.img
loop=$(losetup --show -f /srv/vms/stand-in.img)
dmsetup create vmcrypt-stand-in --table "0 32768 linear $loop 0"
at_exit losetup -d "$loop"
at_exit dmsetup remove vmcrypt-stand-in

before=$(systemctl show -P MainPID vmcryptd.service)
check "restart" systemctl restart vmcryptd.service
check "it is another process" test "$(systemctl show -P MainPID vmcryptd.service)" != "$before"
check "the mapping is still there" dmsetup info vmcrypt-stand-in
check "and so is the runtime folder" test -d /run/vmcrypt

check "reload" systemctl reload vmcryptd.service
check "calls are answered after it" "${manager[@]}" ListVMs
check "stop" systemctl stop vmcryptd.service
check "it ended well" is success systemctl show -P Result vmcryptd.service
check "a call starts it (activation)" "${manager[@]}" ListVMs
check "so it is active again" is active systemctl is-active vmcryptd.service

# ---- the journal -----------------------------------------------------------------

ready=$(sed -n 's/#define VMC_MSG_DAEMON_READY[ \t]*"\(.*\)"/\1/p' "$LAB_TREE/userspace/lib/events.h")
journalctl --sync
check "the journal has its MESSAGE_ID" grep -q "is ready" <(journalctl -q -o cat "MESSAGE_ID=$ready")
check "and the catalog explains it" grep -q "has read the inventory" <(journalctl -q -x "MESSAGE_ID=$ready")

# ---- polkit ------------------------------------------------------------------------

nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
lab_polkit
if "${nobody[@]}" "${manager[@]}" UnlockVMs as 0 >/tmp/refused 2>&1; then
	not_ok "nobody may not unlock"
else
	diag "$(cat /tmp/refused)"
	check "nobody may not unlock, and is told which action that takes" grep -q "org.vmcrypt1.register-vm" /tmp/refused
fi
mkdir -p /etc/polkit-1/rules.d
cat >/etc/polkit-1/rules.d/50-test.rules <<-'RULE'
	polkit.addRule(function (action, subject) {
		if (action.id == "org.vmcrypt1.read" && subject.user == "nobody" && action.lookup("method") == "ListVMs")
			return polkit.Result.YES;
	});
RULE
check "a rule of the administrator lets nobody look" wait_for 20 "${nobody[@]}" "${manager[@]}" ListVMs
check "at what it names, and at nothing else" \
	bash -c '! "$@"' - "${nobody[@]}" "${manager[@]}" ListKeys

# ---- the role that runs VMs and reads none ---------------------------------------------

groupadd --system vmcrypt-nocrypto
useradd --system --no-create-home --groups vmcrypt-nocrypto runner
runner=(setpriv --reuid=runner --regid=runner --init-groups)
check "a member of vmcrypt-nocrypto sees VMs" "${runner[@]}" "${manager[@]}" ListVMs
check "and acknowledges alarms" "${runner[@]}" "${manager[@]}" AcknowledgeAlarm s ""
for method in "ListProviders" "UnlockVMs as 0" "GetManagedObjects" "RemoveKey sa{sv} kms/1 0"; do
	read -r -a words <<<"$method"
	target=("${manager[@]}")
	[ "$method" != GetManagedObjects ] ||
		target=("${call[@]}" call org.vmcrypt1 /org/vmcrypt1 org.freedesktop.DBus.ObjectManager)
	if "${runner[@]}" "${target[@]}" "${words[@]}" >/tmp/refused 2>&1 || ! grep -q "polkit says no" /tmp/refused; then
		diag "$(cat /tmp/refused)"
		not_ok "but may not ${words[0]}"
	else
		ok "but may not ${words[0]}"
	fi
done
gpasswd -a nobody vmcrypt-nocrypto >/dev/null
check "the administrator's own rules go before the role" "${nobody[@]}" "${manager[@]}" ListVMs

no_alarm()
{
	vmcrypt alarm list | grep -q "no alarm is raised"
}

# ---- an outage is an alarm: hook, journal, figures, and what to type --------------------

mkdir -p /etc/vmcrypt/hooks
cat >/etc/vmcrypt/hooks/on-alarm <<-'HOOK'
	#!/bin/sh
	echo "$VMCRYPT_ALARM_STATE $VMCRYPT_ALARM_TYPE $VMCRYPT_ALARM_ENTITY_NAME" >>/srv/vms/heard
	cat >>/srv/vms/heard
	echo >>/srv/vms/heard
	# within the unit's walls
	touch /usr/breach /etc/breach 2>/dev/null
	echo finished >>/srv/vms/heard
	exit 0
HOOK
chmod 0755 /etc/vmcrypt/hooks/on-alarm
printf '[metrics]\nfile = /srv/vms/vmcrypt.prom\n[health]\nretry = 1\n' >/etc/vmcrypt/vmcrypt.conf
systemctl reload vmcryptd.service
check "a host without a fault is well, but for a key provider" grep -q "^1 thing needs attention" <(vmcrypt status)
check "a key provider that is not there" "${manager[@]}" AddProvider sss kmip away '{"servers":["127.0.0.1:1"]}'
check "the hook hears of it" wait_for 60 grep -q "^raised provider-down away" /srv/vms/heard
check "to its end" wait_for 60 grep -qx finished /srv/vms/heard
check "with the alarm as JSON" grep -q '"type":"provider-down"' /srv/vms/heard
check "and stays within the walls" test ! -e /usr/breach -a ! -e /etc/breach
check "the figures are in the file" wait_for 30 grep -q '^vmcrypt_provider_up{provider="away"} 0$' /srv/vms/vmcrypt.prom
check "so is the alarm" wait_for 30 grep -q '^vmcrypt_alarms{type="provider-down"} 1$' /srv/vms/vmcrypt.prom
vmcrypt status >/tmp/status
check "status says what is wrong first" grep -q "^1 thing needs attention" <(head -n 1 /tmp/status)
check "and what to type" grep -q "Do: .*vmcrypt " /tmp/status
diag "$(cat /tmp/status)"
check "a list of it" grep -q "provider-down" <(vmcrypt alarm list)
raised=$(sed -n 's/#define VMC_MSG_ALARM_RAISED[ \t]*"\(.*\)"/\1/p' "$LAB_TREE/userspace/lib/events.h")
journalctl --sync
check "the journal has it, with what to do about alarms" grep -q "vmcrypt alarm list" \
	<(journalctl -q -x "MESSAGE_ID=$raised")
check "acknowledged it is raised still" vmcrypt alarm acknowledge --all
check "by root" grep -q '"acknowledged_by": "root"' <(vmcrypt alarm list --json)
printf '#!/bin/sh\necho no mail >&2\nexit 3\n' >/etc/vmcrypt/hooks/on-alarm
check "without the provider" "${manager[@]}" RemoveProvider s away
check "the alarm clears" wait_for 60 no_alarm
failed=$(sed -n 's/#define VMC_MSG_HOOK_FAILED[ \t]*"\(.*\)"/\1/p' "$LAB_TREE/userspace/lib/events.h")
hook_failed()
{
	journalctl --sync
	journalctl -q -x "MESSAGE_ID=$failed" | grep -q "no mail"
}
check "a hook that fails is told" wait_for 30 hook_failed
rm -rf /etc/vmcrypt/hooks

# ---- a VM that starts with the host ---------------------------------------------------

make_vm()
{
	echo "correct horse battery" >/srv/vms/password &&
		vmcrypt provider add native site --insecure-no-tpm --default &&
		vmcrypt provider export site --out /srv/vms/site.p12 --password-file /srv/vms/password &&
		mkdir -p /srv/vms/auto && vmcrypt vm create auto --dir /srv/vms/auto
}

# The inventory knows of another start of the host, so that this one is new to it.
next_start()
{
	systemctl stop vmcryptd.service &&
		/usr/bin/python3 -c 'import sqlite3
db = sqlite3.connect("/var/lib/vmcrypt/inventory.db")
db.execute("UPDATE vms SET boot = ?", ("00000000-0000-4000-8000-000000000000",))
db.commit()' && systemctl start vmcryptd.service
}

printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c "vmcrypt vm show auto | grep -q Mount:"\n' \
	>/etc/systemd/system/runs-auto.service
systemctl daemon-reload
check "a VM is made" make_vm
check "it is to start with the host, and its unit with it" vmcrypt vm set auto --autostart yes --unit runs-auto.service
check "a restart is no start of the host" systemctl restart vmcryptd.service
check "the host starts" next_start
check "the unit is started when the volumes are open" wait_for 60 is active systemctl is-active runs-auto.service
check "the VM powers off" vmcrypt vm power-off auto
check "and stays off" systemctl restart vmcryptd.service
check "as long as the host runs" grep -q 'Power: *off' <(vmcrypt vm show auto)
check "its unit is to be one that is not there" vmcrypt vm set auto --autostart yes --unit not-there.service
check "the host starts once more" next_start
not_started()
{
	vmcrypt alarm list --json | grep -q "unit 'not-there.service' did not start"
}
check "an alarm tells of the unit" wait_for 60 not_started
check "the VM powers off again" vmcrypt vm power-off auto
check "and goes" vmcrypt vm unregister auto

# ---- what the walls keep out ----------------------------------------------------------

pid=$(systemctl show -P MainPID vmcryptd.service)
check "no core dumps" grep -q 'core file size  *0  *0' "/proc/$pid/limits"
# DAC_OVERRIDE 1, FOWNER 3, LINUX_IMMUTABLE 9, NET_ADMIN 12, IPC_LOCK 14, SYS_ADMIN 21
check "the capabilities are those of the unit" grep -q '^CapBnd:[[:space:]]*000000000020520a$' "/proc/$pid/status"
check "seccomp is on" grep -q '^Seccomp:.*2' "/proc/$pid/status"

# ---- the module goes and comes --------------------------------------------------------

if rmmod vmcrypt 2>/tmp/seen; then
	check "without the module, vmcryptd says so" wait_for 20 is "b false" "${property[@]}" ModuleLoaded
	modprobe vmcrypt 2>/dev/null || insmod "$(find "$LAB_BUILD" /lib/modules -name vmcrypt.ko 2>/dev/null | head -n 1)"
	check "and takes it up by itself when it is back" wait_for 20 is "b true" "${property[@]}" ModuleLoaded
else
	diag "$(cat /tmp/seen)"
	not_ok "the module can be unloaded when nothing uses it"
fi

done_testing
