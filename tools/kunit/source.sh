# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# source.sh - what run-um and build-debug-kernel share: where the kernel's
# source comes from and where builds are kept.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
CACHE=${VMCRYPT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vmcrypt}

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# cc_wrapped: the compiler; without ccache it works as well, only slower.
cc_wrapped()
{
	if command -v ccache >/dev/null; then
		echo "ccache gcc"
	else
		echo gcc
	fi
}

# linux_source [TREE]: print the path of an unpacked Linux tree: TREE,
# $LINUX_SOURCE, or Debian's linux-source-6.12 in the cache.
linux_source()
{
	local tree=${1:-${LINUX_SOURCE:-}}

	if [ -z "$tree" ]; then
		tree=$("$HERE/../deps" source) ||
			die "no kernel source: the lines above say why"
	fi
	[ -x "$tree/tools/testing/kunit/kunit.py" ] ||
		die "$tree: no Linux source tree: it has no" \
			"tools/testing/kunit/kunit.py; name the folder that" \
			"holds the kernel's top Makefile"
	readlink -f "$tree"
}
