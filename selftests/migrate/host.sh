#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# host.sh STEP [ARGUMENT...]: what migrate.sh has done in one of its hosts.

# shellcheck source=/dev/null
. "$LAB_LIB"
set -e
here=$(dirname "$(readlink -f "$0")")
dir=/srv/vms/guest
memory=$((16 << 20))
low=$((1 << 20))	# below it is what is no memory, and what the guest writes
shared=/srv/shared	# the same on both hosts
images=/var/lib/libvirt/images
console=/var/log/libvirt/qemu/console
kms=/srv/vms/kms
pool=/srv/pool
ears=/srv/vms/ears
conf=/etc/vmcrypt/conf.d/migration.conf
e2e=$LAB_TREE/selftests/e2e

lun()
{
	grep -l -x "$1" /sys/block/vd*/serial | sed 's#/sys/block/\(.*\)/serial#/dev/\1#'
}

# needles WHAT [IMAGE...]: secrets for secretscan.py: what the "guest" knows, what the "kernel" derives keys from and
# encrypts with, the DEKs of volumes ("dek"), with their KEKs ("all"), by $shared/kmip.db
needles()
{
	case $1 in
	guest) printf 'words %s\n' "$(printf what-only-the-guest-knows | od -An -tx1 | tr -d ' \n')" ;;
	kernel) "$here/secrets.py" print ;;
	dek) "$e2e/dek.py" "$shared/kmip.db" "${@:2}" | grep '^dek:' ;;
	all) "$e2e/dek.py" "$shared/kmip.db" "${@:2}" ;;
	esac
}

# places: sets FILES: all that was written here since the host was set up, but for what only guests, and tests, know
places()
{
	mapfile -t FILES < <(find "$ears" /etc/vmcrypt /var/lib/vmcrypt /run/vmcrypt /run/libvirt /tmp /var/log \
		-path '/tmp/*' -type d -prune -o -type f -newer "$conf" -print 2>/dev/null)
}

# libvirtd with our hook. How it works under systemd, confined, is seen in ../libvirt.
start_libvirtd()
{
	cp "$LAB_BUILD/selftests/libvirt-guest" "$images/guest"
	mkdir -p /etc/libvirt/hooks/qemu.d
	sed "s#@BINDIR@#$LAB_BUILD/userspace#" "$LAB_TREE/packaging/libvirt/qemu.d/vmcrypt" > /etc/libvirt/hooks/qemu.d/vmcrypt
	chmod +x /etc/libvirt/hooks/qemu.d/vmcrypt
	printf 'stdio_handler = "file"\nsecurity_driver = "none"\nremember_owner = 0\ncgroup_controllers = []\n' >> /etc/libvirt/qemu.conf
	libvirtd --daemon
	lab_await 60 virsh list > /dev/null 2>&1
}

case $1 in
setup)	# ADDRESS [libvirt]: vmcryptd, which listens; prints the host's fingerprint
	mkdir -p /etc/vmcrypt/conf.d "$dir" "$ears" "$shared"
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none shared "$shared"
	printf '[migration]\nlisten = %s\naddress = data-of-%s\n' "$2" "$LAB_NAME" > "$conf"
	sysctl -q vm.unprivileged_userfaultfd=1	# as libvirt's package has it, for postcopy
	lab_dbus
	setsid vmcryptd --foreground </dev/null > /srv/vms/vmcryptd.log 2>&1 &
	[ "$3" != libvirt ] || start_libvirtd
	lab_await 60 vmcrypt status > /dev/null 2>&1
	vmcrypt host identity show --json | jq -r .sha256
	;;
peer)	# NAME ADDRESS FINGERPRINT
	vmcrypt peer add "$2" --address "$3" --fingerprint "$4"
	;;
