# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# kernel.bash - which kernel a host runs, its module, its initramfs.
#
# kernel_select sets
#	KVER	the release, as uname -r says it
#	KIMAGE	the image QEMU loads
#	KMODS	its /lib/modules/KVER, or empty when all is built in
#	KDIR	what "make -C" wants for a module outside the tree
#	KROOT	a Debian root to build in, or empty for this one

KERNEL_SERIES='6.12 6.1 7.3'

# kernel_version FILE: the release inside a bzImage (the x86 boot protocol
# keeps a pointer to it at 0x20e).
kernel_version()
{
	local at
	at=$(od -An -tu2 -j526 -N2 "$1" 2>/dev/null | tr -d ' ')
	[ -n "$at" ] || return 1
	tail -c +$((at + 513)) "$1" | head -c 256 | tr '\0' '\n' |
		head -n 1 | cut -d' ' -f1
}

kernel_from_cache()
{
	local dir=$CACHE/kernels/$1

	[ -e "$dir/vmlinuz" ] || "$TREE/tools/deps" kernel "$1" >&2 ||
		die "no kernel $1: the lines above say why"
	dir=$(cd "$dir" && pwd -P)
	KVER=${dir##*/}
	KIMAGE=$dir/vmlinuz
	KMODS=$dir/modules
	KDIR=$dir/build
	KROOT=
	if [ -e "$dir/root" ]; then
		KROOT=$(cd "$dir/root" && pwd -P)
		KDIR=/lib/modules/$KVER/build
	fi
}

# A kernel somebody built: PATH is OBJ/arch/x86/boot/bzImage.
kernel_from_build()
{
	KIMAGE=$(realpath -e "$1") || die "no kernel image $1"
	KVER=$(kernel_version "$KIMAGE")
	[ -n "$KVER" ] || die "$1 is not an x86 Linux image (bzImage)"
	KMODS=
	KROOT=
	KDIR=${KIMAGE%/arch/x86/boot/bzImage}
	[ -e "$KDIR/Module.symvers" ] || KDIR=
}

# This machine's own, or what the lab runs when there are no headers for it.
kernel_running()
{
	KVER=$(uname -r)
	KIMAGE=
	KMODS=/lib/modules/$KVER
	KDIR=$KMODS/build
	KROOT=
	[ -e "$KDIR/Makefile" ] || kernel_from_cache 6.12
}

kernel_select()
{
	case $1 in
	6.12 | 6.1 | 7.3) kernel_from_cache "$1" ;;
	running) kernel_running ;;
	*/*) kernel_from_build "$1" ;;
	*) die "unknown kernel '$1': one of $KERNEL_SERIES, or the path of a bzImage" ;;
	esac
}

# kernel_make TARGET...: kbuild for the selected kernel, in $MODULE_DIR.
kernel_make()
{
	if [ -n "$KROOT" ]; then
		# /proc for objtool; a mount namespace of our own, so that
		# nothing is left mounted whatever happens.
		local map=()
		[ "$(id -u)" = 0 ] || map=(--map-root-user)
		# shellcheck disable=SC2016
		unshare --mount "${map[@]}" sh -c '
			root=$1 dir=$2 kdir=$3; shift 3
			mkdir -p "$root/proc" "$root/mnt" &&
			mount --rbind /proc "$root/proc" &&
			mount --bind "$dir" "$root/mnt" &&
			exec chroot "$root" make -C "$kdir" M=/mnt "$@"
		' sh "$KROOT" "$MODULE_DIR" "$KDIR" "$@"
	else
		make -C "$KDIR" M="$MODULE_DIR" "$@"
	fi
}

# module_sources: bring build/module/KVER up to the tree, touching only what
# changed, so that kbuild remakes only that.
module_sources()
{
	local part

	mkdir -p "$MODULE_DIR"
	for part in Kbuild kmod include; do
		[ -e "$TREE/$part" ] || continue
		rsync -a --delete --exclude='*.o' --exclude='*.ko' \
			--exclude='*.mod' --exclude='*.mod.c' \
			--exclude='.*.cmd' --exclude='*.gcno' \
			"$TREE/$part" "$MODULE_DIR/"
	done
}

# module_build: vmcrypt.ko for the selected kernel and a module tree around it
# that modprobe takes.  Sets MODULE_ROOT.  Silent unless it fails.
module_build()
{
	local lock log lib ko

	MODULE_DIR=$BUILD/module/$KVER
	MODULE_ROOT=$MODULE_DIR.root
	log=$MODULE_DIR.log
	mkdir -p "$BUILD/module"
	exec {lock}>"$MODULE_DIR.lock"
	flock -w 600 "$lock" ||
		die "somebody else builds the module for $KVER for 10 minutes; see $log"
	if [ -n "$OPT_MODPROBE" ] && [ -n "$KDIR" ]; then
		module_sources
		kernel_make -j"$(nproc)" modules >"$log" 2>&1 || {
			cat "$log" >&2
			die "the module does not build for $KVER (log: $log)"
		}
		grep -E 'warning:' "$log" >&2
	fi

	lib=$MODULE_ROOT/lib/modules/$KVER
	if [ ! -e "$lib/modules.dep" ] ||
	   [ -n "$(find "$MODULE_DIR" -name '*.ko' -newer "$lib/modules.dep" 2>/dev/null)" ]; then
		rm -rf "$MODULE_ROOT"
		mkdir -p "$lib/extra"
		if [ -n "$KMODS" ]; then
			ln -s "$KMODS/kernel" "$lib/kernel"
			cp "$KMODS"/modules.{builtin,builtin.modinfo,order} "$lib/"
		elif [ -n "$KDIR" ]; then
			cp "$KDIR"/modules.{builtin,builtin.modinfo,order} "$lib/"
		fi
		while IFS= read -r ko; do
			cp "$ko" "$lib/extra/"
		done < <(find "$MODULE_DIR" -name '*.ko')
		depmod -b "$MODULE_ROOT" "$KVER" || die "depmod failed for $KVER"
	fi
	exec {lock}>&-
}

# initramfs_build: busybox, the few modules that reach the root, and init.
# Sets INITRAMFS.  One per kernel and per init.
INITRAMFS_MODULES='virtio_pci 9pnet_virtio 9p overlay virtio_console virtio_blk'

initramfs_build()
{
	local sum work n=0 line m

	sum=$({ cat "$LAB_D/guest/init"; echo "$KVER $INITRAMFS_MODULES"
		stat -c '%n %s %Y' "$KIMAGE" /bin/busybox; } |
		sha256sum | cut -c1-16)
	INITRAMFS=$CACHE/initramfs/$KVER-$sum.gz
	[ -e "$INITRAMFS" ] && return
	need busybox lab
	need cpio lab

	mkdir -p "$CACHE/initramfs"
	work=$(mktemp -d)
	mkdir -p "$work"/{bin,dev,proc,sys,modules,lab,ro,rw,new,hold}
	cp /bin/busybox "$work/bin/busybox"
	cp "$LAB_D/guest/init" "$work/init"
	chmod 755 "$work/init"
	for m in $INITRAMFS_MODULES; do
		[ -n "$KMODS" ] || break
		modprobe -d "$MODULE_ROOT" -S "$KVER" --show-depends "$m" ||
			die "kernel $KVER has no module $m"
	done >"$work/list"
	while read -r line; do
		case $line in
		insmod\ *) ;;
		*) continue ;;
		esac
		m=${line#insmod }
		m=${m%% *}
		[ -z "$(find "$work/modules" -name "*-${m##*/}")" ] || continue
		n=$((n + 1))
		cp "$m" "$work/modules/$(printf '%02d' $n)-${m##*/}"
	done <"$work/list"
	rm "$work/list"
	(cd "$work" && find . | cpio -o -H newc --quiet | gzip -1) \
		>"$INITRAMFS.$$" && mv "$INITRAMFS.$$" "$INITRAMFS" ||
		die "cannot write $INITRAMFS"
	rm -rf "$work"
}

