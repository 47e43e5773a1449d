#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# over-kernel.sh PROGRAM - one of the manager's test programs, on the host's own disk.

export TMPDIR=/srv/vms
# a round of crash_test takes seconds here
export VMC_CRASH_EVERY=17
exec "$LAB_BUILD/userspace/selftests/vm/$1"
