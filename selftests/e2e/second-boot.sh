#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Second boot: the kernel has no keys. They are fetched afresh; nobody but the
# kernel sees a DEK; servers fail; things are tampered with.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
plan

lab_nested_kvm || diag "no nested KVM; the guest is emulated"
ID=$(cat "$WORK/web.id")

# Everything that can be listened to is, from before the first key moves.
modprobe nlmon
ip link add nlmon0 type nlmon && ip link set nlmon0 up
tcpdump -i nlmon0 -s 0 -U -w "$WORK/netlink.pcap" 2>"$WORK/tcpdump.err" </dev/null &
NLMON=$!
wait_for 20 grep -q 'listening on' "$WORK/tcpdump.err"
lab_dbus
dbus-monitor --system --pcap >"$WORK/dbus.pcap" 2>/dev/null </dev/null &
BUSMON=$!
wait_for 20 test -s "$WORK/dbus.pcap"
ulimit -c unlimited
echo "$WORK/core.%p" >/proc/sys/kernel/core_pattern

check "the key servers are back" kms_start
check "vmcryptd starts" daemon_start
prints "the kernel has no key after the reboot" '^\[\]$|"cached": ?false' vmcrypt --json key list

prints "keys are fetched afresh and the VM powers on" 'found entry 0: first-light' guest web second-light
said "it goes on writing" 'wrote entry 1: second-light'

