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

# go_anew FROM TO: to a QEMU that waits anew
go_anew()
{
	host "$2" guest waits && go "$@" --parallel 2
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
held "its memory is on its way to b" a b go a b --parallel 2
check "QEMU has it; a's vmcryptd, its core, its files have not" '^words in process' 1 host a words
check "nor have those of b" 'looked through' '[01]' host b words
freed "it goes on, and to its end" a b
same "all of its memory came" "$(host b state)" "$state"

# there and back, again and again, leaves nothing behind
before=$(host a having)
for ((i = 0; i < 2; i++)); do
	go_anew b a >"$out" 2>&1 && go_anew a b >"$out" 2>&1 || break
done
same "four more migrations" $((2 * i)) 4
same "all of its memory is there" "$(host b state)" "$state"
same "they leave no descriptor, thread or channel" "$(host a having)" "$before"

# a host that cannot encrypt
check "host a loses the module" gone 0 host a no-module
host a guest waits
check "the VM must be encrypted on its way" '1 VM set' 0 \
	on b vmcrypt vm set guest --migration-encryption required --live
check "so it does not go to a" "encrypted only, which host 'a' cannot" '[1-9]*' go b a
same "it runs on, on b" "$(host b status)" running
check "an event says that it was refused" 'was refused before anything moved' 0 on b vmcrypt event list --type migration-refused
check "it need not be encrypted" '1 VM set' 0 \
	on b vmcrypt vm set guest --migration-encryption opportunistic
host b capture
check "then it goes in clear, and that is said" 'cannot encrypt' 0 go b a
read -r words bytes <<< "$(host b captured)"
same "all of its memory came so, too" "$(host a state)" "$state"
check "an event says that it was in clear" 'in clear' 0 on b vmcrypt event list --type vm-migrated-clear
if [ "${words:-0}" -gt 1000 ]; then ok "and the wire had it"; else not_ok "and the wire had it"; diag "$words words"; fi

done_testing
