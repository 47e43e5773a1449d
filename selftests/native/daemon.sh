#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a lab host: start vmcryptd, and return when it is on the bus.

# shellcheck source=/dev/null
. "$LAB_LIB"
lab_dbus || exit 1
setsid vmcryptd --foreground >>/srv/vms/vmcryptd.log 2>&1 </dev/null &

on_the_bus()
{
	dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
		string:org.vmcrypt1 2>/dev/null | grep -q 'boolean true'
}

lab_await 60 on_the_bus || { tail -n 20 /srv/vms/vmcryptd.log; exit 1; }