guest)	# runs|waits: an unmodified QEMU (LAB_QEMU, or this machine's)
	rm -f "$dir"/*
	truncate -s 8M "$dir/disk"
	if [ "$2" = runs ]; then
		"$here/guest.py" "$dir/bios" "$dir/memory" $memory
		head -c 6M /dev/urandom | dd of="$dir/disk" bs=1M conv=notrunc status=none
		set -- -object "memory-backend-file,id=m,size=$memory,share=on,mem-path=$dir/memory"
	else
		"$here/guest.py" "$dir/bios"
		set -- -object "memory-backend-ram,id=m,size=$memory" -incoming defer -S
	fi
	setsid "${LAB_QEMU:-qemu-system-x86_64}" -nodefaults -no-user-config -display none -accel tcg -name guest \
		-m 16 -machine pc,memory-backend=m -cpu qemu64,-apic -bios "$dir/bios" "$@" \
		-drive "if=none,id=disk0,format=raw,file=$dir/disk,file.locking=off" -device virtio-blk-pci,drive=disk0 \
		-qmp "unix:$dir/qmp,server=on,wait=off" -qmp "unix:$dir/own,server=on,wait=off" \
		</dev/null > "$dir/log" 2>&1 &
	echo $! > "$dir/pid"
	lab_await 60 "$here/qmp.py" "$dir/own" query-version 2>/dev/null
	;;
state)	# what the guest does, and the sum of its memory
	"$here/qmp.py" "$dir/own" pmemsave \
		"{\"val\": $low, \"size\": $((memory - low)), \"filename\": \"$dir/saved\"}" query-status > "$dir/status"
	echo "$(tail -n 1 "$dir/status" | jq -r .status) $(sha256sum < "$dir/saved")"
	;;
status)
	"$here/qmp.py" "$dir/own" query-status | jq -r .status
	;;
disk-sum)
	sha256sum < "$dir/disk"
	;;
wire)	# HOST MODE|fair: what goes to HOST's data port meets a wire.py, or does not any more: what it did
	if [ "$3" = fair ]; then
		cat /srv/vms/wire.log
		kill "$(cat /srv/vms/wire.pid)"
		sed -i "s/^.* data-of-$2$/$(getent hosts "$2" | sed 's/ .*//') data-of-$2/" /etc/hosts
		exit 0
	fi
	: > /srv/vms/wire.log
	setsid "$here/wire.py" "$3" "$(getent hosts "$2" | sed 's/ .*//')" </dev/null > /srv/vms/wire.log 2>&1 &
	echo $! > /srv/vms/wire.pid
	lab_await 30 grep -q wire /srv/vms/wire.log
	sed -i "s/^.* data-of-$2$/127.0.0.9 data-of-$2/" /etc/hosts
	;;
held)	# a wire that holds does so
	lab_await 60 grep -s ^holds /srv/vms/wire.log
	;;
goes)	# ... and does no more; fails if nothing waited for it
	kill -USR1 "$(cat /srv/vms/wire.pid)"
	lab_await 30 grep ^goes /srv/vms/wire.log
	;;
having)	# what vmcryptd and the kernel have of something, once the last migration is over
	lab_await 30 sh -c '! ls -A /run/vmcrypt/migrate | grep -q .'
	lab_await 30 sh -c '! grep -q -s vmcrypt/ /proc/[0-9]*/comm'
	pid=$(pidof vmcryptd)
	echo "files $(find "/proc/$pid/fd" -mindepth 1 | wc -l) threads $(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l) users $(cat /sys/module/vmcrypt/refcnt)"
	;;
capture)
	tcpdump -i eth0 -U -w /srv/vms/wire.pcap tcp port 5699 </dev/null > /srv/vms/tcpdump.log 2>&1 &
	lab_await 30 grep -q 'listening on' /srv/vms/tcpdump.log
	;;
captured)	# how often the guest's words were on the wire, and how many bytes there were
	pkill -INT -x tcpdump
	lab_await 30 sh -c '! pgrep -x tcpdump > /dev/null'
	echo "$(grep -a -o what-only-the-guest-knows /srv/vms/wire.pcap | wc -l) $(stat -c %s /srv/vms/wire.pcap)"
	;;
