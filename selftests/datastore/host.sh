#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A host with a TPM and a volume for images that is booted three times: with a
# key server, without one but with kept keys, and without either.  Each boot runs
# a part of boot.sh.
set -u

here=$(cd "$(dirname "$0")" && pwd -P)
state=$LAB_BUILD/datastore/host-$LAB_KERNEL_SERIES
options=(--kernel "$LAB_KERNEL_SERIES" --mem 1536 --dbus --tpm --timeout 600 --state "$state")

rm -rf "$state"
mkdir -p "$state"
# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
plan
for part in make kept locked; do
	if "$LAB_TREE/tools/lab" run --quiet "${options[@]}" -- "$here/boot.sh" "$part" >"$state/$part.tap" 2>&1; then
		ok "boot: $part ($(grep -c '^ok' "$state/$part.tap") checks)"
		continue
	fi
	not_ok "boot: $part"
	diag "$(cat "$state/$part.tap")"
	break	# the next ones build on it
done
done_testing
