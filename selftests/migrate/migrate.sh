#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A VM of an unmodified QEMU goes from one host to another and back, encrypted.

# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
here=$(dirname "$(readlink -f "$0")")
lab=$LAB_TREE/tools/lab
VMCRYPT_LAB=$(mktemp -d "$LAB_BUILD/selftest-migrate.XXXXXX")
export VMCRYPT_LAB
out=$VMCRYPT_LAB/out
qmp=/srv/vms/guest/qmp
plan

clean_up()
{
	"$lab" down a --hard >/dev/null 2>&1
	"$lab" down b --hard >/dev/null 2>&1
	rm -rf "$VMCRYPT_LAB"
}
at_exit clean_up

# on HOST COMMAND...
on()
{
	local host=$1

	shift
	"$lab" exec "$host" --timeout 120 -- "$@"
}

host()
{
	on "$1" "$here/host.sh" "${@:2}"
}

# check WHAT PATTERN STATUS COMMAND...: it ends with STATUS (a glob), and says PATTERN
check()
{
	local what=$1 pattern=$2 want=$3 got

	shift 3
	"$@" >"$out" 2>&1
	got=$?
	# shellcheck disable=SC2053
	if [[ $got == $want ]] && grep -q -e "$pattern" "$out"; then
		ok "$what"
	else
		not_ok "$what"
		diag "status $got, wanted $want and '$pattern'"
		diag "$(tail -n 20 "$out")"
	fi
}

same()
{
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1"; diag "'$2' is not '$3'"; fi
}

# go FROM TO OPTION...
go()
{
	on "$1" vmcrypt migrate guest --to "$2" --parallel 2 --qmp "$qmp" --to-qmp "$qmp" "${@:3}"
}

# go_anew FROM TO: to a QEMU that waits anew
go_anew()
{
	host "$2" guest waits && go "$@"
}

# cut_short FROM TO: the connections break on the way
cut_short()
{
	local status

	host "$1" slow
	go "$1" "$2" &
	host "$1" cut
	wait $!
	status=$?
	host "$1" fast
	return "$status"
}

options=(--kernel "$LAB_KERNEL_SERIES" --mem 1024 --net wire --hosts '192.0.2.1 a,192.0.2.2 b')
"$lab" up a "${options[@]}" --addr 192.0.2.1/24 >"$VMCRYPT_LAB/a.log" 2>&1 &
first=$!
"$lab" up b "${options[@]}" --addr 192.0.2.2/24 >"$VMCRYPT_LAB/b.log" 2>&1 ||
	bail "host b does not come up: $(tail -n 5 "$VMCRYPT_LAB/b.log")"
wait "$first" || bail "host a does not come up: $(tail -n 5 "$VMCRYPT_LAB/a.log")"

fa=$(host a setup 192.0.2.1 | tail -n 1)
fb=$(host b setup 192.0.2.2 | tail -n 1)
check "a knows b" . 0 host a peer b 192.0.2.2 "$fb"
check "b knows a" . 0 host b peer a 192.0.2.1 "$fa"

host a guest runs
host b guest waits
sum=$(host a sum)
host a capture
check "the VM goes to b over parallel connections, encrypted" 'Encrypted: AES-256-GCM' 0 \
	go a b
read -r words bytes <<< "$(host a captured)"
same "all of its memory came" "$(host b sum)" "$sum"
same "it runs on there" "$(host b status)" running
same "nothing of it was to be read on the wire" "$words" 0
if [ "${bytes:-0}" -gt 15000000 ]; then ok "where it was"; else not_ok "where it was"; diag "$bytes bytes"; fi

host a guest waits
check "and back" 'Encrypted: AES-256-GCM' 0 \
	go b a
same "all of its memory came back" "$(host a sum)" "$sum"
same "it runs on" "$(host a status)" running

# a wire that is cut
host b guest waits
check "a wire is cut on the way" 'migrat' '[1-9]*' cut_short a b
same "the VM runs on where it was" "$(host a status)" running
same "with all of its memory" "$(host a sum)" "$sum"
check "an event says why" 'guest' 0 on a vmcrypt event list --type migration-failed
check "and it goes another time" 'Encrypted: AES-256-GCM' 0 go_anew a b

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
same "all of its memory came so, too" "$(host a sum)" "$sum"
check "an event says that it was in clear" 'in clear' 0 on b vmcrypt event list --type vm-migrated-clear
if [ "${words:-0}" -gt 1000 ]; then ok "and the wire had it"; else not_ok "and the wire had it"; diag "$words words"; fi

done_testing
