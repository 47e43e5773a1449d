#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# failslab.sh - streams over channels while the module's allocations fail.

exec ../netlink/failslab.sh "$LAB_BUILD/selftests/vmcrypt_lifecycle"
