#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""net-hub.py DIR: an Ethernet segment between lab hosts.

Each host is a QEMU "-netdev stream" that connects to DIR/sock; a frame is a
4-byte length in network order and that many bytes.  What one host sends, all
others get.  Frames for a host that does not read are dropped once 1 MiB waits
for it, as a switch does.  Each host that connects is a line on stdout.  The
hub ends when nobody has been connected for 60 seconds: a host that reboots
finds it again.
"""

import fcntl
import os
import selectors
import socket
import struct
import sys

IDLE_SECONDS = 60
MAX_FRAME = 65536 + 64
MAX_QUEUE = 1 << 20


class Port:
    """One host: what came from it so far, what waits to go to it."""

    def __init__(self, conn):
        self.conn = conn
        self.inbox = bytearray()
        self.outbox = bytearray()

    def frames(self):
        """Takes whole frames, with their length, out of the inbox."""
        while len(self.inbox) >= 4:
            size = 4 + struct.unpack_from('!I', self.inbox)[0]
            if size > MAX_FRAME:
                raise ConnectionError('frame too long')
            if len(self.inbox) < size:
                return
            yield bytes(self.inbox[:size])
            del self.inbox[:size]


class Hub:
    def __init__(self, path):
        self.ports = set()
        self.selector = selectors.DefaultSelector()
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen(16)
        self.server.setblocking(False)
        self.selector.register(self.server, selectors.EVENT_READ)

    def watch(self, port):
        events = selectors.EVENT_READ
        if port.outbox:
            events |= selectors.EVENT_WRITE
        self.selector.modify(port.conn, events, port)

    def accept(self):
        conn, _ = self.server.accept()
        conn.setblocking(False)
        port = Port(conn)
        self.ports.add(port)
        self.selector.register(conn, selectors.EVENT_READ, port)
        print('a host', flush=True)

    def drop(self, port):
        self.selector.unregister(port.conn)
        self.ports.discard(port)
        port.conn.close()

    def forward(self, source, frame):
        for port in self.ports:
            if port is not source and len(port.outbox) < MAX_QUEUE:
                port.outbox += frame
                self.watch(port)

    def serve(self, port, events):
        try:
            if events & selectors.EVENT_READ:
                data = port.conn.recv(1 << 18)
                if not data:
                    raise ConnectionError('gone')
                port.inbox += data
                for frame in port.frames():
                    self.forward(port, frame)
            if events & selectors.EVENT_WRITE:
                del port.outbox[:port.conn.send(port.outbox)]
                self.watch(port)
        except BlockingIOError:
            pass
        except OSError:
            self.drop(port)

    def turn(self):
        """Serves what is ready; False when nobody came for a long time."""
        ready = self.selector.select(None if self.ports else IDLE_SECONDS)
        for key, events in ready:
            if key.data is None:
                self.accept()
            elif key.data in self.ports:
                self.serve(key.data, events)
        return bool(ready)


def main():
    folder = sys.argv[1]
    path = os.path.join(folder, 'sock')
    hub = Hub(path)
    # Whoever starts a host holds this lock until the host is connected.
    with open(os.path.join(folder, 'lock'), 'w', encoding='ascii') as lock:
        while True:
            if hub.turn():
                continue
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not hub.selector.select(0):
                os.unlink(path)
                return
            fcntl.flock(lock, fcntl.LOCK_UN)


if __name__ == '__main__':
    main()
