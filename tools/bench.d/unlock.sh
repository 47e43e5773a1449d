#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# unlock.sh VMS DISKS MAPPINGS PORT KMS - in a lab host: a fleet is registered,
# the keys are lost as in a reboot, and all VMs are unlocked in one go. The key
# server runs on the machine, not in here, and has its certificates in KMS.
# Prints "NAME MILLISECONDS" lines.
set -eu

# shellcheck source=/dev/null
. "$LAB_LIB"
vms=$1 disks=$2 mappings=$3 port=$4 kms=$5
work=/srv/vms/fleet
mkdir -p "$work"
echo "# $(uname -r), $(nproc) CPUs, $(systemd-detect-virt 2>/dev/null || true)" >&2

bus_has_name()
{
	dbus-send --system --print-reply --dest=org.freedesktop.DBus / \
		org.freedesktop.DBus.NameHasOwner string:org.vmcrypt1 2>/dev/null |
		grep -q 'boolean true'
}

daemon_start()
{
	vmcryptd --foreground >>"$work/vmcryptd.log" 2>&1 </dev/null &
	daemon=$!
	lab_await 60 bus_has_name
}

daemon_stop()
{
	kill -TERM "$daemon"
	wait "$daemon"
}

lab_dbus
daemon_start
{
	vmcrypt provider add kmip kms --server "10.0.2.2:$port" --ca "$kms/ca.pem" --default
	vmcrypt provider trust kms import "$kms/bench.pem" "$kms/bench.key"
} >&2
daemon_stop

"$LAB_BUILD/bench/fleet" make "$work" "$vms" "$disks"
"$LAB_BUILD/bench/fleet" dm "$work" "$mappings"
"$LAB_BUILD/bench/fleet" idle

rmmod vmcrypt
modprobe vmcrypt
daemon_start
vmcrypt --json vm unlock --all >"$work/unlock.json"
/usr/bin/python3 - "$work/unlock.json" <<'PY'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as f:
    answer = json.load(f)
bad = [r for r in answer["results"] if not r["ok"]]
for r in bad[:5]:
    print(f"fleet: {r['name']}: {r['error']}", file=sys.stderr)
t = answer["timing"]
for name in ("bundles_ms", "kms_ms", "netlink_ms", "kernel_ms", "total_ms"):
    print("unlock-" + name.removesuffix("_ms"), t[name])
print("unlock-requests", t["kernel_requests"])
print("unlock-vms", t["vms"])
print("unlock-deks", t["deks"])
print("unlock-keks-fetched", t["keks_fetched"])
sys.exit(bool(bad))
PY
daemon_stop
