#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# bus.sh - vmcryptd on a bus of its own, on a machine without the module: the
# interfaces are those of org.vmcrypt1.xml, calls are answered, errors are clear.

set -u
here=$(cd "$(dirname "$0")" && pwd -P)
tree=$(cd "$here/../.." && pwd -P)
# shellcheck source=../lib.sh
. "$here/../lib.sh"

# end PID: unless it has ended; the log tells when a test was not told
end()
{
	kill -KILL "$1" 2>/dev/null
}

vmcryptd=${VMCRYPTD:-$tree/build/userspace/vmcryptd}
[ -x "$vmcryptd" ] || skip_all "there is no $vmcryptd (make -C userspace)"

work=$(mktemp -d)
mkdir "$work/etc" "$work/state" "$work/run"
: >"$work/vmcrypt.conf"
export VMCRYPT_CONFIG_DIR=$work/etc VMCRYPT_STATE_DIR=$work/state VMCRYPT_RUNTIME_DIR=$work/run
at_exit rm -rf "$work"

cat >"$work/bus.conf" <<-CONF
	<busconfig>
	<listen>unix:path=$work/bus</listen><auth>EXTERNAL</auth>
	<policy context="default"><allow user="*"/><allow own="*"/>
	<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy>
	</busconfig>
CONF
chmod 0755 "$work"
dbus-daemon --nofork --nopidfile --config-file="$work/bus.conf" 2>"$work/bus-log" &
bus_pid=$!
at_exit end "$bus_pid"
wait_for 10 test -S "$work/bus" || bail "no bus: $(cat "$work/bus-log")"
chmod 0777 "$work/bus"

call=(busctl --address="unix:path=$work/bus" --timeout=20)

start()
{
	"$vmcryptd" --foreground --config="$work/vmcrypt.conf" --bus-address="unix:path=$work/bus" \
		2>>"$work/log" &
	pid=$!
}

# "" when nobody owns it
owner()
{
	"${call[@]}" call org.freedesktop.DBus / org.freedesktop.DBus GetNameOwner s org.vmcrypt1 \
		>"$work/owner" 2>/dev/null
}

# fails TEXT COMMAND...: COMMAND fails, and says TEXT
fails()
{
	local text=$1
	shift
	if timeout 20 "$@" >"$work/out" 2>&1; then
		diag "it did not fail: $(cat "$work/out")"
		return 1
	fi
	grep -q -- "$text" "$work/out" && return 0
	diag "it said: $(cat "$work/out")"
	return 1
}

# check WHAT COMMAND...
check()
{
	local what=$1
	shift
	if "$@" >"$work/seen"; then ok "$what"; else not_ok "$what"; fi
}

manager=("${call[@]}" call org.vmcrypt1 /org/vmcrypt1 org.vmcrypt1.Manager)

plan

[ "$("$vmcryptd" --version)" = "vmcryptd $(sed -n 's/#define VMC_VERSION "\(.*\)"/\1/p' "$tree/userspace/lib/version.h")" ]
check "--version tells the version" test $? = 0
check "--help tells the options" grep -q -- --bus-address <("$vmcryptd" --help)
check "an unknown option is refused" fails "Usage" "$vmcryptd" --no-such-thing
check "an argument is refused" fails "unexpected argument 'x'" "$vmcryptd" x
printf '[daemon]\nwrokers = 3\n' >"$work/bad.conf"
check "a bad configuration is refused by file and key" \
	fails "bad.conf.*wrokers\|wrokers.*bad.conf" "$vmcryptd" --foreground --config="$work/bad.conf"
check "no bus: it says so" fails "cannot connect to the given bus" \
	"$vmcryptd" --foreground --config="$work/vmcrypt.conf" --bus-address="unix:path=$work/none"

start
at_exit end "$pid"
wait_for 20 owner || bail "vmcryptd does not come: $(cat "$work/log")"
ok "vmcryptd owns its name"

# ---- introspection -----------------------------------------------------------

"${call[@]}" --xml-interface introspect org.vmcrypt1 /org/vmcrypt1 >"$work/manager.xml"
check "the manager is as org.vmcrypt1.xml has it" \
	/usr/bin/python3 "$here/compare-xml.py" "$tree/userspace/api/org.vmcrypt1.xml" "$work/manager.xml" \
	org.vmcrypt1.Manager

