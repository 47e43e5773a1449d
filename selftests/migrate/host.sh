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

case $1 in
setup)	# ADDRESS: vmcryptd, which listens; prints the host's fingerprint
	mkdir -p /etc/vmcrypt/conf.d "$dir"
	printf '[migration]\nlisten = %s\n' "$2" > /etc/vmcrypt/conf.d/migration.conf
	lab_dbus
	setsid vmcryptd --foreground </dev/null > /srv/vms/vmcryptd.log 2>&1 &
	lab_await 60 vmcrypt status > /dev/null 2>&1
	vmcrypt host identity show --json | jq -r .sha256
	;;
peer)	# NAME ADDRESS FINGERPRINT
	vmcrypt peer add "$2" --address "$3" --fingerprint "$4"
	;;
guest)	# runs|waits: an unmodified QEMU whose guest counts at 0x500 for ever
	rm -f "$dir"/*
	{
		head -c 65520 /dev/zero
		printf '\xff\x06\x00\x05\xeb\xfa'
		head -c 10 /dev/zero
	} > "$dir/bios"
	if [ "$2" = runs ]; then
		/usr/bin/python3 -c 'import os, sys
for i in range(int(sys.argv[1]) // 4096):
	sys.stdout.buffer.write(b"what-only-the-guest-knows-%06d" % i + os.urandom(4064))' $memory > "$dir/memory"
		set -- -object "memory-backend-file,id=m,size=$memory,share=on,mem-path=$dir/memory"
	else
		set -- -object "memory-backend-ram,id=m,size=$memory" -incoming defer -S
	fi
	setsid qemu-system-x86_64 -nodefaults -no-user-config -display none -accel tcg -name guest \
		-m 16 -machine pc,memory-backend=m -bios "$dir/bios" "$@" \
		-qmp "unix:$dir/qmp,server=on,wait=off" -qmp "unix:$dir/own,server=on,wait=off" \
		</dev/null > "$dir/log" 2>&1 &
	lab_await 60 "$here/qmp.py" "$dir/own" query-status > /dev/null 2>&1
	;;
sum)	# of the guest's memory
	"$here/qmp.py" "$dir/own" pmemsave \
		"{\"val\": $low, \"size\": $((memory - low)), \"filename\": \"$dir/saved\"}" > /dev/null
	sha256sum < "$dir/saved"
	;;
status)
	"$here/qmp.py" "$dir/own" query-status | jq -r .status
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
