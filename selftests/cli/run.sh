#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The client against a stand-in for the daemon on a private bus. Prints TAP.
#
#	run.sh [BUILD]	where vmcrypt and cli/mock_* are; built at need

set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
if [ $# -eq 0 ]; then
	make -s -C "$top/userspace" ../build/userspace/vmcrypt ../build/userspace/cli/mock_service \
		../build/userspace/cli/mock_trust >&2 || exit 1
fi
build=$(cd "${1:-$top/build/userspace}" && pwd) || exit 1
cli=$build/vmcrypt
work=$(mktemp -d)
pids=()
n=0
failed=0

# shellcheck source=selftests/cli/lib.sh
. "$here/lib.sh"
trap finish EXIT

cd "$work" || exit 1
export VMCRYPT_BUS=unix:path=$work/bus
export VMCRYPT_CONFIG_DIR=$work/etc VMCRYPT_STATE_DIR=$work/var VMCRYPT_RUNTIME_DIR=$work/run
export LC_ALL=C.UTF-8
unset NO_COLOR
mkdir etc vm

start_bus
for t in "$here"/t_*.sh; do
	echo "# $(basename "$t")"
	# shellcheck disable=SC1090
	. "$t"
done
echo "1..$n"
