#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""qmp.py SOCKET COMMAND [ARGUMENTS]: ask a QEMU, print what it returns."""

import json
import socket
import sys


def main():
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(sys.argv[1])
        f = s.makefile("rw")
        f.readline()
        arguments = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
        for command, with_ in (("qmp_capabilities", {}), (sys.argv[2], arguments)):
            f.write(json.dumps({"execute": command, "arguments": with_}) + "\n")
            f.flush()
            answer = {}
            while "return" not in answer and "error" not in answer:
                answer = json.loads(f.readline())
        print(json.dumps(answer.get("return", answer)))
        return "error" in answer


sys.exit(main())
