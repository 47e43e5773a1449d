#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""dek.py DATABASE VOLUME...: the DEK and KEK of volumes, for tests that look for them.

Reads each VOLUME's vmcrypt token from its LUKS2 header, the KEK from the key
server's own database (PyKMIP's SQLite file), and unwraps. This is the second,
independent reading of the format that kmod/wrap.c describes. Prints "dek:NAME HEX"
and "kek:ID HEX" lines for secretscan.py; with --check it prints no key.
"""
import base64
import json
import sqlite3
import struct
import subprocess
import sys
import uuid

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LABEL = b"vmcrypt dek"


def token(path):
    out = subprocess.run(["cryptsetup", "luksDump", "--dump-json-metadata", path],
                         check=True, capture_output=True, text=True).stdout
    for t in json.loads(out)["tokens"].values():
        if t["type"] == "vmcrypt":
            return t
    sys.exit(f"{path}: no vmcrypt token")


def kek(database, key_id):
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        row = db.execute("select value from managed_objects where uid = ?", (int(key_id),)).fetchone()
    if row is None:
        sys.exit(f"the key server has no key {key_id}")
    return row[0]


def unwrap(key, tok):
    blob = base64.b64decode(tok["wrapped"], validate=True)
    version, algorithm, reserved = struct.unpack(">BBH", blob[:4])
    if (version, algorithm, reserved) != (1, 1, 0):
        sys.exit(f"wrapped DEK of format {version}.{algorithm}.{reserved}")
    kek_id, volume = tok["kek"].encode(), tok["volume"].encode()
    aad = LABEL + blob[:2] + bytes([len(kek_id)]) + kek_id + uuid.UUID(tok["vm"]).bytes \
        + bytes([len(volume)]) + volume
    return AESGCM(key).decrypt(blob[4:16], blob[16:], aad)


def main():
    args = [a for a in sys.argv[1:] if a != "--check"]
    quiet = "--check" in sys.argv
    database, volumes = args[0], args[1:]
    for path in volumes:
        t = token(path)
        k = kek(database, t["kek"].split("/", 1)[1])
        d = unwrap(k, t)
        if len(d) != 64:
            sys.exit(f"{path}: a DEK of {len(d)} bytes")
        if quiet:
            print(f"{t['volume']} unwraps under {t['kek']}")
        else:
            print(f"dek:{t['volume']} {d.hex()}\nkek:{t['kek']} {k.hex()}")


if __name__ == "__main__":
    main()