# accel_select: sets ACCEL to kvm only where a guest really comes up with it.
# A /dev/kvm that opens is no proof: nested and para-virtual ones may open and
# then fail in the first instruction.  The verdict holds until the machine is
# rebooted.
accel_select()
{
	local verdict
	verdict=$CACHE/accel.$(cat /proc/sys/kernel/random/boot_id)

	case ${VMCRYPT_LAB_ACCEL-} in
	kvm | tcg)
		ACCEL=$VMCRYPT_LAB_ACCEL
		return
		;;
	esac
	if [ ! -e "$verdict" ]; then
		rm -f "$CACHE"/accel.*
		accel_probe >"$verdict.$$"
		mv "$verdict.$$" "$verdict"
	fi
	ACCEL=$(cat "$verdict")
}

accel_probe()
{
	if [ ! -w /dev/kvm ]; then
		echo tcg
		return
	fi
	# init prints this and powers off when the command line says so
	if timeout 15 qemu-system-x86_64 -accel kvm -cpu max -smp 2 -m 256 -M q35 \
		-nodefaults -no-user-config -display none -no-reboot \
		-serial stdio -kernel "$KIMAGE" -initrd "$INITRAMFS" \
		-append 'console=ttyS0 quiet panic=-1 lab.probe' \
		</dev/null 2>&1 | grep -q 'lab: probe works'; then
		echo kvm
	else
		say "/dev/kvm is there but a guest does not come up with it: using emulation (slower)"
		echo tcg
	fi
}
