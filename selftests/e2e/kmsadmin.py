#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kmsadmin.py CA CERT KEY VERB ID: what the key server's administrator does.

VERB is revoke (the key is compromised from then on) or destroy. The certificate
is that of the host, which owns the key.
"""
import sys
import warnings

warnings.simplefilter("ignore")

from kmip import enums  # noqa: E402
from kmip.pie import client  # noqa: E402

ca, cert, key, verb, key_id = sys.argv[1:]
with client.ProxyKmipClient(hostname="127.0.0.1", port=5696, ca=ca, cert=cert, key=key,
                            ssl_version="PROTOCOL_TLSv1_2", config_file="/dev/null") as c:
    if verb == "revoke":
        c.revoke(enums.RevocationReasonCode.KEY_COMPROMISE, key_id, "by the administrator")
    elif verb == "destroy":
        c.destroy(key_id)
    else:
        sys.exit(f"{verb}?")