no-module)	# this host cannot encrypt. What asks for the family would load the module again.
	mkdir -p /etc/modprobe.d
	echo 'blacklist vmcrypt' > /etc/modprobe.d/vmcrypt-test.conf
	rmmod vmcrypt
	[ -e /sys/module/vmcrypt ] || echo gone
	;;
domain)	# NAME UUID DISK: one of libvirt, whose guest goes round its memory and its disk
	type=block attribute=dev
	[ -b "$4" ] || [ "${4#/dev/}" != "$4" ] || type='file' attribute='file'
	cat > /srv/vms/domain.xml <<-XML
	<domain type='qemu'><name>$2</name><uuid>$3</uuid>
	<memory unit='MiB'>64</memory><vcpu>1</vcpu><features><acpi/></features>
	<os><type arch='x86_64' machine='pc'>hvm</type>
	<kernel>$images/guest</kernel><cmdline>stays diary=begun</cmdline></os>
	<devices>
	<disk type='$type' device='disk'><driver name='qemu' type='raw' cache='none'/>
	<source $attribute='$4'/><target dev='hda' bus='ide'/></disk>
	<serial type='file'><source path='$console-$2'/></serial>
	</devices></domain>
	XML
	virsh define /srv/vms/domain.xml
	virsh start "$2"
	;;
rounds)	# NAME: it goes round its memory and disk, all of it on this host; fails if anything is not as it was
	virsh domstate "$2" | grep -q -x running
	lab_await 60 sh -c "[ \"\$(grep -c 'the disk is as it was' $console-$2 2>/dev/null)\" -ge 2 ]" 2>/dev/null
	if grep -e differs -e cannot "$console-$2"; then exit 1; fi
	grep -m 1 'memory is whole' "$console-$2"
	;;
kms)	# NAME: the key server, on this host, which is called NAME; it signs what this host asks for
	"$LAB_TREE/tools/lab" pykmip start "$kms" --listen 0.0.0.0 --san "DNS:$2"
	cp "$kms/ca.pem" "$shared/ca.pem"
	vmcrypt provider add kmip kms --server "$2:5696" --default
	vmcrypt provider trust kms pin --ca "$shared/ca.pem"
	vmcrypt provider trust kms csr > "$shared/$LAB_NAME.csr"
	"$LAB_TREE/tools/lab" pykmip sign "$kms" "$shared/$LAB_NAME.csr" "$shared/$LAB_NAME.pem"
	;;
trusted)
	vmcrypt provider trust kms upload "$shared/$LAB_NAME.pem"
	vmcrypt provider test kms
	;;
vm)	# NAME UUID: an encrypted VM with a disk, where both hosts see it
	mkdir -p "$pool"
	vmcrypt vm create "$2" --dir "$pool" --uuid "$3" --home-size 16M
	vmcrypt disk create "$2" root --size 32M
	dd if="$pool/$2.home" "of=$(lun one)" bs=1M oflag=direct status=none
	dd if="$pool/$2-root.img" "of=$(lun two)" bs=1M oflag=direct status=none
	"$0" luns "$2"
	cp "$kms/kmip.db" "$shared/kmip.db"	# for whoever searches, on both hosts
	;;
luns)	# NAME: its volumes are disks that both hosts see
	mkdir -p "$pool"
	ln -sf "$(lun one)" "$pool/$2.home"
	ln -sf "$(lun two)" "$pool/$2-root.img"
	;;
on)	# NAME: it is, and its home volume is where it belongs
	vmcrypt --json vm show "$2" | grep '"power": *"on"'
	grep /run/vmcrypt/home/ /proc/mounts
	;;
off)	# NAME: it is, once the hook is done
	lab_await 40 sh -c "vmcrypt --json vm show $2 | grep -q '\"power\": *\"off\"'"
	! dmsetup ls | grep '^vmcrypt-'
	echo bare
	;;
