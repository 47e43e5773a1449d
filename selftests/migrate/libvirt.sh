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

# runs HOST DOMAIN: the guest there is as it was, and goes on
runs()
{
	check "it runs on $1, with all its memory and its disk" whole 0 host "$1" rounds "$2"
}

hosts libvirt --mem 1024
check "a key server, which host a asks for a certificate" . 0 host a kms a
check "and is trusted by" yes 0 host a trusted

# an encrypted VM, whose keys b cannot get
check "an encrypted VM, on disks that both hosts see" . 0 host a vm web "$WEB"
host b luns web
check "a domain for it starts" started 0 host a domain web "$WEB" "/dev/mapper/vmcrypt-$WEB-root"
check "its guest goes round its memory" whole 0 host a rounds web
both listens

# no key is anywhere while its memory is on its way
held "it is on its way to b, over parallel connections" a b on a vmcrypt migrate web --to b --parallel 2
check "cores are made of both vmcryptds" '' 0 both core
begin kernel host b search kernel
begin all host b search all "${volumes[@]}"
check "a's processes, a core of vmcryptd, files, netlink messages and the wire have no key of its volumes" \
	'looked through' 0 host a search dek "${volumes[@]}"
check "nor what keys of the migration come from" 'for [1-9][0-9]' 0 host a search kernel
check "nor have b's" 'for [1-9][0-9]' 0 finished kernel
check "nor have they those of the volumes, and the keys above" 'looked through' 0 finished all
check "a key that is planted in a message is found" "in /srv/vms/ears/planted" 1 host b planted dek "${volumes[@]}"
freed "it comes to b" a b
said "with its keys sealed" "Key of 'home': sealed from kernel to kernel"
check "all that was said was heard" netlink 0 both listened
runs b web
check "nothing of it is left on a" bare 0 host a bare
check "b knows it as its own, and on, with its home volume" "vmcrypt-$WEB-home" 0 host b on web
check "to the end, nothing that a said or sent had a key" 'looked through' 0 host a search-ears dek "${volumes[@]}"
check "nor did b, which has none in its processes" 'looked through' 0 host b search all "${volumes[@]}"

# back, by the provider of a
check "it goes back" "Key of 'root': the other host has it from its provider" 0 on b vmcrypt migrate web --to a
runs a web
check "nothing of it is left on b" bare 0 host b bare

# a network that breaks
host a slow
begin cut on a vmcrypt migrate web --to b
host a cut >"$out" 2>&1
check "a connection is cut on the way, and that is said" 'broke' '[1-9]*' finished cut
host a fast
check "an event says why" 'failed: .*broke' 0 on a vmcrypt event list --type migration-failed
runs a web
check "it has its keys there" "vmcrypt-$WEB-home" 0 host a on web
check "and b has nothing of it" bare 0 host b bare

# another time, and to the end
check "it goes to b by postcopy" 'Encrypted: AES-256-GCM' 0 on a vmcrypt migrate web --to b --postcopy
runs b web
check "the domain ends" destroyed 0 on b virsh destroy web
check "and the VM goes off with it" bare 0 host b off web

# a domain with a disk of its own, which is copied
host b plain copied "$COPIED" empty
check "a plain domain starts" started 0 host a plain copied "$COPIED" random
check "its guest goes round its disk" whole 0 host a rounds copied
check "it goes to b with what is on its disk" 'Encrypted: AES-256-GCM' 0 \
	on a vmcrypt migrate copied --to b --parallel 2 --copy-storage
said "which is counted" "of memory, [1-9][0-9.]* [KM]iB of disks"
runs b copied
on b virsh destroy copied >"$out" 2>&1
same "all of the disk is there" "$(host b disk copied)" "$(host a disk copied)"

done_testing
