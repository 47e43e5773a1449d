#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kmip.sh - the KMIP provider against a real server (PyKMIP): two servers that
# hold the same keys, each protocol version, failover, and those who may not.
# Needs no module: runs on this machine or in a lab host, on the loopback only.

# shellcheck source-path=SCRIPTDIR
set -u
here=$(cd "$(dirname "$0")" && pwd -P)
tree=${LAB_TREE:-$here/../..}
# shellcheck source=../lib.sh
. "$tree/selftests/lib.sh"
lab=$tree/tools/lab
PROGRAM=${KMIP_SELFTEST:-${LAB_BUILD:-$tree/build}/userspace/kmip-selftest}
PORT=${KMIP_PORT:-15710}

command -v pykmip-server >/dev/null || skip_all "no PyKMIP here (apt-get install python3-pykmip)"
[ -x "$PROGRAM" ] || bail "no $PROGRAM; run: make -C userspace kmip-programs"

work=$(mktemp -d)
kms=$work/kms
at_exit rm -rf "$work"
at_exit "$lab" pykmip stop "$kms"

# run COMMAND...: the selftest program; what it prints is in $out, its log in
# $work/stderr.
out=
run()
{
	out=$("$PROGRAM" "$CONF" "$@" 2>"$work/stderr")
}

# check TEXT COMMAND...: must succeed.
check()
{
	local text=$1
	shift
	if "$@"; then
		ok "$text"
	else
		not_ok "$text"
		diag "$out"
	fi
}

# refuse TEXT WORDS COMMAND...: must fail, and say WORDS.
refuse()
{
	local text=$1 words=$2
	shift 2
	if "$@"; then
		not_ok "$text"
		diag "succeeded: $out"
	elif [[ $out == *"$words"* ]]; then
		ok "$text"
	else
		not_ok "$text"
		diag "wanted '$words', got: $out"
	fi
}

says()
{
	[[ $out == *"$1"* ]]
}

# provider DIR CLIENT [OPTIONS]: a configuration with provider "kms" and a
# client's certificate.
provider()
{
	CONF=$1
	mkdir -p "$CONF"
	KMIP_OPTIONS=${3:-'{}'} run add "127.0.0.1:$PORT" "127.0.0.1:$((PORT + 1))" || return
	run trust import pem "$kms/$2.pem" key_pem "$kms/$2.key" || return
	run trust pin ca_pem "$kms/ca.pem"
}

plan
"$lab" pykmip start "$kms" --port "$PORT" --nodes 2 --client host-a --client host-b >"$work/log" 2>&1 ||
	bail "no key server: $(tail -n 3 "$work/log")"

check "a provider of two servers is set up" provider "$work/a" host-a
check "both servers answer" run test
check "in the highest version there is" says '"version": "2.0"'
check "over an authenticated cipher" says 'AES256-GCM'

check "a key is made" run create vm-1
key=$out
check "and can be read" run get "$key"
value=$out
check "into the secure heap" says 'secure=1'
check "it is Active" run state "$key"
check "it says so" says "$key Active"
check "it is among ours" run list
check "by its id" says "$key"

# each version by force, from the making of a key to its end
for version in 1.1 1.2 1.3 1.4 2.0; do
	check "$version: set up" provider "$work/v$version" host-a "{\"protocol\": \"$version\"}"
	check "$version: create" run create "vm-$version"
	id=$out
	check "$version: get" run get "$id"
	check "$version: list" run list
	check "$version: destroy" run destroy "$id"
	refuse "$version: it is gone" KeyMissing run get "$id"
	check "$version: register, wrapped get, revoke" run raw "$PORT" "$kms/ca.pem" "$kms/host-a.pem" \
		"$kms/host-a.key" "$version"
done
CONF=$work/a

# many keys over one connection
keys=("$key")
for n in $(seq 39); do
	run create "many-$n" || diag "$out"
	keys+=("$out")
done
check "forty keys are read at once" run get "${keys[@]}"
diag "$(grep 'keys in' "$work/stderr")"
refuse "a missing one among them is named" "999999 KeyMissing" run get "$key" 999999 "${keys[3]}"
check "and the others are there" says "$key Active"

# the first server dies, then both, then both come back
"$lab" pykmip stop "$kms" --node 1 >>"$work/log" 2>&1
check "first server dead: the second one has the key" run get "$key"
check "the very same" [ "${out%%$'\n'*}" = "${value%%$'\n'*}" ]
check "a key is made there, too" run create vm-2
second=$out
check "test says which server is dead" run test
check "by its address" says "127.0.0.1:$PORT: cannot connect"
"$lab" pykmip stop "$kms" --node 2 >>"$work/log" 2>&1
refuse "both dead: unreachable" ProviderUnreachable run get "$key"
check "naming the provider" says "no server of provider 'kms'"
"$lab" pykmip start "$kms" >>"$work/log" 2>&1 || diag "$(tail -n 3 "$work/log")"
check "both back: all works" run get "$key" "$second"

# others
check "another client is set up" provider "$work/b" host-b
refuse "who may not read the key" "Permission Denied" run get "$key"
check "the error names server, operation and key" says "Get Attributes of key '$key'"
CONF=$work/c
mkdir -p "$CONF"
run add "127.0.0.1:$PORT"
run trust pin ca_pem "$kms/ca.pem"
check "a self-signed certificate is made" run trust self-signed cn =host-c
refuse "which the server does not know" NotTrusted run get "$key"
check "and the TLS alert is named" says "unknown CA"
check "a request is made" run trust csr cn =host-d
printf '%s\n' "$out" >"$work/d.csr"
check "the server's side signs it" "$lab" pykmip sign "$kms" "$work/d.csr" "$work/d.pem"
check "the certificate is uploaded" run trust upload pem "$work/d.pem"
check "and is good" run create vm-d
CONF=$work/e
provider "$work/e" host-a '{"tls_min": "1.3"}'
refuse "a server below the TLS floor is not talked to" "no TLS version" run get "$key"
CONF=$work/f
mkdir -p "$CONF"
run add "127.0.0.1:$PORT"
run trust import pem "$kms/host-a.pem" key_pem "$kms/host-a.key"
refuse "without trust in the server nothing goes" NotTrusted run get "$key"
run trust show
print=$(grep -o '"sha256": "[0-9a-f]*"' <<<"$out" | head -n 1 | cut -d'"' -f4)
refuse "another fingerprint will not do" NotTrusted \
	eval 'run trust pin fingerprint "=$(tr 0-9a-f 1-9a-f0 <<<"$print")" && run get "$key"'
check "the fingerprint that was shown is pinned" run trust pin fingerprint "=$print"
check "and trusted" run get "$key"

CONF=$work/a
check "keys are destroyed" run destroy "${keys[@]}" "$second"
refuse "and gone" KeyMissing run get "$key"
done_testing