plain)	# NAME UUID random|empty: a domain with a disk of its own, with that on it
	truncate -s 16M "$images/$2.img"
	if [ "$4" = random ]; then
		head -c 8M /dev/urandom | dd of="$images/$2.img" bs=1M seek=4 conv=notrunc status=none
		"$0" domain "$2" "$3" "$images/$2.img"
	fi
	;;
disk)	# NAME: what is on it, but for where the guest counts
	tail -c +1048577 "$images/$2.img" | sha256sum
	;;
planted)	# WHAT [IMAGE...]: the first of these secrets, in a message
	needles "${@:2}" | sed -n '1s/.* //p' |
		/usr/bin/python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' > "$ears/planted"
	status=0
	needles "${@:2}" | "$e2e/secretscan.py" "$ears/planted" || status=$?
	rm "$ears/planted"
	exit $status
	;;
core)	# of vmcryptd, among what is searched
	gdb --nx --readnever --batch -iex 'set auto-solib-add off' -p "$(pidof vmcryptd)" \
		-ex "generate-core-file $ears/core" > "$ears/gdb.log" 2>&1
	[ -s "$ears/core" ]
	;;
bare)	# nothing of an encrypted VM is here: no mapping, no home volume, no key in the kernel
	! dmsetup ls | grep '^vmcrypt-'
	! grep /run/vmcrypt/home/ /proc/mounts
	[ "$(vmcrypt --json vm list)" = '[]' ]
	grep -q 'vmcrypt:' /proc/keys || echo bare
	;;
listens)	# to all that processes tell the kernel, and all that goes over the wire; the kernel notes its secrets
	"$here/secrets.py" watch
	modprobe nlmon
	ip link add nlmon0 type nlmon
	ip link set nlmon0 up
	tcpdump -i nlmon0 -s 0 -U -w "$ears/netlink.pcap" </dev/null > "$ears/netlink.log" 2>&1 &
	tcpdump -i eth0 -s 0 -U -w "$ears/wire.pcap" port 5698 or port 5699 </dev/null > "$ears/wire.log" 2>&1 &
	lab_await 30 grep -q 'listening on' "$ears/netlink.log"
	lab_await 30 grep -q 'listening on' "$ears/wire.log"
	;;
listened)	# no more, and the kernel notes no secrets
	"$here/secrets.py" end
	pkill -INT -x tcpdump
	lab_await 30 sh -c '! pgrep -x tcpdump > /dev/null'
	ip link del nlmon0
	stat -c '%n %s' "$ears"/*.pcap
	;;
search)	# WHAT [IMAGE...]: these secrets, in every process, a core of vmcryptd, files, and what was listened to
	places
	needles "${@:2}" | "$e2e/secretscan.py" --processes "${FILES[@]}"
	;;
search-ears)	# WHAT [IMAGE...]: in what was listened to
	needles "${@:2}" | "$e2e/secretscan.py" "$ears"
	;;
words)	# where what the guest knows is: in vmcryptd, its core, files, messages, the wire; in QEMU
	places
	needles guest | "$e2e/secretscan.py" --pid "$(pidof vmcryptd)" "${FILES[@]}" || exit 3
	needles guest | "$e2e/secretscan.py" --pid "$(cat "$dir/pid")"
	;;
slow)	# what leaves this host: 4 Mbit/s
	tc qdisc add dev eth0 root tbf rate 4mbit burst 32kbit latency 400ms
	;;
fast)
	tc qdisc del dev eth0 root
	;;
cut)	# the connections of the migration that leaves this host, once a megabyte went through one
	lab_await 60 sh -c 'ss -H -t -i -n dport = 5699 | grep -q "bytes_sent:[1-9][0-9]\{6\}"'
	ss -H -K -t -n dport = 5699
	;;
esac
