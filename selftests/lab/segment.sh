#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Three hosts on one segment reach each other, also after one of them rebooted.

# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
# shellcheck source=../hosts.sh
. "$LAB_TREE/selftests/hosts.sh"
HOSTS=(a b c)
plan

net=seg$$
check "host a" '' 0 "$lab" up a --kernel "$LAB_KERNEL_SERIES" --no-module --mem 512 \
	--net "$net" --addr 10.9.0.1/24
check "host b" '' 0 "$lab" up b --kernel "$LAB_KERNEL_SERIES" --no-module --mem 512 \
	--net "$net" --addr 10.9.0.2/24 --hosts '10.9.0.1 a,10.9.0.3 c'
check "host c" '' 0 "$lab" up c --kernel "$LAB_KERNEL_SERIES" --no-module --mem 512 \
	--net "$net" --addr 10.9.0.3/24
check "b reaches a by name" '' 0 on b ping -c 1 -W 10 a
check "b reaches c" '' 0 on b ping -c 1 -W 10 c
check "a reaches c" '' 0 on a ping -c 1 -W 10 10.9.0.3
check "a reboots" '' 0 "$lab" reboot a
check "b reaches a again" '' 0 on b ping -c 1 -W 10 a
check "a full frame's worth of data arrives" '' 0 on b ping -c 1 -W 10 -s 20000 c
for host in "${HOSTS[@]}"; do
	check "host $host goes down" '' 0 "$lab" down "$host" --wipe
done
done_testing
