#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# other-qemu.sh 10|11: as migrate.sh, with a later QEMU, which Debian has for this one's successor.

if [ "$(id -u)" != 0 ]; then
	echo "1..0 # SKIP QEMU $1 is unpacked by root"
	exit 0
fi
LAB_QEMU=$("$LAB_TREE/tools/deps" qemu "$1") || exit
export LAB_QEMU
exec "$(dirname "$0")/migrate.sh"
