# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# lib.sh - for scripts that run in a lab host: . "$LAB_LIB"

# lab_nested_kvm: make /dev/kvm work in this host.  0 when it is there, 1 when
# this machine cannot: then QEMU has to emulate ("-accel tcg").
lab_nested_kvm()
{
	[ -w /dev/kvm ] && return 0
	if grep -q -w svm /proc/cpuinfo; then
		modprobe kvm_amd nested=0
	elif grep -q -w vmx /proc/cpuinfo; then
		modprobe kvm_intel nested=0
	fi
	[ -w /dev/kvm ]
}

# lab_dbus: a system bus with the tree's policy.  Nothing to do under systemd.
lab_dbus()
{
	[ -S /run/dbus/system_bus_socket ] && return 0
	mkdir -p /run/dbus /var/lib/dbus
	[ -s /etc/machine-id ] || dbus-uuidgen >/etc/machine-id
	# returns when the bus takes connections
	dbus-daemon --system --fork --nopidfile
}

# lab_polkit: the authorisation service on that bus.
lab_polkit()
{
	lab_dbus || return 1
	if [ -d /run/systemd/system ]; then
		systemctl start polkit.service
		return
	fi
	setsid /usr/lib/polkit-1/polkitd --no-debug </dev/null \
		>/run/lab/polkit.log 2>&1 &
	lab_await 30 dbus-send --system --print-reply --dest=org.freedesktop.DBus / \
		org.freedesktop.DBus.GetNameOwner \
		string:org.freedesktop.PolicyKit1 >/dev/null 2>&1
}

# lab_install: what "make install" of the tree installs, into this host only.
# "make stage" has made it: make takes minutes in an emulated host.
lab_install()
{
	cp -R "$LAB_BUILD/root/." / &&
		make -s -C "$LAB_TREE" activate-packaging
}

# lab_await SECONDS COMMAND...: until COMMAND succeeds; 1 when it does not in
# that time.  For things that give no event to wait for.
lab_await()
{
	_left=$(($1 * 10))
	shift
	until "$@"; do
		_left=$((_left - 1))
		[ "$_left" -gt 0 ] || return 1
		sleep 0.1
	done
}
