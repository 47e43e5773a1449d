#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""wire.py MODE HOST: a wire to the data port of HOST that does something bad.

Listens at 127.0.0.9, and passes on what comes, to HOST and back. In the eighth
record of data that goes there, of all connections together, it does what MODE
says: "flips" a bit, "drops" some bytes or the whole "record", "replays" the record, "cuts" the
connection; or "holds" it, and with it the migration, until SIGUSR1: then it "goes" on.
What it did is a line on stdout.
"""

import os
import select
import signal
import socket
import struct
import sys
import threading

PORT = 5699
PRELUDE = 24
HEADER = 12
TAG = 16
VICTIM = 8
BIG = 4096  # smaller ones are a hypervisor's small talk
BULK = 30000  # larger than what libvirtds tell each other


class Wire:
    def __init__(self, mode, host):
        self.mode = mode
        self.host = host
        self.big = BULK if mode == 'holds' else BIG
        self.records = 0
        self.lock = threading.Lock()
        self.released = threading.Event()
        signal.signal(signal.SIGUSR1, lambda *_: self.released.set())

    def is_victim(self, size):
        with self.lock:
            self.records += size >= self.big
            return size >= self.big and self.records == VICTIM

    def hold(self, here, ahead):
        """A sender that could send nothing for half a minute would give up: take a little, now and then."""
        while not self.released.wait(5):
            ahead += here.recv(1 << 18, socket.MSG_DONTWAIT) if select.select([here], [], [], 0)[0] else b''

    def pass_record(self, here, there, record, ahead):
        if not self.is_victim(len(record)):
            there.sendall(record)
            return
        print(self.mode, len(record), flush=True)
        if self.mode == 'flips':
            middle = len(record) // 2
            there.sendall(record[:middle] + bytes([record[middle] ^ 0x10]) + record[middle + 1:])
        elif self.mode == 'drops':
            there.sendall(record[:1000] + record[1100:])
        elif self.mode == 'replays':
            there.sendall(record + record)
        elif self.mode == 'holds':
            self.hold(here, ahead)
            there.sendall(record)
            print('goes', flush=True)
        elif self.mode == 'cuts':
            there.sendall(record[:len(record) // 2])
            raise ConnectionError
        elif self.mode != 'record':
            os._exit(2)

    def forward(self, here, there):
        ahead = bytearray()
        try:
            there.sendall(self.read(here, PRELUDE, ahead))
            while True:
                header = self.read(here, HEADER, ahead)
                length = struct.unpack('!I', header[8:])[0]
                self.pass_record(here, there, header + self.read(here, length + TAG, ahead), ahead)
        except EOFError:
            self.end(socket.SHUT_WR, there)
        except OSError:
            self.end(socket.SHUT_RDWR, there, here)

    def backward(self, there, here):
        try:
            while data := there.recv(1 << 16):
                here.sendall(data)
            self.end(socket.SHUT_WR, here)
        except OSError:
            self.end(socket.SHUT_RDWR, here, there)

    @staticmethod
    def read(conn, size, ahead):
        data = bytes(ahead[:size])
        del ahead[:size]
        while len(data) < size:
            more = conn.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    @staticmethod
    def end(how, *conns):
        for conn in conns:
            try:
                conn.shutdown(how)
            except OSError:
                pass

    def serve(self):
        with socket.create_server(('127.0.0.9', PORT)) as server:
            print('wire', flush=True)
            while True:
                here, _ = server.accept()
                there = socket.create_connection((self.host, PORT), 10)
                there.settimeout(None)
                for target, args in ((self.forward, (here, there)), (self.backward, (there, here))):
                    threading.Thread(target=target, args=args, daemon=True).start()


Wire(sys.argv[1], sys.argv[2]).serve()
