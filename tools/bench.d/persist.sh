#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# persist.sh PROGRAM DIR KEYS... - how long it takes to get stored keys back
# from a software TPM: one unseal, whatever their number.
set -eu
program=$1 dir=$2
shift 2

stop()
{
	[ ! -e "$dir/pid" ] || kill "$(cat "$dir/pid")" 2>/dev/null || true
}

rm -rf "$dir"
mkdir -p "$dir/tpm"
trap stop EXIT
swtpm socket --tpm2 --tpmstate "dir=$dir/tpm" --server "type=unixio,path=$dir/sock" \
	--ctrl "type=unixio,path=$dir/sock.ctrl" --pid "file=$dir/pid" \
	--flags not-need-init,startup-clear --daemon
cat <<'TEXT'
# Stored keys (key persistence), times in ms on this machine's software TPM.
# enable   making root key, counters and seal
# store    encrypting the keys and writing the file, 256 keys at a time
# unseal   opening the seal and checking file and counter: one TPM2_Unseal
# restore  that, and every key decrypted, as at the start of the host
TEXT
printf '%8s %9s %9s %9s %10s %12s\n' keys enable store unseal restore us-per-key
for keys in "$@"; do
	"$program" "swtpm:path=$dir/sock" "$dir/state" "$keys" >"$dir/result"
	awk '{ v[$1] = $2 } END { printf "%8d %9.1f %9.1f %9.1f %10.1f %12.1f\n", v["keys"],
		v["enable"] / 1000, v["store"] / 1000, v["unseal"] / 1000, v["restore"] / 1000,
		(v["restore"] - v["unseal"]) / v["keys"] }' "$dir/result"
done
