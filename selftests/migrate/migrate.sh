#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A VM of an unmodified QEMU goes from one host to another and back, encrypted.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
qmp=/srv/vms/guest/qmp
plan

# go FROM TO OPTION...
go()
{
	on "$1" vmcrypt migrate guest --to "$2" --qmp "$qmp" --to-qmp "$qmp" "${@:3}"
}

# bad_wire MODE WHY: the VM stays on a, and the event says why. One connection: of
# several, QEMU 7.2 now and then waits for ever for one that has failed already.
bad_wire()
{
	host b guest waits >"$out.b" 2>&1 &
	host a wire b "$1"
	wait $! || bail "no QEMU waits on b: $(cat "$out.b")"
	check "a wire that $1" "$2" '[1-9]*' go a b
	check "it did" "^$1" 0 host a wire b fair
	check "the event says why" "migration of VM 'guest' to host 'b' failed: .*$2" 0 \
		on a vmcrypt event list --type migration-failed --limit 1
	same "the VM runs on where it was" "$(host a status)" running
}

# go_anew FROM TO [OPTION...]: to a QEMU that waits anew
go_anew()
{
	host "$2" guest waits && go "$@"
}

# policy HOST POLICY
policy()
{
	check "the policy of the VM is '$2'" '1 VM set' 0 on "$1" vmcrypt vm set guest --migration-encryption "$2" "${@:3}"
}

hosts qemu --mem 1024
host b guest waits >"$out.b" 2>&1 &
host a guest runs >"$out.a" 2>&1 || bail "no guest runs on a: $(cat "$out.a")"
wait $! || bail "no QEMU waits on b: $(cat "$out.b")"
diag "on both, $(cat "$out.b")"
state=$(host a state)
host a capture
check "the VM goes to b over parallel connections, encrypted" 'Encrypted: AES-256-GCM' 0 \
	go a b --parallel 2 --copy-storage
said "with what is on its disk" '[1-9][0-9.]* MiB of disks'
read -r words bytes <<< "$(host a captured)"
same "all of its memory came, and it runs on there" "$(host b state)" "$state"
same "all of its disk came" "$(host b disk-sum)" "$(host a disk-sum)"
same "nothing of it was to be read on the wire" "$words" 0
if [ "${bytes:-0}" -gt 15000000 ]; then ok "where it was"; else not_ok "where it was"; diag "$bytes bytes"; fi

host a guest waits >"$out.a" 2>&1
check "and back, by postcopy" 'Encrypted: AES-256-GCM' 0 \
	go b a --postcopy
same "all of its memory came back, and it runs on" "$(host a state)" "$state"

# wires that are not fair
bad_wire flips 'not authentic: altered'
bad_wire drops 'not authentic\|no record'
bad_wire replays 'not authentic: altered'
bad_wire cuts 'cut'
same "with all of its memory" "$(host a state)" "$state"

# in the midst of it
host b guest waits >"$out.b" 2>&1
policy a required --live
both listens
held "its memory is on its way to b, as it must, encrypted" a b go a b --parallel 2
begin words host b words
check "QEMU has it; a's vmcryptd, files, netlink messages and the wire have not" '^words .*in process' 1 host a words
check "nor have those of b" 'looked through' '[01]' finished words
begin kernel host b search kernel
check "what keys come from, and keys: no process of a has any, nor files, messages and the wire" \
	'for [1-9][0-9] secrets' 0 host a search kernel
check "nor have those of b" 'for [1-9][0-9] secrets' 0 finished kernel
check "one that is planted is found" "in /srv/vms/ears/planted" 1 host b planted kernel
freed "it goes on, and to its end" a b
check "there was something to listen to" netlink 0 both listened
same "all of its memory came" "$(host b state)" "$state"

# there and back, again and again, leaves nothing behind
before=$(host a having)
policy b disabled
check "so it goes in clear, and that is said" "in clear because its policy is 'disabled'" 0 go_anew b a
policy b opportunistic
moved=1
for way in 'a b' 'b a' 'a b'; do
	# shellcheck disable=SC2086
	go_anew $way --parallel 2 >"$out" 2>&1 || break
	moved=$((moved + 1))
done
same "four migrations" "$moved" 4
same "all of its memory is there" "$(host b state)" "$state"
same "they leave no descriptor, thread or channel" "$(host a having)" "$before"

# a host that cannot encrypt
check "host a loses the module" gone 0 host a no-module
host a guest waits
policy b required --live
check "so it does not go to a" "encrypted only, which host 'a' cannot" '[1-9]*' go b a
same "it runs on, on b" "$(host b status)" running
check "an event says that it was refused" 'was refused before anything moved' 0 on b vmcrypt event list --type migration-refused
policy b opportunistic
host b capture
check "then it goes in clear, and that is said" "in clear because host 'a' cannot encrypt" 0 go b a
read -r words bytes <<< "$(host b captured)"
same "all of its memory came so, too" "$(host a state)" "$state"
check "an event says that it was in clear" "in clear because host 'a' cannot" 0 \
	on b vmcrypt event list --type vm-migrated-clear --limit 1
if [ "${words:-0}" -gt 1000 ]; then ok "and the wire had it"; else not_ok "and the wire had it"; diag "$words words"; fi
check "from a, where it is to be encrypted, it does not go" 'encrypted only, which this host cannot' '[1-9]*' go_anew a b
policy a disabled
check "where it is not, it goes" "in clear because its policy is 'disabled'" 0 go a b
same "all of its memory came back" "$(host b state)" "$state"

done_testing
