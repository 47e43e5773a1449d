#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# member.sh STEP [ARGUMENT...]: what the tests of this topic have done in one of
# their hosts. What hosts give one another is in /lab, which this machine sees.

# shellcheck source=/dev/null
. "$LAB_LIB"
set -e
kms=/srv/vms/kms
vms=/srv/vms/guests

# start NAME: a service of an authority, which outlives this script
start()
{
	setsid "$1" --foreground </dev/null >>"/srv/vms/$1.log" 2>&1 &
}

listens()
{
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

gone()
{
	! pidof "$1" >/dev/null
}

case $1 in
authority)	# both services; what they keep outlives a reboot
	mkdir -p /srv/vms/vmcrypt-trust /var/lib/vmcrypt-trust
	mountpoint -q /var/lib/vmcrypt-trust || mount --bind /srv/vms/vmcrypt-trust /var/lib/vmcrypt-trust
	lab_dbus
	"$0" start
	;;
start)		# [SERVICE]: both, or one of them
	for service in ${2-vmcrypt-attestd vmcrypt-kmxd}; do
		start "$service"
		lab_await 120 listens "$([ "$service" = vmcrypt-kmxd ] && echo 5701 || echo 5700)"
	done
	;;
stop)		# [SERVICE]
	for service in ${2-vmcrypt-kmxd vmcrypt-attestd}; do
		kill "$(pidof "$service")"
		lab_await 60 gone "$service"
	done
	;;
kms)		# the key server; prints the CA of its certificate
	"$LAB_TREE/tools/lab" pykmip start "$kms" --listen 0.0.0.0 --san "DNS:kms,IP:$LAB_ADDR" >&2
	cp "$kms/ca.pem" /lab/kms-ca.pem
	;;
kms-stop)
	"$LAB_TREE/tools/lab" pykmip stop "$kms" >&2
	;;
client)		# NAME: a certificate for who has that name to the key server
	[ -e "$kms/$2.pem" ] || "$LAB_TREE/tools/lab" pykmip cert "$kms" "$2" >&2
	cp "$kms/$2.pem" "$kms/$2.key" /lab
	;;
sign)		# AUTHORITY: the CA of the key server signs what it asks for
	"$LAB_TREE/tools/lab" pykmip sign "$kms" "/lab/$2.csr" "/lab/$2.pem" >&2
	;;
trusted)	# vmcryptd, which looks at its providers often
	mkdir -p /etc/vmcrypt "$vms"
	printf '[kmip]\nconnect_timeout_ms = 2000\n[health]\ninterval = 30\nretry = 1\n' >/etc/vmcrypt/vmcrypt.conf
	lab_dbus
	setsid vmcryptd --foreground </dev/null >>/srv/vms/vmcryptd.log 2>&1 &
	lab_await 120 sh -c 'vmcrypt status >/dev/null 2>&1'
	;;
io)		# VM: the disk of a VM that is on takes data, and gives it back
	disk=$(vmcrypt --json vm show "$2" | jq -er '.disks[0].device')
	"$LAB_TREE/selftests/states/writer.py" write "$disk" 100 /run/progress
	"$LAB_TREE/selftests/states/writer.py" check "$disk" 100
	;;
read)		# VM: what was written before is there
	"$LAB_TREE/selftests/states/writer.py" check "$(vmcrypt --json vm show "$2" | jq -er '.disks[0].device')" 100
	;;
ask)		# AUTHORITY BODY PATH [CURL-OPTION...]: over HTTPS, as whoever that names
	curl -s -k --tlsv1.3 --max-time 60 "${@:5}" -d "$3" "https://$2:5700$4"
	;;
stray)		# the challenge of ta1 is answered to ta2
	receipt=$(cat /var/lib/vmcrypt/trust/ta/ak.receipt)
	context=$("$0" ask ta1 "{\"ak_receipt\":\"$receipt\"}" /v1/attest/challenge | jq -er .context)
	"$0" ask ta2 "{\"ak_receipt\":\"$receipt\",\"context\":\"$context\"}" /v1/attest
	;;
plain)		# a VM without encryption starts, and ends by itself with 33
	{
		head -c 65520 /dev/zero
		printf '\xb0\x10\xe6\xf4\xf4'
		head -c 11 /dev/zero
	} >/run/bios
	timeout 60 qemu-system-x86_64 -nodefaults -no-user-config -display none -accel tcg -m 16 -bios /run/bios \
		-device isa-debug-exit,iobase=0xf4,iosize=1 || [ $? = 33 ]
	;;
*)
	echo "what is $1?" >&2
	exit 2
	;;
esac
