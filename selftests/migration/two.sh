#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# two.sh - two vmcryptds on one host, with a plain QEMU each: a VM goes from
# one to the other over channels of the kernel, with several connections, and
# back. Without the module it goes in clear, and says so.

set -u
here=$(cd "$(dirname "$0")" && pwd -P)
tree=$(cd "$here/../.." && pwd -P)
# shellcheck source=../lib.sh
. "$here/../lib.sh"

bin=${LAB_BUILD:-$tree/build}/userspace
[ -x "$bin/vmcryptd" ] || skip_all "there is no $bin/vmcryptd (make -C userspace)"
command -v qemu-system-x86_64 >/dev/null || skip_all "there is no QEMU"
encrypted=false
[ -d /sys/module/vmcrypt ] && encrypted=true
[ -z "${LAB_NAME:-}" ] || $encrypted || bail "the module is not loaded"

end()
{
	kill -KILL "$1" 2>/dev/null
}

# check WHAT COMMAND...
check()
{
	local what=$1
	shift
	if "$@" >"$work/check" 2>&1; then
		ok "$what"
	else
		diag "$(tail -n 20 "$work/check")"
		not_ok "$what"
	fi
}

pids=()
work=$(mktemp -d)
at_exit rm -rf "$work"
chmod 0755 "$work"

# as HOST COMMAND...: with the bus and folders of that host
as()
{
	local h=$work/$1
	shift
	VMCRYPT_CONFIG_DIR=$h/etc VMCRYPT_STATE_DIR=$h/state VMCRYPT_RUNTIME_DIR=$h/run VMCRYPT_BUS=unix:path=$h/bus LC_ALL=C \
		"$@"
}

# host NAME ADDRESS
host()
{
	local h=$work/$1
	mkdir -p "$h/etc" "$h/state" "$h/run"
	printf '[migration]\nlisten = %s\n' "$2" >"$h/vmcrypt.conf"
	cat >"$h/bus.conf" <<-CONF
		<busconfig>
		<listen>unix:path=$h/bus</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow user="*"/><allow own="*"/>
		<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy>
		</busconfig>
	CONF
	dbus-daemon --nofork --nopidfile --config-file="$h/bus.conf" >/dev/null 2>"$h/bus-log" &
	pids+=("$!")
	at_exit end "$!"
	wait_for 10 test -S "$h/bus" || bail "no bus: $(cat "$h/bus-log")"
	VMCRYPT_CONFIG_DIR=$h/etc VMCRYPT_STATE_DIR=$h/state VMCRYPT_RUNTIME_DIR=$h/run "$bin/vmcryptd" --foreground \
		--config="$h/vmcrypt.conf" --bus-address="unix:path=$h/bus" >/dev/null 2>>"$h/log" &
	pids+=("$!")
	at_exit end "$!"
	wait_for 20 as "$1" "$bin/vmcrypt" host identity show >/dev/null 2>&1 || bail "no vmcryptd: $(cat "$h/log")"
}

fingerprint()
{
	as "$1" "$bin/vmcrypt" host identity show --json | sed -n 's/.*"sha256": *"\([0-9a-f]*\)".*/\1/p'
}

# machine NAME IMAGE [OPTION...]: a QEMU whose memory from 16 MiB on is IMAGE
machine()
{
	local name=$1 image=$2
	shift 2
	qemu-system-x86_64 -name web1 -uuid 11111111-1111-4111-8111-111111111111 -machine pc -accel tcg -m 64 -nodefaults \
		-display none -device loader,file="$image",addr=0x1000000,force-raw=on \
		-qmp "unix:$work/$name.qmp,server=on,wait=off" -qmp "unix:$work/$name.own,server=on,wait=off" "$@" \
		>/dev/null 2>"$work/$name.log" &
	pids+=("$!")
	at_exit end "$!"
	wait_for 30 test -S "$work/$name.own" || bail "no QEMU: $(cat "$work/$name.log")"
}

# qmp NAME COMMAND: to the socket that is the test's own
qmp()
{
	/usr/bin/python3 - "$work/$1.own" "$2" <<-'PY'
		import socket, sys, json
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(20)
		s.connect(sys.argv[1])
		f = s.makefile("rw")
		f.readline()
		for command in ('{"execute":"qmp_capabilities"}', sys.argv[2]):
		    f.write(command + "\n")
		    f.flush()
		    while True:
		        answer = json.loads(f.readline())
		        if "return" in answer or "error" in answer:
		            break
		print(json.dumps(answer))
	PY
}

# memory_is NAME IMAGE: what QEMU has from 16 MiB on
memory_is()
{
	rm -f "$work/saved"
	qmp "$1" '{"execute":"pmemsave","arguments":{"val":16777216,"size":16777216,"filename":"'"$work/saved"'"}}' >"$work/answer"
	cmp -s "$work/saved" "$2"
}

host a 127.0.0.1
host b 127.0.0.2
as a "$bin/vmcrypt" peer add b --address 127.0.0.2 --fingerprint "$(fingerprint b)" >/dev/null
if as a "$bin/vmcrypt" peer test b >"$work/out" 2>&1; then
	not_ok "a host that does not know this one refuses it"
else
	check "a host that does not know this one refuses it" grep -q 'does not trust this host' "$work/out"
fi
as b "$bin/vmcrypt" peer add a --address 127.0.0.1 --fingerprint "$(fingerprint a)" >/dev/null
check "hosts that know each other talk" as a "$bin/vmcrypt" peer test b

head -c 16777216 /dev/urandom >"$work/random"
head -c 16777216 /dev/zero >"$work/zero"
machine one "$work/random"
machine two "$work/zero" -incoming defer

migrate=(as a "$bin/vmcrypt" migrate web1 --to b --qmp "$work/one.qmp" --to-qmp)
if "${migrate[@]}" "$work/none.qmp" >"$work/out" 2>&1; then
	not_ok "preflight finds that no QEMU waits"
else
	check "preflight finds that no QEMU waits" grep -q "none.qmp" "$work/out"
fi
check "the guest runs on" eval 'qmp one "{\"execute\":\"query-status\"}" | grep -q "\"status\": \"running\""'
check "a dry run" "${migrate[@]}" "$work/two.qmp" --dry-run
if "${migrate[@]}" "$work/two.qmp" --parallel 3 --json >"$work/out" 2>"$work/err"; then
	ok "a VM is migrated over four connections"
else
	not_ok "a VM is migrated over four connections"
	diag "$(cat "$work/out" "$work/err" "$work/a/log" "$work/b/log" "$work/two.log")"
fi
check "it was encrypted: $encrypted" grep -q "\"encrypted\": *$encrypted" "$work/out"
check "all its memory is there" memory_is two "$work/random"
check "the guest runs there" eval 'qmp two "{\"execute\":\"query-status\"}" | grep -q "\"status\": \"running\""'
check "the event tells" eval "as a '$bin/vmcrypt' event list | grep -q \"VM 'web1' was migrated to host 'b'\""
check "so does that of the other host" eval "as b '$bin/vmcrypt' event list | grep -q \"VM 'web1' came from host 'a'\""

# and back
machine three "$work/zero" -incoming defer
check "it comes back" as b "$bin/vmcrypt" migrate web1 --to a --qmp "$work/two.qmp" --to-qmp "$work/three.qmp" --parallel 3
check "with all its memory" memory_is three "$work/random"
check "nothing is left" eval "! ls -A '$work'/[ab]/run/migrate/* 2>/dev/null | grep -q ."
kill -KILL "${pids[@]}" 2>/dev/null
done_testing
