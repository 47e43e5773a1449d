#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""guest.py BIOS [MEMORY BYTES]: what a guest is made of.

BIOS: it counts the clock's ticks at 0x500, and else sleeps: emulated on an
emulated host, it would leave nothing for others. It wants a machine "pc" without
an APIC. MEMORY: BYTES full of what only this guest knows.
"""

import os
import sys

START = bytes.fromhex(
    'c70620000002'  # mov word [0x20], 0x200: interrupt 8 is at
    'c706220000f0'  # mov word [0x22], 0xf000: f000:0200
    'b011e620b008e621b004e621b001e621b0fee621'  # the first PIC: from 8 on, all but the clock masked
    'b034e643b000e640e640'  # the clock: 18 times a second
    'fb'  # sti
    'f4ff060005ebf9')  # hlt; inc word [0x500]; again
TICK = bytes.fromhex('50b020e62058cf')  # push ax; mov al, 0x20; out 0x20, al; pop ax; iret
RESET = bytes.fromhex('ea000100f0')  # jmp f000:0100
PAGE = 4096
WORDS = b'what-only-the-guest-knows-%06d'


def main():
    rom = bytearray(1 << 16)
    for at, code in ((0x100, START), (0x200, TICK), (0xfff0, RESET)):
        rom[at:at + len(code)] = code
    with open(sys.argv[1], 'wb') as f:
        f.write(rom)
    if len(sys.argv) > 2:
        with open(sys.argv[2], 'wb') as f:
            for i in range(int(sys.argv[3]) // PAGE):
                words = WORDS % i
                f.write(words + os.urandom(PAGE - len(words)))


main()
