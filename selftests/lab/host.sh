#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What every lab host offers.

# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
# shellcheck source=../../tools/lab.d/guest/lib.sh
. "$LAB_LIB"
plan

# check WHAT COMMAND...
check()
{
	local what=$1
	shift
	if "$@"; then
		ok "$what"
	else
		not_ok "$what"
	fi
}

same()
{
	[ "$1" = "$2" ] || { diag "'$1' is not '$2'"; return 1; }
}

check "it runs the kernel it was asked for" same "$(uname -r)" "$LAB_KERNEL"
check "that kernel's image can be read" test -r "$LAB_KERNEL_IMAGE"
check "the module is loaded" test -d /sys/module/vmcrypt
check "modprobe finds the stock modules" modprobe dm-crypt
check "device-mapper answers" dmsetup version
for dir in /etc/vmcrypt /var/lib/vmcrypt /srv/vms; do
	check "$dir is on the host's own disk" same "$(stat -f -c %T $dir)" ext2/ext3
done
check "the machine's files are read only" bash -c \
	'! touch /host/etc/lab-was-here 2>/dev/null && ! touch /host/lab-was-here 2>/dev/null'
check "there is a D-Bus system bus" lab_dbus
check "polkit answers on it" lab_polkit
check "the clock is right within a day" bash -c \
	'now=$(date +%s); tree=$(stat -c %Y "$LAB_BUILD"); [ $((now - tree)) -gt -86400 ]'
case $(stat -c %a /tmp) in
1777) ok "/tmp is fresh" ;;
*) not_ok "/tmp is fresh" ;;
esac
done_testing
