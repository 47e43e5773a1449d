#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# save.sh - domains on encrypted disks are saved and restored, and what is saved is in
# the home volume when one wants it there.

set -u
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
plan

hypervisor
vms

define "$(web third)" >"$OUT" 2>&1
check "a domain starts" virsh start --paused web
check "its memory is saved" virsh managedsave web
closed "a saved domain has nothing open"
refuses "restored without key server and keys it is refused" 'kms|not running' \
	bash -c "systemctl mask --runtime --now vmcryptd.service; virsh start web; r=\$?; systemctl unmask --runtime vmcryptd.service; exit \$r"
check "what was saved is still there" bash -c 'virsh dominfo web | grep -q "Managed save: *yes"'
check "it is restored, with a vmcryptd that the bus starts for it" virsh start web
check "and goes on" bash -c 'virsh resume web || virsh domstate web'
check "to its end" wait_for 400 state_is web 'shut off'
check "it wrote to its disk" wrote third "$CONSOLE-web"
closed "all is closed"

# memory saved into the home volume
check "it starts" virsh start --paused web
check "its memory is saved into the home volume" virsh save web "/run/vmcrypt/home/$WEB/save/memory"
closed "a domain saved there has nothing open"
check "home is opened by hand" vmcrypt vm power-on web
check "it is restored from there" virsh restore "/run/vmcrypt/home/$WEB/save/memory" --paused
check "it is destroyed" virsh destroy web
check "what was on by hand stays on" mapping "$WEB-home"
check "until it is powered off by hand" vmcrypt vm power-off web
closed "then all is closed"
done_testing
