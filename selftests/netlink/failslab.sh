#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# failslab.sh [PROGRAM ARGUMENT...] - random requests, or PROGRAM with one more
# argument, debugfs' folder, while the module's allocations fail. Only in a
# kernel with CONFIG_FAILSLAB; nothing may leak or crash.

fail=/sys/kernel/debug/failslab

if [ ! -e "$fail/require-start" ]; then
	echo "1..0 # SKIP this kernel cannot make allocations fail"
	exit 0
fi

set -e
# Where the module's text is: only what it asks for, itself or by others,
# fails. Its answers do as well; the program reads what comes.
start=$(cat /sys/module/vmcrypt/sections/.text)
size=$(cat /sys/module/vmcrypt/coresize)
printf '%s' "$start" >"$fail/require-start"
printf '0x%x' "$((start + size))" >"$fail/require-end"
# But for the end of a TCP connection: without memory for it, it is lost for good,
# whoever made the connection, and the other end cannot find out.
# /proc/kallsyms takes minutes to read in a debug kernel that is emulated; what was
# built with it says the same, as such a kernel is not moved at boot.
map=${LAB_KERNEL_IMAGE%/arch/*}/System.map
[ -r "$map" ] || map=/proc/kallsyms
mapfile -t range < <(awk 'found { print $1; exit }
	$3 == "tcp_send_fin" { found = 1; print $1 }' "$map")
if [ ${#range[@]} = 2 ]; then
	printf '0x%s' "${range[0]}" >"$fail/reject-start"
	printf '0x%s' "${range[1]}" >"$fail/reject-end"
fi
echo 32 >"$fail/stacktrace-depth"
echo N >"$fail/ignore-gfp-wait"
echo N >"$fail/task-filter"
echo 0 >"$fail/verbose"
echo 1 >"$fail/interval"
echo -1 >"$fail/times"
set +e
[ $# -gt 0 ] || set -- "$LAB_BUILD/selftests/vmcrypt_netlink" --fuzz 3000 ""
"$@" "$fail"
status=$?
echo 0 >"$fail/probability"
exit $status
