#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# files.sh - what vmcryptd's files say about each other must agree: catalog and
# MESSAGE_IDs, polkit's actions and the methods that need them, the unit and
# the limit of what may stay open in it.

set -u
here=$(cd "$(dirname "$0")" && pwd -P)
tree=$(cd "$here/../.." && pwd -P)
# shellcheck source=../lib.sh
. "$here/../lib.sh"
packaging=$tree/packaging
work=$(mktemp -d)
at_exit rm -rf "$work"

# same WHAT A B: files of sorted lines
same()
{
	if diff -u "$2" "$3" >"$work/diff" && [ -s "$2" ]; then
		ok "$1"
	else
		diag "$(cat "$work/diff")"
		not_ok "$1"
	fi
}

plan

sed -n 's/^#define VMC_MSG_[A-Z_]*[ \t]*"\([0-9a-f]*\)"$/\1/p' "$tree/userspace/lib/events.h" | sort >"$work/ids"
sed -n 's/^-- //p' "$packaging/journal/vmcrypt.catalog" | sort >"$work/catalog"
same "every MESSAGE_ID has a catalog entry, and every entry an id" "$work/ids" "$work/catalog"

for catalog in "$packaging"/journal/vmcrypt.*.catalog; do
	sed -n 's/^-- //p' "$catalog" | sort >"$work/translated"
	same "$(basename "$catalog") has the same ids" "$work/ids" "$work/translated"
	# what journald puts in must be put in, in any language
	for c in "$packaging/journal/vmcrypt.catalog" "$catalog"; do
		awk '/^-- / { id = $2 } /^Subject:/ { while (match($0, /@[A-Z_]+@/)) {
			print id, substr($0, RSTART, RLENGTH); $0 = substr($0, RSTART + RLENGTH) } }' "$c" |
			sort >"$work/fields.$(basename "$c")"
	done
	same "$(basename "$catalog") has the same fields in its subjects" "$work/fields.vmcrypt.catalog" \
		"$work/fields.$(basename "$catalog")"
done

if [ "$(sort -u "$work/ids" | grep -c '^[0-9a-f]\{32\}$')" = "$(grep -c VMC_MSG_ "$tree/userspace/lib/events.h")" ]; then
	ok "the ids are well formed, and no two are the same"
else
	not_ok "the ids are well formed, and no two are the same"
fi

# Ids that no source uses explain nothing.
unused=$(sed -n 's/^#define \(VMC_MSG_[A-Z_]*\).*/\1/p' "$tree/userspace/lib/events.h" | while read -r name; do
	grep -rqw --include='*.c' "$name" "$tree/userspace" || echo "$name"
done)
# What only says "look again" is for the bus, not for the journal.
if [ -z "$unused" ]; then
	ok "every id is used"
else
	diag "not used: $unused"
	not_ok "every id is used"
fi

# An entry without a text behind its header is no explanation.
if awk 'BEGIN { RS = "\n-- " } NR > 1 && split($0, part, /\n\n/) < 2 { print "no text: " substr($0, 1, 80); bad = 1 }
	END { exit bad }' "$packaging/journal/vmcrypt.catalog" >"$work/empty"; then
	ok "every catalog entry explains something"
else
	diag "$(cat "$work/empty")"
	not_ok "every catalog entry explains something"
fi

mkdir -p "$work/root/usr/lib/systemd/catalog" "$work/root/var/lib/systemd/catalog"
cp "$packaging"/journal/*.catalog "$work/root/usr/lib/systemd/catalog/"
if journalctl --root="$work/root" --update-catalog 2>"$work/errors" && [ ! -s "$work/errors" ] &&
   [ "$(journalctl --root="$work/root" --list-catalog | wc -l)" = "$(wc -l <"$work/ids")" ]; then
	ok "journald takes the catalog"
else
	diag "$(cat "$work/errors")"
	not_ok "journald takes the catalog"
fi

# Privileges that a role may be given before there is a method that asks for them.
{
	printf '%s\n' clone decrypt migrate register-host
	sed -n 's/.*METHOD("[A-Za-z]*", "\([a-z-]*\)".*/\1/p' "$tree"/userspace/api/*_api.c
	sed -n 's/.*"org\.vmcrypt1\.\([a-z-]*\)".*/\1/p' "$tree"/userspace/api/auth.[ch] "$tree"/userspace/api/gate.h
} | sort -u >"$work/needed"
sed -n 's/.*<action id="org\.vmcrypt1\.\([a-z-]*\)">.*/\1/p' "$packaging/polkit/org.vmcrypt1.policy" |
	sort >"$work/actions"
same "polkit knows the actions that methods need, and no others" "$work/needed" "$work/actions"

# The shipped rules name actions that there are.
sed -n 's/.*var granted = \[\(.*\)\].*/\1/p' "$packaging/polkit/50-vmcrypt.rules" | tr ',' '\n' | tr -d '" ' | sort >"$work/granted"
if [ -s "$work/granted" ] && [ -z "$(comm -23 "$work/granted" "$work/actions")" ]; then
	ok "the role without cryptography is granted actions that there are"
else
	not_ok "the role without cryptography is granted actions that there are"
fi

if xmllint --noout --nonet "$packaging/polkit/org.vmcrypt1.policy" "$packaging/dbus/org.vmcrypt1.conf" \
	"$tree/userspace/api/org.vmcrypt1.xml" 2>"$work/errors"; then
	ok "the XML files are well formed"
else
	diag "$(cat "$work/errors")"
	not_ok "the XML files are well formed"
fi

# The units as installed, with a program that is there.
for unit in "$packaging"/systemd/*.service; do
	name=$(basename "$unit")
	sed 's#@SBINDIR@/[a-z-]*#/bin/true#' "$unit" >"$work/$name"
	if systemd-analyze verify --man=no --recursive-errors=no "$work/$name" >"$work/errors" 2>&1 &&
	   [ ! -s "$work/errors" ]; then
		ok "systemd has nothing to say against $name"
	else
		diag "$(cat "$work/errors")"
		not_ok "systemd has nothing to say against $name"
	fi
	systemd-analyze security --no-pager --offline=true --threshold=30 "$work/$name" >"$work/security" 2>&1
	status=$?
	diag "$(tail -n 1 "$work/security")"
	if [ "$status" = 0 ]; then
		ok "the exposure of $name is at most 3.0"
	else
		not_ok "the exposure of $name is at most 3.0"
	fi
done

if make -s -f "$packaging/install.mk" install-packaging DESTDIR="$work/install" PREFIX=/usr >"$work/errors" 2>&1 &&
   grep -q '^ExecStart=/usr/sbin/vmcryptd$' "$work/install/usr/lib/systemd/system/vmcryptd.service" &&
   make -s -f "$packaging/install.mk" uninstall-packaging DESTDIR="$work/install" PREFIX=/usr &&
   [ -z "$(find "$work/install" -type f)" ]; then
	ok "what is installed can be removed whole"
else
	diag "$(cat "$work/errors")"
	not_ok "what is installed can be removed whole"
fi

done_testing
