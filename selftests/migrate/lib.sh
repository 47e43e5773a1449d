# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# lib.sh - two hosts, and what is asked of them.

# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
here=$(dirname "$(readlink -f "$0")")
lab=$LAB_TREE/tools/lab
VMCRYPT_LAB=$(mktemp -d "$LAB_BUILD/selftest-migrate.XXXXXX")
export VMCRYPT_LAB
out=$VMCRYPT_LAB/out
shared=$VMCRYPT_LAB/shared

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
	"$lab" exec "$host" --timeout 180 -- "$@"
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

# said WHAT PATTERN: the command before this one said that, too
said()
{
	if grep -q -e "$2" "$out"; then ok "$1"; else not_ok "$1"; diag "$(tail -n 20 "$out")"; fi
}

same()
{
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1"; diag "'$2' is not '$3'"; fi
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
