#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""secrets.py watch|print|end: the keys that only the kernel has, for tests that look for them.

"watch": from now on the kernel notes what the module derives keys from, and which
AES-GCM keys are set. "print": they are lines "secret:N HEX", for secretscan.py.
"end": it notes no more, and forgets them.
"""
import os
import re
import sys

TRACING = "/sys/kernel/tracing/"
ZEROS = bytes(32)
PROBES = ("p:vmcrypt_derives vmcrypt_hkdf secret=+0(%di):x8[32]", "p:vmcrypt_sets crypto_aead_setkey secret=+0(%si):x8[32]")


def put(name, line, how=os.O_TRUNC):
    with open(os.open(TRACING + name, os.O_WRONLY | how), "w", encoding="ascii") as f:
        f.write(line + "\n")


def watch():
    put("trace", "")
    for probe in PROBES:
        put("kprobe_events", probe, os.O_APPEND)
    put("events/kprobes/enable", "1")


def show():
    secrets = set()
    with open(TRACING + "trace", encoding="ascii") as f:
        for line in f:
            m = re.search("secret={(.*)}", line)
            secrets.add(bytes(int(x, 16) for x in m.group(1).split(",")) if m else ZEROS)
    secrets.discard(ZEROS)  # with which a cipher is tried
    for i, secret in enumerate(sorted(secrets)):
        print(f"secret:{i} {secret.hex()}")


def end():
    put("events/kprobes/enable", "0")
    put("kprobe_events", "")
    put("trace", "")


{"watch": watch, "print": show, "end": end}[sys.argv[1]]()
