#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""qmp.py SOCKET COMMAND [ARGUMENTS [COMMAND ARGUMENTS...]]: ask a QEMU, print what it returns."""

import json
import socket
import sys


def ask(f, command, arguments):
    f.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    f.flush()
    answer = {}
    while "return" not in answer and "error" not in answer:
        answer = json.loads(f.readline())
    return answer


def main():
    words = sys.argv[2:]
    if len(words) % 2:
        words.append("{}")
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(sys.argv[1])
        f = s.makefile("rw")
        f.readline()
        ask(f, "qmp_capabilities", {})
        for command, arguments in zip(words[::2], words[1::2]):
            answer = ask(f, command, json.loads(arguments))
            print(json.dumps(answer.get("return", answer)))
            if "error" in answer:
                return 1
    return 0


sys.exit(main())