check "a key provider can be added" "${manager[@]}" AddProvider sss kmip kms '{"servers":["127.0.0.1:1"]}'
"${call[@]}" --xml-interface introspect org.vmcrypt1 /org/vmcrypt1/provider/kms >"$work/provider.xml"
check "a provider is as org.vmcrypt1.xml has it" \
	/usr/bin/python3 "$here/compare-xml.py" "$tree/userspace/api/org.vmcrypt1.xml" "$work/provider.xml" \
	org.vmcrypt1.Provider
check "it lists its server" grep -q '127.0.0.1:1' \
	<("${call[@]}" get-property org.vmcrypt1 /org/vmcrypt1/provider/kms org.vmcrypt1.Provider Servers)

# ---- calls -------------------------------------------------------------------

check "no VMs are listed as an empty list" test "$("${manager[@]}" ListVMs)" = 's "[]"'
check "Describe tells the version" grep -q '"version' <("${manager[@]}" Describe | tr -d '\134')
if [ -d /sys/module/vmcrypt ]; then
	skip "without the module, Describe says what to do" "the module is loaded"
else
	check "without the module, Describe says what to do" grep -q "modprobe vmcrypt" <("${manager[@]}" Describe)
	check "and ModuleLoaded is false" test "$("${call[@]}" get-property org.vmcrypt1 /org/vmcrypt1 \
		org.vmcrypt1.Manager ModuleLoaded)" = "b false"
fi
check "keys are listed without the module" test "$("${manager[@]}" ListKeys)" = 's "[]"'
check "figures are there" grep -q 'vmcrypt_build_info{version=' <("${manager[@]}" GetMetrics | tr -d '\134')
check "no event is a list" test "$("${manager[@]}" ListEvents 'ua{sv}' 5 1 vm s none)" = 's "[]"'
check "an unknown VM is named" fails "nowhere" "${manager[@]}" GetVM s nowhere
check "an unknown option is named" fails "unknown option 'sze'" \
	"${manager[@]}" CreateVM 'ssa{sv}' web "$work" 1 sze t 5
check "an unknown method is refused" fails "no method" "${manager[@]}" Explode
check "a private key as text is refused" fails "must not travel over the bus" \
	"${call[@]}" call org.vmcrypt1 /org/vmcrypt1/provider/kms org.vmcrypt1.Provider Trust ss upload '{"key_pem":"x"}'

if [ "$(id -u)" = 0 ]; then
	check "nobody is refused without polkit" fails "polkit is not there" \
		setpriv --reuid=65534 --regid=65534 --clear-groups "${manager[@]}" ListVMs
else
	skip "nobody is refused without polkit" "only root can be nobody"
fi

# ---- reload, second instance, end ----------------------------------------------

printf '[daemon]\nwrokers = 3\n' >"$work/vmcrypt.conf"
kill -HUP "$pid"
check "a bad configuration is not taken" wait_for 10 grep -q "new configuration is not taken" "$work/log"
: >"$work/vmcrypt.conf"
kill -HUP "$pid"
check "a good one is" wait_for 10 grep -q "configuration was read anew" "$work/log"
check "and calls are answered as before" "${manager[@]}" ListVMs
check "a second vmcryptd ends" fails "another vmcryptd runs" \
	"$vmcryptd" --foreground --config="$work/vmcrypt.conf" --bus-address="unix:path=$work/bus"

kill -TERM "$pid"
wait "$pid"
check "it ends with status 0" test $? = 0
start
at_exit end "$pid"
wait_for 20 owner
check "and starts again, with its provider" grep -q kms <("${manager[@]}" ListProviders)
check "and without the module a provider can be removed" "${manager[@]}" RemoveProvider s kms
kill -TERM "$pid"
wait "$pid"
if grep -i "error:\|runtime error\|Sanitizer" "$work/log"; then
	not_ok "the log holds no complaint of a sanitizer"
else
	ok "the log holds no complaint of a sanitizer"
fi

done_testing
