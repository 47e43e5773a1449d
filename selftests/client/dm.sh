#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# dm.sh [--udev] - mappings on a host without udev, or with it.

set -u
udev=
if [ "${1-}" = --udev ] && ! pidof systemd-udevd >/dev/null; then
	/lib/systemd/systemd-udevd --daemon 2>/dev/null || {
		echo "1..0 # SKIP systemd-udevd does not start here"
		exit 0
	}
	udev=1
	udevadm trigger
	udevadm settle --timeout=60
fi
modprobe loop
before=$(ipcs -s | wc -l)
TMPDIR=/srv/vms "$LAB_BUILD/userspace/selftests/client/dm_test"
status=$?
# a cookie that is left would be a semaphore for ever
if [ "$(ipcs -s | wc -l)" -gt "$before" ]; then
	ipcs -s | sed 's/^/# /'
	echo "Bail out! udev cookies are left"
	status=1
fi
[ -z "$udev" ] || udevadm control --exit
exit "$status"
