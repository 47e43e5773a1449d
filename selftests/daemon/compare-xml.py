#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""compare-xml.py SPEC SEEN INTERFACE: are the interface in the specification and
in what an object tells of itself the same: methods, signals, properties, types,
directions, names of arguments, annotations? Prints what differs."""

import sys
import xml.etree.ElementTree as ET


def arguments(member, direction):
    return [(a.get("name"), a.get("type"), a.get("direction", direction))
            for a in member.findall("arg")]


def annotations(member):
    return sorted((a.get("name"), a.get("value")) for a in member.findall("annotation"))


def members(path, name):
    found = {}
    for interface in ET.parse(path).getroot().iter("interface"):
        if interface.get("name") != name:
            continue
        for m in interface:
            if m.tag == "annotation":
                continue
            found[(m.tag, m.get("name"))] = (
                arguments(m, "in" if m.tag == "method" else None),
                m.get("type"), m.get("access"), annotations(m))
    return found


def main():
    spec = members(sys.argv[1], sys.argv[3])
    seen = members(sys.argv[2], sys.argv[3])
    bad = not spec
    for key in sorted(set(spec) | set(seen)):
        if spec.get(key) != seen.get(key):
            print("# %s %s: specified %s, seen %s" % (*key, spec.get(key), seen.get(key)))
            bad = True
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
