#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A host with a TPM that is booted again and again, the last time with another
# TPM.  Each boot runs a part of boot.sh.
set -u

here=$(cd "$(dirname "$0")" && pwd -P)
state=$LAB_BUILD/persistence/host-$LAB_KERNEL_SERIES
options=(--kernel "$LAB_KERNEL_SERIES" --mem 2048 --dbus --tpm --timeout 400 --state "$state")

rm -rf "$state"
mkdir -p "$state"
# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
plan
for part in enable no-server changed resealed stolen; do
	[ "$part" != stolen ] || rm -rf "$state/tpm"
	if "$LAB_TREE/tools/lab" run --quiet "${options[@]}" -- "$here/boot.sh" "$part" >"$state/$part.tap" 2>&1; then
		ok "boot: $part ($(grep -c '^ok' "$state/$part.tap") checks)"
		continue
	fi
	not_ok "boot: $part"
	diag "$(cat "$state/$part.tap")"
	break	# the next ones build on it
done
done_testing
