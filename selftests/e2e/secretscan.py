#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Look for secret bytes where they must not be.

The needles are read from stdin, one a line as "NAME HEX", so that they stand in
no argument vector and no file. What is looked through is named by options; the
process itself is left out. Each find is one line, "NAME in WHERE"; the exit
status is 0 when nothing was found, 1 when something was, 2 when a place could
not be read.

A needle is looked for as raw bytes and as hex (lower and upper case) and base64
text, by each half: an XTS key is two keys, and half of it is a find.
"""
import argparse
import array
import base64
import itertools
import os
import stat
import sys

CHUNK = 1 << 16
EMPTY = bytes(CHUNK)  # as most of a core is
PAGE = os.sysconf("SC_PAGE_SIZE")
THERE = 3 << 62  # pagemap: in memory, or swapped out


def forms(name, raw):
    """Every way the bytes could be written down."""
    half = len(raw) // 2
    for part, b in ((" (first half)", raw[:half]), (" (second half)", raw[half:])):
        yield name + part, b
        yield name + part + " as hex", b.hex().encode()
        yield name + part + " as HEX", b.hex().upper().encode()
    # of base64 only what does not depend on the neighbours' bits
    text = base64.b64encode(raw)
    yield name + " as base64", text[:len(text) - 4]


def written(pid, start, end):
    """Where an anonymous mapping has pages: of the others there may be many more."""
    with open(f"/proc/{pid}/pagemap", "rb") as f:
        f.seek(start // PAGE * 8)
        pages = array.array("Q", f.read((end - start) // PAGE * 8))
    at = start
    for there, run in itertools.groupby(pages, lambda page: bool(page & THERE)):
        first, at = at, at + PAGE * sum(1 for _ in run)
        if there:
            yield first, at


class Scanner:
    def __init__(self, needles):
        self.needles = needles
        self.keep = max(len(b) for _, b in needles) - 1
        self.finds = set()
        self.errors = []
        self.seen = 0

    def stream(self, where, read):
        tail = b""
        while True:
            block = read(CHUNK)
            if not block:
                return
            self.seen += len(block)
            if block == EMPTY:
                block = block[:self.keep]
            data = tail + block
            for name, needle in self.needles:
                if needle in data:
                    self.finds.add((name, where))
            tail = data[-self.keep:]

    def file(self, path):
        try:
            with open(path, "rb", buffering=0) as f:
                self.stream(path, f.read)
        except FileNotFoundError:
            pass
        except OSError as e:
            self.errors.append(f"{path}: {e.strerror}")

    def tree(self, root):
        if not os.path.isdir(root):
            if os.path.exists(root):
                self.file(root)
            else:
                self.errors.append(f"{root}: not there")
            return
        for folder, _, names in os.walk(root, onerror=lambda e: self.errors.append(str(e))):
            for n in names:
                path = os.path.join(folder, n)
                try:
                    mode = os.lstat(path).st_mode
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(mode):
                    self.file(path)

    def process(self, pid):
        """Every readable mapping of one process; [vvar] and the like cannot be read."""
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as f:
                where = f"process {pid} ({f.read().strip()})"
            with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as f:
                maps = [line.split() for line in f]
            mem = open(f"/proc/{pid}/mem", "rb", buffering=0)
        except (FileNotFoundError, ProcessLookupError):
            return
        except OSError as e:
            self.errors.append(f"process {pid}: {e.strerror}")
            return
        with mem:
            for m in maps:
                if not m[1].startswith("r") or (len(m) > 5 and m[5] in ("[vvar]", "[vsyscall]")):
                    continue
                # text and data that come unchanged from a file are the file scan's matter
                if "w" not in m[1] and len(m) > 5 and m[5].startswith("/"):
                    continue
                start, end = (int(x, 16) for x in m[0].split("-"))
                anonymous = m[1].endswith("p") and (len(m) <= 5 or m[5].startswith("["))
                for first, last in written(pid, start, end) if anonymous else ((start, end),):
                    self.region(where, mem, first, last)

    def region(self, where, mem, start, end):
        pos = start

        def read(n):
            nonlocal pos
            n = min(n, end - pos)
            if n <= 0:
                return b""
            try:
                mem.seek(pos)
                b = mem.read(n)
            except OSError:
                return b""
            pos += len(b)
            return b

        self.stream(f"{where} at {start:#x}", read)

    def processes(self, skip):
        for pid in sorted(int(d) for d in os.listdir("/proc") if d.isdigit()):
            if pid not in skip:
                self.process(pid)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--processes", action="store_true", help="the memory of every process but this one")
    ap.add_argument("--skip-pid", type=int, action="append", default=[])
    ap.add_argument("--pid", type=int, action="append", default=[], help="the memory of one process")
    ap.add_argument("path", nargs="*", help="files and folders")
    args = ap.parse_args()

    needles = []
    count = 0
    for count, line in enumerate(sys.stdin, 1):
        name, _, hexa = line.strip().rpartition(" ")
        raw = bytes.fromhex(hexa)
        if len(raw) < 16:
            ap.error(f"{name}: {len(raw)} bytes are too few to look for")
        needles += forms(name, raw)
    if not needles:
        ap.error("no needles on stdin")

    s = Scanner(needles)
    for pid in args.pid:
        s.process(pid)
    if args.processes:
        s.processes({os.getpid(), *args.skip_pid})
    for path in args.path:
        s.tree(path)
    for name, where in sorted(s.finds):
        print(f"{name} in {where}")
    for e in s.errors:
        print(f"cannot look: {e}", file=sys.stderr)
    print(f"looked through {s.seen >> 20} MiB for {count} secrets", file=sys.stderr)
    return 1 if s.finds else 2 if s.errors else 0


if __name__ == "__main__":
    sys.exit(main())