check "the VM is on for the search" vmcrypt vm power-on web
mapfile -t VOLUMES < <(vmcrypt --json vm show web | /usr/bin/python3 -c '
import json, sys
v = json.load(sys.stdin)
print(v["home"]["path"], *(d["path"] for d in v["disks"]), sep="\n")')

# search WHAT STATUS ARG...: look for the DEKs of all volumes
search()
{
	local what=$1 want=$2 status

	shift 2
	"$E2E/dek.py" "$KMS/kmip.db" "${VOLUMES[@]}" | grep '^dek:' |
		"$E2E/secretscan.py" "$@" >"$OUT" 2>&1
	status=$?
	if [ "$status" = "$want" ]; then
		ok "$what"
	else
		not_ok "$what"
		diag "$(head -n 20 "$OUT")"
	fi
}

FILES=(/etc/vmcrypt /var/lib/vmcrypt /run /tmp "$WORK")
sync
search "no process holds a DEK after power-on" 0 --processes
search "no file, log, netlink message or D-Bus message holds one" 0 "${FILES[@]}"

# The search must find what is there: plant the bytes in each place.
FIRST=$("$E2E/dek.py" "$KMS/kmip.db" "${VOLUMES[0]}" | sed -n 's/^dek:[^ ]* //p')
/usr/bin/python3 -c 'import sys, time
b = bytes.fromhex(sys.stdin.read()); print("planted", flush=True); time.sleep(600)' \
	<<<"$FIRST" >"$WORK/planted" &
PLANT=$!
wait_for 20 test -s "$WORK/planted"
search "a DEK planted in a process is found" 1 --pid "$PLANT"
kill "$PLANT"
wait "$PLANT" 2>/dev/null
/usr/bin/python3 "$E2E/plant.py" netlink <<<"$FIRST"
wait_for 20 bash -c "'$E2E/dek.py' '$KMS/kmip.db' '${VOLUMES[0]}' | '$E2E/secretscan.py' '$WORK/netlink.pcap' | grep -q ."
search "one planted in a netlink message is found" 1 "$WORK/netlink.pcap"
/usr/bin/python3 "$E2E/plant.py" dbus <<<"$FIRST"
wait_for 20 bash -c "'$E2E/dek.py' '$KMS/kmip.db' '${VOLUMES[0]}' | '$E2E/secretscan.py' '$WORK/dbus.pcap' | grep -q ."
search "one planted in a D-Bus message is found" 1 "$WORK/dbus.pcap"
/usr/bin/python3 -c 'import os, signal, sys
b = bytes.fromhex(sys.stdin.read()); os.kill(os.getpid(), signal.SIGABRT)' <<<"$FIRST" 2>/dev/null
wait_for 20 bash -c "ls $WORK/core.*"
search "one in a core dump is found" 1 "$WORK"
rm -f "$WORK"/core.* "$WORK/netlink.pcap" "$WORK/dbus.pcap"
FIRST=
kill "$NLMON" "$BUSMON"
wait "$NLMON" "$BUSMON" 2>/dev/null

kill -ABRT "$DAEMON"
wait "$DAEMON" 2>/dev/null
check "vmcryptd leaves no core dump when it dies" bash -c "! ls $WORK/core.*"
check "it starts again" daemon_start
prints "and knows that the VM is on" '"power": ?"on"' vmcrypt --json vm show web
check "the VM powers off" vmcrypt vm power-off web

# servers come and go
check "both key servers stop" kms_stop
check "a VM whose key is cached powers on all the same" vmcrypt vm power-on web
check "and off" vmcrypt vm power-off web
KEK=$(vmcrypt --json vm show web | json home key)
check "the key is dropped from the cache" vmcrypt key remove "$KEK" --force
refuses "now it cannot power on, and the error names the servers" 8 'localhost|127\.0\.0\.1|kms' vmcrypt vm power-on web
check "the second server alone comes back" kms_start --node 2
check "it is asked in the first one's place" timeout 30 vmcrypt vm power-on web
check "the VM powers off again" vmcrypt vm power-off web
check "both servers are up" kms_start
prints "all is well again" '5696' vmcrypt provider test kms

# things that do not fit
mkdir -p "$WORK/other"
check "another VM is made" vmcrypt vm create other --dir "$WORK/other"
check "with a disk" vmcrypt disk create other root --size 16M
OTHER=$(vmcrypt --json vm show other | json disks 0 path)
OTHER_KEK=$(vmcrypt --json vm show other | json disks 0 key)
refuses "a disk of another VM cannot be attached" '*' 'not of .web.' vmcrypt disk attach web "$OTHER"

# tampered WHAT STATUS PATTERN FILE HOW: flip a bit of FILE, see it refused, put
# it back
tampered()
{
	cp --sparse=always "$4" "$WORK/kept"
	check "one bit is flipped: $5" "$E2E/tamper.py" "$5" "$4"
	refuses "$1" "$2" "$3" vmcrypt vm power-on other
	check "nothing is open" no_mapping
	cp --sparse=always "$WORK/kept" "$4"
}

tampered "a flipped bit in the bundle is named" 7 'bundle' "$WORK/other/other.vmcrypt" \
	bundle-name
tampered "a flipped bit in the bundle's wrapped DEK is named" 7 'altered|authentic' "$WORK/other/other.vmcrypt" \
	bundle-wrapped
tampered "a flipped bit in a disk's token is named" 7 'token|header' "$OTHER" \
	token-wrapped
check "put right, the VM powers on" vmcrypt vm power-on other
check "and off again" vmcrypt vm power-off other

# a copy is cut short, and goes on
head -c 24M /dev/urandom >"$WORK/long.raw"
cp "$WORK/long.raw" "$WORK/long.kept"
vmcrypt disk encrypt other long --source "$WORK/long.raw" --format raw --rate 4M >"$WORK/encrypt.out" 2>&1 &
ENCRYPT=$!
copying()
{
	vmcrypt --json job list | /usr/bin/python3 -c 'import json, sys
sys.exit(not any(j["kind"] == "disk-encrypt" and j["done"] > 2 << 20 for j in json.load(sys.stdin)))'
}
check "an image is being encrypted" wait_for 60 copying
kill -KILL "$DAEMON"
wait "$DAEMON" 2>/dev/null
check "the command says that vmcryptd is gone" bash -c "! wait $ENCRYPT 2>/dev/null; grep -q . $WORK/encrypt.out"
check "the image is still there" cmp "$WORK/long.raw" "$WORK/long.kept"
check "vmcryptd starts again" daemon_start
check "it goes on by itself, and ends" wait_for 120 test ! -e "$WORK/long.raw"
wait_for 20 bash -c "vmcrypt --json job list | grep -q '^\\[\\]'"
DEV=$(vmcrypt disk open other long)
check "the disk holds all that the image held" cmp -n 25165824 "$WORK/long.kept" "$DEV"
check "it closes" vmcrypt disk close other long
rm -f "$WORK/long.kept"

# a block device as a disk
truncate -s 48M "$WORK/block.img"
LOOP=$(losetup --find --show "$WORK/block.img")
mkfs.ext4 -q "$LOOP"
refuses "a block device with something on it is left alone" '*' 'not empty' \
	vmcrypt disk create other block --path "$LOOP"
check "and has what it had" bash -c "blkid -p '$LOOP' | grep -q ext4"
blkdiscard -z "$LOOP"
refuses "one that is too small is refused" '*' '48|MiB|small' \
	vmcrypt disk create other block --path "$LOOP" --size 64M
check "an empty one becomes a disk" vmcrypt disk create other block --path "$LOOP"
prints "blkid says LUKS" 'crypto_LUKS' blkid -p "$LOOP"
DEV=$(vmcrypt disk open other block)
check "all of it but the header can be written" \
	dd if=/dev/urandom of="$DEV" bs=1M oflag=direct count=$(($(blockdev --getsize64 "$DEV") >> 20))
check "it closes" vmcrypt disk close other block
check "it is detached" vmcrypt disk detach other block
check "and attached again" vmcrypt disk attach other "$LOOP"
check "and detached for good" vmcrypt disk detach other block
losetup -d "$LOOP"

# keys change
check "a VM is on while its KEK is changed" vmcrypt vm power-on web
prints "its KEK is changed" 'new key encryption key' vmcrypt vm recrypt --shallow web
check "it is another one" test "$(vmcrypt --json vm show web | json home key)" != "$KEK"
check "the VM powers off" vmcrypt vm power-off web
check "the old KEK, not used any more, is destroyed" vmcrypt key remove "$KEK" --destroy
prints "the VM powers on under the new one" 'found entry 1: second-light' guest web third-light
check "a disk gets a new DEK" vmcrypt vm recrypt --deep web --disk root
prints "and holds what it held" 'found entry 2: third-light' guest web fourth-light
KEK=$(vmcrypt --json vm show web | json home key)

check "the key is dropped from the cache" vmcrypt key remove "$OTHER_KEK" --force
check "the key server's administrator revokes it" \
	/usr/bin/python3 "$E2E/kmsadmin.py" "$KMS/ca.pem" /etc/vmcrypt/providers/kms/client.pem \
	/etc/vmcrypt/providers/kms/client.key revoke "${OTHER_KEK#*/}"
refuses "a key that is not active is refused, naming key and state" 6 "${OTHER_KEK#*/}.*(Compromised|Deactivated|not active)|(Compromised|Deactivated).*" \
	vmcrypt vm power-on other
check "no mapping is left" no_mapping

OWN=/etc/vmcrypt/providers/kms
cp -p "$OWN/client.pem" "$OWN/client.key" "$WORK/"
check "the host gets a stranger's certificate" \
	vmcrypt provider trust kms import "$KMS/stranger.pem" "$KMS/stranger.key"
check "the key is dropped from the cache" vmcrypt key remove "$KEK" --force
refuses "a stranger gets no key, and the error names it" '*' "${KEK#*/}" vmcrypt vm power-on web
check "no mapping is left" no_mapping
check "the host's own certificate is put back" \
	vmcrypt provider trust kms import "$WORK/client.pem" "$WORK/client.key"

cp -r "$WORK/web" "$WORK/moved"
sed -i 's/"kms\//"nowhere\//g; s/"kms"/"nowhere"/g' "$WORK/moved/web.vmcrypt"
check "the VM is unregistered" vmcrypt vm unregister web
vmcrypt vm register "$WORK/moved/web.vmcrypt" >"$OUT" 2>&1 ||
	diag "registering: $(cat "$OUT")"
refuses "an unknown cluster name is named" '*' 'nowhere' vmcrypt vm power-on web
vmcrypt vm unregister web >/dev/null 2>&1
check "from its own bundle it registers" vmcrypt vm register "$WORK/web/web.vmcrypt"
prints "and powers on with all that it had" 'found entry 3: fourth-light' guest web fifth-light

check "vmcryptd stops" daemon_stop
check "the key servers stop" kms_stop
done_testing
