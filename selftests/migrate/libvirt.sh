#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Domains of an unmodified libvirtd go from one host to another, and with one of
# them an encrypted VM, with its keys.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
COPIED=33333333-3333-4333-8333-333333333333
WEB=11111111-1111-4111-8111-111111111111
volumes=(/srv/pool/web.home /srv/pool/web-root.img)
plan

# runs HOST DOMAIN: what the one host says of it, and what the guest
runs()
{
	same "it runs on $1" "$(on "$1" virsh domstate "$2" 2>/dev/null | head -n 1)" running
	check "with all its memory and its disk" whole 0 host "$1" rounds "$2"
}

# keyless WHAT HOST WHICH WHERE...
keyless()
{
	check "$1" 'looked through' 0 host "$2" search "$3" "${volumes[@]}" -- "${@:4}"
}

hosts libvirt --mem 1024
check "a key server" serves 0 host a kms a
check "host a asks it for a certificate" . 0 host a asks a
check "gets it" pem 0 host a signs a
check "and is trusted" yes 0 host a trusted

# an encrypted VM, whose keys b cannot get
check "an encrypted VM, on disks that both hosts see" . 0 host a vm web "$WEB"
host b luns web
check "a domain for it" defined 0 host a domain web "$WEB" "/dev/mapper/vmcrypt-$WEB-root"
check "starts" started 0 on a virsh start web
check "its guest goes round its memory" whole 0 host a rounds web
host a search-by
host a listens
host b listens
check "it would go to b, with its keys from kernel to kernel" "Key of 'root': sealed from kernel to kernel" 0 \
	on a vmcrypt migrate web --to b --dry-run
check "it goes, over parallel connections" 'Encrypted: AES-256-GCM' 0 on a vmcrypt migrate web --to b --parallel 2
said "with its keys sealed" "Key of 'home': sealed from kernel to kernel"
check "all that was said was heard" netlink 0 host a listened
check "on both hosts" netlink 0 host b listened
runs b web
check "nothing of it is left on a" bare 0 host a bare
check "b knows it as its own, and on" '"power": *"on"' 0 on b vmcrypt --json vm show web
check "with its home volume" "vmcrypt-$WEB-home" 0 on b cat /proc/mounts
keyless "no process on a has a key of its volumes" a dek --processes
keyless "no process on b has one, nor the keys above" b all --processes
keyless "nor any file, netlink message or byte on the wire, on a" a dek /srv/vms/ears /etc/vmcrypt /var/lib/vmcrypt /run /tmp /var/log
keyless "on b" b all /srv/vms/ears /etc/vmcrypt /var/lib/vmcrypt /run /tmp /var/log
check "a key that is planted in a message is found" "in /srv/vms/ears/planted" 1 host b planted "${volumes[@]}"
check "b's vmcryptd dies, and leaves no core" 'no core' 0 host b dies
check "it is there again, and knows that the VM is on" '"power": *"on"' 0 on b vmcrypt --json vm show web

# back, by the provider of a
check "it goes back" "Key of 'root': the other host has it from its provider" 0 on b vmcrypt migrate web --to a
runs a web
check "nothing of it is left on b" bare 0 host b bare

# a wire that breaks
host a slow
on a vmcrypt migrate web --to b >"$out" 2>&1 &
host a cut
wait $!
same "a wire is cut on the way" $(($? > 0)) 1
host a fast
said "that is said" 'broke'
check "an event says why" 'failed: .*broke' 0 on a vmcrypt event list --type migration-failed
runs a web
check "it has its keys there" '"power": *"on"' 0 on a vmcrypt --json vm show web
check "and b has nothing of it" bare 0 host b bare

# another time, and to the end
check "it goes to b by postcopy" 'Encrypted: AES-256-GCM' 0 on a vmcrypt migrate web --to b --postcopy
runs b web
check "the domain ends" destroyed 0 on b virsh destroy web
check "and the VM goes off with it" bare 0 host b off web

# a domain with a disk of its own, which is copied
check "a plain domain" . 0 host a plain copied "$COPIED" random
host b plain copied "$COPIED" empty
check "starts" started 0 on a virsh start copied
check "its guest goes round its disk" whole 0 host a rounds copied
check "it goes to b with what is on its disk" 'Encrypted: AES-256-GCM' 0 \
	on a vmcrypt migrate copied --to b --parallel 2 --copy-storage
diag "$(tail -n 1 "$out")"
runs b copied
on b virsh destroy copied >"$out" 2>&1
same "all of the disk is there" "$(host b disk copied)" "$(host a disk copied)"

done_testing
