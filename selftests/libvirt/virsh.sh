#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# virsh.sh - what a migration asks virsh for, as a child of the confined service.

set -u
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
plan

hypervisor
check "vmcryptd starts" systemctl start vmcryptd.service
refuses "its virsh knows the plain domain" "knows no host 'nobody'" vmcrypt migrate plain --to nobody
refuses "and what there is not" "knows no domain 'nothing'" vmcrypt migrate nothing --to nobody
done_testing
