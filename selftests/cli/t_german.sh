# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# A person who reads German, and a program that does not care.

"$top/tools/po" mo "$work/mo" || not_ok "the catalogs compile"
# with LOCALES CATALOGS WORD...: the client of somebody who set a German locale
with()
{
	local real=$cli cli=$work/german

	printf '#!/bin/sh\nexec env LC_ALL=de_DE.UTF-8 LANGUAGE= LOCPATH=%s VMCRYPT_LOCALEDIR=%s %s "$@"\n' \
		"$1" "$2" "$real" > "$cli"
	chmod +x "$cli"
	shift 2
	run "$@"
}
german()
{
	with "$build/locale" "$work/mo" "$@"
}
start_mock

german vm list
expect "german: a table" 0 '*NAME*BETRIEB*ZUSTAND*ANBIETER*clash*aus*ungültig*' ''
called "german: the daemon is told" 'org.vmcrypt1.Manager.ListVMs -'
if grep -q '^org.vmcrypt1.Manager.SetHints a{ss} {locale de_DE.UTF-8 ' calls; then
	ok "german: the daemon is told the language first"
else
	not_ok "german: the daemon is told the language first" "$(cat calls)"
fi
# letters of two bytes take one column
if /usr/bin/python3 - <<'PY'
import re
lines = open("out", encoding="utf-8").read().splitlines()
at = lines[0].index("ANBIETER")
assert len(lines) > 1
for line in lines[1:]:
    assert line[at - 1] == " " and line[at] != " ", line
PY
then ok "german: columns stand below their headings"; else not_ok "german: columns stand below their headings" "$out"; fi

german vm list --json
expect "german: JSON stays as it is" 0 '*"power": "o*' ''
called "german: and the daemon is not told" 'org.vmcrypt1.Manager.ListVMs -'
german vm frobnicate --json
expect "german: errors in JSON stay as they are" 1 "*unknown verb 'vm frobnicate'*" "*unknown verb*Hint:*"

german vm frobnicate
expect "german: errors" 1 '' "vmcrypt: unbekanntes Verb 'vm frobnicate'*Hinweis: *"
german help vm unlock
expect "german: help" 0 'Aufruf: vmcrypt vm unlock*die Schlüssel von VMs auf einmal abrufen*Optionen:*--all*alle, und keine mit Namen*' ''
if awk '{ if (length($0) > 80) exit 1 }' out; then
	ok "german: help keeps to 80 columns"
else
	not_ok "german: help keeps to 80 columns" "$out"
fi
german provider add kmip kms1 --server a --server b
expect "german: many" 0 "Anbieter 'kms1' mit 2 Servern hinzugefügt*" ''
german provider add kmip kms1 --server a
expect "german: one" 0 "Anbieter 'kms1' mit 1 Server hinzugefügt*" ''
german disk list web1
expect "german: yes and no" 0 '*IM CACHE*ja*' ''
with "$work/nowhere" "$work/mo" vm frobnicate
expect "german: without the locale, English" 1 '' "vmcrypt: unknown verb*Hint: *"
with "$build/locale" "$work/nowhere" vm frobnicate
expect "german: without the catalog, English" 1 '' "vmcrypt: unknown verb*Hint: *"
stop_mock

start_authority sick
german trust health
expect "german: trust health" 9 '*ELEMENT*NAME*GESUND*nein*The AttestationServiceStatus is not healthy*Hinweis: *' ''
if tail -n 1 calls | grep -q '{locale de_DE.UTF-8 '; then
	ok "german: the authority is told with the call"
else
	not_ok "german: the authority is told with the call" "$(cat calls)"
fi
stop_mock

# sentences that operators know and look for: translated ENGLISH GERMAN
translated()
{
	local text

	text=$(env LC_ALL=de_DE.UTF-8 LANGUAGE= LOCPATH="$build/locale" TEXTDOMAINDIR="$work/mo" gettext vmcrypt "$1")
	if [ "$text" = "$2" ]; then ok "german: $1"; else not_ok "german: $1" "$text"; fi
}
translated 'Virtual machine is locked because of a KMS cluster error.' \
	'Die virtuelle Maschine ist wegen eines KMS-Clusterfehlers gesperrt.'
translated 'Virtual machine is locked because keys are missing on KMS cluster.' \
	'Die virtuelle Maschine ist gesperrt, weil Schlüssel auf dem KMS-Cluster fehlen.'
translated 'Virtual machine is locked because keys are missing on host.' \
	'Die virtuelle Maschine ist gesperrt, weil Schlüssel auf dem Host fehlen.'
english='The disk [%s] is encrypted and a required key was not found.'
if grep -q -F "msgid \"$english\"" "$top/po/de.po"; then
	translated "$english" "$english"
else
	not_ok "german: $english"
fi
