# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# The hook of libvirt: which domains it lets pass, what it asks the service for.

web1=11111111-1111-4111-8111-111111111111
locked=33333333-3333-4333-8333-333333333333
moving=77777777-7777-4777-8777-777777777777
mute=44444444-4444-4444-8444-444444444444
other=55555555-5555-4555-8555-555555555555
claims=$work/run/libvirt

# domain NAME ID DISK...: XML
domain()
{
	local name=$1 id=$2

	shift 2
	printf "<domain type='kvm'><name>%s</name><uuid>%s</uuid><devices>" "$name" "$id"
	[ $# -eq 0 ] || printf "<disk type='block'><source dev='%s'/></disk>" "$@"
	echo '</devices></domain>'
}

# hook XML OPERATION STAGE: leaves $out, $err and $rc, as run does
hook()
{
	cat calls >> all-calls
	: > calls
	printf '%s' "$1" > domain.xml
	VMCRYPT_RUNTIME_DIR=$work/run timeout -k 5 30 "$cli" libvirt-hook name "$2" "$3" - \
		> out 2> err < domain.xml
	rc=$?
	out=$(cat out)
	err=$(cat err)
}

# sent TITLE MEMBER...: just these calls, but for GetVM and Describe
sent()
{
	local title=$1 got

	shift
	got=$(grep -o '^org.vmcrypt1.VM\.[A-Za-z]*[^~]*' calls | grep -v Describe |
		sed 's/^org.vmcrypt1.VM.//; s/[ -]*$//' | tr '\n' ';')
	if [ "$got" = "$(printf '%s;' "$@" | sed 's/^;$//')" ]; then ok "$title"; else not_ok "$title" "sent: $got" "not:  $*"; fi
}

# owner TITLE VM MODE: of the claim; "" when there is to be none
owner()
{
	local got=

	[ ! -e "$claims/$2" ] || got=$(/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["mode"])' "$claims/$2")
	if [ "$got" = "$3" ]; then ok "$1"; else not_ok "$1" "claim: '$got', not '$3'"; fi
}

plain=$(domain plain "$other" /dev/vg/lv)
web=$(domain web "$web1" "/dev/mapper/vmcrypt-$web1-root")

# without a service: only what is encrypted is held up
hook "$plain" prepare begin
expect "hook: a plain domain passes without vmcryptd" 0 '' ''
hook "$web" prepare begin
expect "hook: an encrypted one does not, and is told why" 10 '' '*vmcryptd is not running*Hint: systemctl start vmcryptd*'
hook "$web" reconnect begin
expect "hook: a domain that runs is never refused" 0 '' '*vmcryptd is not running'
hook 'no XML' prepare begin
expect "hook: XML that is none of ours is none of our business" 0 '' ''
hook "<domain>/dev/mapper/vmcrypt-$web1-root" prepare begin
expect "hook: unless it speaks of encrypted volumes" 1 '' '*not well-formed XML*'
hook '' release end
expect "hook: nothing to release" 0 '' ''

start_mock
hook "$plain" prepare begin
expect "hook: a plain domain passes" 0 '' ''
sent "hook: nothing is opened for it"
hook "$(domain mute "$mute" /dev/vg/lv)" prepare begin
expect "hook: a vmcryptd that does not answer holds up no plain domain" 0 '' ''
hook "$web" started begin
expect "hook: other operations pass" 0 '' ''

hook "$web" prepare begin
expect "hook: prepare" 0 '' ''
sent "hook: prepare powers on" PowerOn
owner "hook: and notes for whom" "$web1" power
hook "$web" prepare begin
expect "hook: prepare again" 0 '' ''
sent "hook: a VM that is on is not powered on again" 'OpenDisk s root'
owner "hook: it stays the hook's to power off" "$web1" power
hook "$(domain thief "$other" "/dev/mapper/vmcrypt-$web1-data-1")" prepare begin
expect "hook: a second domain on the same VM" 5 '' "*VM 'web1' is in use by the domain 'web'*Hint: virsh shutdown web*"
sent "hook: opens nothing"
hook "$(domain thief "$other" "/dev/mapper/vmcrypt-$web1-data-1")" release end
sent "hook: and its end closes nothing"
hook "$web" reconnect begin
owner "hook: reconnect changes no claim" "$web1" power
hook "$plain" release end
sent "hook: the end of a plain domain closes nothing"
hook "$web" release end
expect "hook: release" 0 '' ''
sent "hook: release powers off" PowerOff
owner "hook: the claim is gone" "$web1" ''
hook "$web" release end
sent "hook: release again does nothing"

run vm power-on web1
hook "$web" prepare begin
expect "hook: a VM powered on by hand" 0 '' ''
owner "hook: is noted as found" "$web1" found
hook "$web" release end
sent "hook: and stays on"
owner "hook: without a claim" "$web1" ''
hook "$web" reconnect begin
owner "hook: a domain that runs without a claim gets one" "$web1" power
hook "$web" release end
sent "hook: so that its end powers off" PowerOff

hook "$web" migrate begin
expect "hook: migrate prints no XML" 0 '' ''
owner "hook: it is announced" "$web1" incoming
hook "$web" prepare begin
sent "hook: an incoming domain has its disks opened alone" 'OpenDisk s root'
owner "hook: noted" "$web1" disks
hook "$web" release end
sent "hook: and closed" 'CloseDisk s data-1'
hook "$(domain moving "$moving" "/dev/mapper/vmcrypt-$moving-root")" migrate begin
hook "$(domain moving "$moving" "/dev/mapper/vmcrypt-$moving-root")" prepare begin
expect "hook: a domain that 'vmcrypt migrate' brings" 0 '' ''
sent "hook: has its disks already"
owner "hook: it goes off with its domain" "$moving" power
hook "$(domain moving "$moving")" release end
expect "hook: while it moves nothing is closed" 0 '' ''
sent "hook: for the migration does that"
owner "hook: the claim is gone" "$moving" ''
hook "$(domain web "$web1" "/run/vmcrypt/home/$web1/nvram/vars.fd")" migrate begin
expect "hook: a home volume does not migrate" 10 '' "*files in the home volume of VM 'web1'*Hint: shut the domain down*"
hook "$web" restore begin
expect "hook: restore" 0 '' ''
sent "hook: restore itself opens nothing"
hook "$web" start begin
expect "hook: start finds a disk closed" 9 '' "*disk 'root' of VM 'web1' was closed*"

hook "$(domain locked "$locked" "/dev/mapper/vmcrypt-$locked-root")" prepare begin
expect "hook: a locked VM's reason and remedy" 9 '' "vmcrypt: the keys are gone*Hint: vmcrypt vm unlock locked"
hook "$(domain locked "$locked")" prepare begin
expect "hook: the domain's UUID alone tells the VM" 9 '' "vmcrypt: the keys are gone*"
hook "$(domain locked "$locked")" release end
sent "hook: what did not open is not closed"
hook "$(domain x "$other" "/dev/mapper/vmcrypt-$mute-root" "/dev/mapper/vmcrypt-$web1-root")" prepare begin
expect "hook: volumes of two VMs" 1 '' "*mixes volumes of two VMs*Hint: *"
hook "$(domain x "$locked" "/dev/mapper/vmcrypt-$web1-root")" prepare begin
expect "hook: the id of one VM, a volume of another" 1 '' "*has the UUID of the encrypted VM $locked*volumes of the VM $web1*"
hook "$(domain x "$other" "/dev/mapper/vmcrypt-$other-root")" prepare begin
expect "hook: a VM that is not registered" 4 '' "*VM $other, which is not registered*Hint: vmcrypt vm register*"
hook "$(domain x "$other" "/dev/mapper/vmcrypt-$web1-nosuch")" prepare begin
expect "hook: a disk that the VM does not have" 4 '' "*names the disk 'nosuch', which*'web1' does not have*"
hook "$(domain x "$web1" /srv/vm/web1-root.img)" prepare begin
expect "hook: the container instead of the disk" 1 '' "*the encrypted container of the volume 'root'*Hint: *vmcrypt-$web1-root*"
stop_mock

# the script that libvirt calls, once vmcrypt was removed and once with it
hook_script()
{
	printf '%s' "$2" > domain.xml
	timeout -k 5 30 "./hook-$1" "${@:3}" - > out 2> err < domain.xml
	rc=$?
	out=$(cat out)
	err=$(cat err)
}

sed "s#@BINDIR@#$work/nowhere#" "$top/packaging/libvirt/qemu.d/vmcrypt" > hook-without
sed "s#@BINDIR@#$(dirname "$cli")#" "$top/packaging/libvirt/qemu.d/vmcrypt" > hook-with
chmod +x hook-without hook-with
hook_script without "$plain" plain prepare begin
expect "hook script: without vmcrypt a plain domain passes" 0 '' ''
hook_script without "$web" web prepare begin
expect "hook script: an encrypted one does not" 1 '' '*is not there*Hint: install vmcrypt again'
hook_script without "$web" web release end
expect "hook script: what has ended has ended" 0 '' ''
hook_script with "$web" --json prepare begin
expect "hook script: a domain may be called as an option is" 10 '' '*vmcryptd is not running*'
