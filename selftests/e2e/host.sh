#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# host.sh PHASE: run first-boot.sh or second-boot.sh in a host that keeps its
# disk in between. The first boot begins with an empty disk.
set -u

here=$(cd "$(dirname "$0")" && pwd -P)
state=$LAB_BUILD/e2e/host-$LAB_KERNEL_SERIES
options=(--kernel "$LAB_KERNEL_SERIES" --mem 3072 --dbus --timeout 1100 --state "$state")

case $1 in
first-boot)
	rm -rf "$state"
	mkdir -p "$state"
	;;
*)
	if [ ! -e "$state/disk.img" ]; then
		echo 'Bail out! there is no host to boot again: run e2e/host.sh first-boot first'
		exit 1
	fi
	;;
esac
exec "$LAB_TREE/tools/lab" run --quiet "${options[@]}" -- "$here/$1.sh"
