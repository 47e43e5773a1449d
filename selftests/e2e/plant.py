#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""plant.py netlink|dbus: send the bytes given in hex on stdin where a listener hears them."""
import socket
import struct
import subprocess
import sys

NETLINK_GENERIC = 16
GENL_ID_CTRL = 16


def netlink(secret):
    # to the controller of generic netlink, as an attribute that it does not know
    attr = struct.pack("=HH", 4 + len(secret), 0x3ff) + secret
    body = struct.pack("=BBH", 0xff, 1, 0) + attr
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
    s.bind((0, 0))
    s.send(struct.pack("=IHHII", 16 + len(body), GENL_ID_CTRL, 5, 1, 0) + body)


def dbus(secret):
    subprocess.run(["dbus-send", "--system", "--type=signal", "/org/example", "org.example.Planted",
                    "array:byte:" + ",".join(map(str, secret))], check=True)


{"netlink": netlink, "dbus": dbus}[sys.argv[1]](bytes.fromhex(sys.stdin.read()))
