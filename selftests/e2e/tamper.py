#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tamper.py WHAT FILE: flip one bit of a bundle or of a disk's token."""
import base64
import json
import subprocess
import sys


def flip(text):
    raw = bytearray(base64.b64decode(text, validate=True))
    raw[len(raw) // 2] ^= 1
    return base64.b64encode(raw).decode()


def volumes(bundle):
    """Every object of the bundle that has a wrapped DEK."""
    if isinstance(bundle, dict):
        if "wrapped" in bundle:
            yield bundle
        for v in bundle.values():
            yield from volumes(v)
    elif isinstance(bundle, list):
        for v in bundle:
            yield from volumes(v)


def edit_bundle(path, change):
    with open(path, encoding="utf-8") as f:
        bundle = json.load(f)
    change(bundle)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(bundle, f, indent=2)


def bundle_name(path):
    def change(b):
        b["name"] = b["name"][:-1] + chr(ord(b["name"][-1]) ^ 1)
    edit_bundle(path, change)


def bundle_wrapped(path):
    def change(b):
        for v in volumes(b):
            if v["name"] != "home":
                v["wrapped"] = flip(v["wrapped"])
    edit_bundle(path, change)


def token_wrapped(path):
    meta = json.loads(subprocess.run(["cryptsetup", "luksDump", "--dump-json-metadata", path],
                                     check=True, capture_output=True, text=True).stdout)
    number, token = next((n, t) for n, t in meta["tokens"].items() if t["type"] == "vmcrypt")
    token["wrapped"] = flip(token["wrapped"])
    subprocess.run(["cryptsetup", "token", "remove", "--token-id", number, path], check=True)
    subprocess.run(["cryptsetup", "token", "import", "--token-id", number, path],
                   input=json.dumps(token), text=True, check=True)


{"bundle-name": bundle_name, "bundle-wrapped": bundle_wrapped,
 "token-wrapped": token_wrapped}[sys.argv[1]](sys.argv[2])
