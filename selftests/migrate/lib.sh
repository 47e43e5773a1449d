# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# lib.sh - two hosts, and what is asked of them.

# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
# shellcheck source=../hosts.sh
. "$LAB_TREE/selftests/hosts.sh"
HOSTS=(a b)
shared=$VMCRYPT_LAB/shared

host()
{
	on "$1" env ${LAB_QEMU:+"LAB_QEMU=$LAB_QEMU"} "$here/host.sh" "${@:2}"
}

# begin NAME COMMAND...: and go on
declare -A BEGUN
begin()
{
	"${@:2}" >"$out.$1" 2>&1 &
	BEGUN[$1]=$!
}

# finished NAME: what that command said, with its status
finished()
{
	local status

	wait "${BEGUN[$1]}"
	status=$?
	cat "$out.$1"
	return "$status"
}

# both COMMAND...: a and b do so
both()
{
	begin b host b "$@"
	host a "$@" && finished b
}

# held WHAT FROM TO COMMAND...: a migration, on a wire that holds it in the midst of memory
held()
{
	host "$2" wire "$3" holds
	begin moving "${@:4}"
	check "$1" holds 0 host "$2" held
}

# freed WHAT FROM TO: it goes on, and comes to its end
freed()
{
	check "the wire lets it go" goes 0 host "$2" goes
	check "$1" 'Encrypted: AES-256-GCM' 0 finished moving
	host "$2" wire "$3" fair >/dev/null
}

# hosts WHAT OPTION...: a and b on a segment, with a folder and two disks that both see, each the other's peer
hosts()
{
	local first fa fb disk what=$1
	local options=(--kernel "$LAB_KERNEL_SERIES" --net wire
		--hosts '192.0.2.1 a,192.0.2.2 b,192.0.2.1 data-of-a,192.0.2.2 data-of-b')
	local more="-fsdev local,id=shared,path=$shared,security_model=none -device virtio-9p-pci,fsdev=shared,mount_tag=shared"

	shift
	mkdir -p "$shared"
	for disk in one two; do
		truncate -s 64M "$shared/$disk"
		more+=" -drive if=none,id=$disk,format=raw,cache=writeback,file.locking=off,file=$shared/$disk"
		more+=" -device virtio-blk-pci,drive=$disk,serial=$disk,share-rw=on"
	done
	options+=(--qemu "$more")
	"$lab" up a "${options[@]}" "$@" --addr 192.0.2.1/24 >"$VMCRYPT_LAB/a.log" 2>&1 &
	first=$!
	"$lab" up b "${options[@]}" "$@" --addr 192.0.2.2/24 >"$VMCRYPT_LAB/b.log" 2>&1 ||
		bail "host b does not come up: $(tail -n 5 "$VMCRYPT_LAB/b.log")"
	wait "$first" || bail "host a does not come up: $(tail -n 5 "$VMCRYPT_LAB/a.log")"
	host a setup 192.0.2.1 "$what" >"$VMCRYPT_LAB/a.setup" 2>&1 &
	first=$!
	host b setup 192.0.2.2 "$what" >"$VMCRYPT_LAB/b.setup" 2>&1 || bail "host b: $(tail -n 5 "$VMCRYPT_LAB/b.setup")"
	wait "$first" || bail "host a: $(tail -n 5 "$VMCRYPT_LAB/a.setup")"
	fa=$(tail -n 1 "$VMCRYPT_LAB/a.setup")
	fb=$(tail -n 1 "$VMCRYPT_LAB/b.setup")
	check "a knows b" . 0 host a peer b 192.0.2.2 "$fb"
	check "b knows a" . 0 host b peer a 192.0.2.1 "$fa"
}
