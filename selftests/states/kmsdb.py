#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kmsdb.py KMIP.DB ID STATE: put a key of PyKMIP into that state.

KMIP has no operation that makes a key active again: the administrator of a key
server does it with the means of that server. PyKMIP's are its database.
"""
import sqlite3
import sys

from kmip import enums

path, key_id, state = sys.argv[1:]
with sqlite3.connect(path, timeout=10) as db:
    done = db.execute("UPDATE crypto_objects SET state = ? WHERE uid = ?",
                      (enums.State[state.upper()].value, int(key_id)))
    if done.rowcount != 1:
        sys.exit(f"there is no key {key_id}")
