#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Three hosts on one segment reach each other, also after one of them rebooted.

# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
lab=$LAB_TREE/tools/lab
VMCRYPT_LAB=$(mktemp -d "$LAB_BUILD/selftest-lab.XXXXXX")
export VMCRYPT_LAB
plan

clean_up()
{
	for host in a b c; do
		"$lab" down "$host" --hard >/dev/null 2>&1
	done
	rm -rf "$VMCRYPT_LAB"
}
at_exit clean_up

check()
{
	local what=$1
	shift
	if "$@" >"$VMCRYPT_LAB/out" 2>&1; then
		ok "$what"
	else
		not_ok "$what"
		diag "$(tail -n 20 "$VMCRYPT_LAB/out")"
	fi
}

net=seg$$
check "host a" "$lab" up a --kernel "$LAB_KERNEL_SERIES" --no-module --mem 512 \
	--net "$net" --addr 10.9.0.1/24
check "host b" "$lab" up b --kernel "$LAB_KERNEL_SERIES" --no-module --mem 512 \
	--net "$net" --addr 10.9.0.2/24 --hosts '10.9.0.1 a,10.9.0.3 c'
check "host c" "$lab" up c --kernel "$LAB_KERNEL_SERIES" --no-module --mem 512 \
	--net "$net" --addr 10.9.0.3/24
check "b reaches a by name" "$lab" exec b -- ping -c 1 -W 10 a
check "b reaches c" "$lab" exec b -- ping -c 1 -W 10 c
check "a reaches c" "$lab" exec a -- ping -c 1 -W 10 10.9.0.3
check "a reboots" "$lab" reboot a
check "b reaches a again" "$lab" exec b -- ping -c 1 -W 10 a
check "a full frame's worth of data arrives" "$lab" exec b -- ping -c 1 -W 10 -s 20000 c
for host in a b c; do
	check "host $host goes down" "$lab" down "$host" --wipe
done
done_testing
