#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# DKMS makes the module from what "make install-dkms" installs, in folders of
# this test's own.

# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
plan

KERNEL=${VMCRYPT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmcrypt}/kernels/$LAB_KERNEL_SERIES
VERSION=$(sed -n 's/^#define VMCRYPT_VERSION.*"\(.*\)".*/\1/p' "$LAB_TREE/kmod/version.h")
WORK=$(mktemp -d)
at_exit rm -rf "$WORK"

# check WHAT COMMAND...
check()
{
	local what=$1
	shift
	if "$@" >"$WORK/out" 2>&1; then
		ok "$what"
	else
		not_ok "$what"
		diag "$(tail -n 20 "$WORK/out")"
		cat "$WORK"/tree/vmcrypt/*/build/make.log 2>/dev/null | tail -n 20 | sed 's/^/# /'
	fi
}

[ -e "$KERNEL/build/Makefile" ] || bail "no headers in $KERNEL/build; tools/lab module --kernel $LAB_KERNEL_SERIES gets them"
KVER=$(basename "$(readlink -f "$KERNEL/modules")")
mkdir -p "$WORK/tree" "$WORK/mods/$KVER"

dkms_do()
{
	dkms "$1" "vmcrypt/$VERSION" -k "$KVER" --kernelsourcedir "$KERNEL/build" --dkmstree "$WORK/tree" \
		--sourcetree "$WORK/root/usr/src" --installtree "$WORK/mods" --no-depmod
}

check "the sources are installed" make -s -C "$LAB_TREE" install-dkms DESTDIR="$WORK/root"
check "nothing but what the module is made of" bash -c \
	"! find '$WORK/root' -name '*.o' -o -name '*.ko' -o -name '*.sh' | grep ."
check "DKMS takes them" dkms_do add
check "DKMS builds the module" dkms_do build
check "DKMS installs the module" dkms_do install
MODULE=$(find "$WORK/mods" -name 'vmcrypt.ko*')
check "it is there" test -n "$MODULE"
field()
{
	/usr/sbin/modinfo -F "$1" "$2"
}
check "it is for that kernel" bash -c "/usr/sbin/modinfo -F vermagic '$MODULE' | grep -q '^$KVER '"
check "it has the version that DKMS was told" test "$(field version "$MODULE")" = "$VERSION"
check "the lab builds its own" "$LAB_TREE/tools/lab" module --kernel "$LAB_KERNEL_SERIES"
check "both are of the same sources" test "$(field srcversion "$MODULE")" = \
	"$(field srcversion "$LAB_TREE/build/module/$KVER/vmcrypt.ko")"
check "DKMS removes it" dkms_do remove
check "nothing is left" test -z "$(find "$WORK/mods" -name 'vmcrypt*')"
done_testing
