#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""writer.py write|check DEVICE BLOCKS [PROGRESS]: a guest's I/O, without a guest.

write puts numbered blocks on the device, past the page cache, and says in PROGRESS
how many are on it; check reads them back.
"""
import mmap
import os
import sys

SIZE = 4096
verb, device, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
flags = os.O_RDWR if verb == "write" else os.O_RDONLY
fd = os.open(device, flags | os.O_DIRECT)
block = mmap.mmap(-1, SIZE)
if verb == "write":
    progress = os.open(sys.argv[4], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
for i in range(count):
    want = (b"%08d" % i) * (SIZE // 8)
    if verb == "write":
        block[:] = want
        if os.pwritev(fd, [block], i * SIZE) != SIZE:
            sys.exit(f"block {i} was not written")
        os.pwrite(progress, b"%08d" % (i + 1), 0)
    else:
        if os.preadv(fd, [block], i * SIZE) != SIZE or block[:] != want:
            sys.exit(f"block {i} is not what was written")
print(f"{count} blocks")
