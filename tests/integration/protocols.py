# SPDX-License-Identifier: GPL-2.0-or-later
"""What databases speak, as far as the clients of programs.py need it:
PostgreSQL's protocol, version 3, and that of Redis."""

import collections
import itertools
import socket
import struct
import time

from harness import Failed, check

PATIENCE_SECONDS = 120          # longer is no answer at all


def unix(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE_SECONDS)
    s.connect(str(path))
    return s


class Postgres:
    """One connection."""

    def __init__(self, path, user):
        self.socket = unix(path)
        self.numbers = itertools.count(time.monotonic_ns() // 1000)
        words = b"user\0%s\0database\0postgres\0\0" % user.encode()
        self.socket.sendall(struct.pack("!II", 8 + len(words), 196608) + words)
        try:
            self.until_ready()
        except Failed as e:             # it is still starting
            self.close()
            raise ConnectionError(str(e)) from None

    def close(self):
        self.socket.close()

    def exactly(self, n):
        data = bytearray()
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            check(more, "PostgreSQL hung up")
            data += more
        return bytes(data)

    def until_ready(self):
        """The rows that came, each a list of byte strings."""
        rows = []
        while True:
            kind, length = struct.unpack("!cI", self.exactly(5))
            body = self.exactly(length - 4)
            if kind == b"E":
                raise Failed(f"PostgreSQL: {body!r}")
            if kind == b"Z":
                return rows
            if kind == b"D":
                row, at = [], 2
                for _ in range(struct.unpack("!H", body[:2])[0]):
                    size = struct.unpack("!i", body[at:at + 4])[0]
                    row.append(body[at + 4:at + 4 + size])
                    at += 4 + size
                rows.append(row)

    def query(self, text):
        data = text.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!I", 4 + len(data)) + data)
        return self.until_ready()


class Redis:
    """One connection, with ten million numbers of its own."""

    first = itertools.count(0, 10 ** 7)

    def __init__(self, path):
        self.socket = unix(path)
        self.file = self.socket.makefile("rb")
        self.numbers = itertools.count(next(self.first))
        self.held = collections.deque()

    def close(self):
        self.file.close()
        self.socket.close()

    def command(self, *words):
        data = b"*%d\r\n" % len(words)
        for word in words:
            data += b"$%d\r\n%s\r\n" % (len(word), word)
        self.socket.sendall(data)
        line = self.file.readline().rstrip(b"\r\n")
        check(line and line[:1] != b"-", f"Redis: {line}")
        if line[:1] != b"$":
            return line[1:]
        length = int(line[1:])
        if length < 0:
            return None                 # there is no such key
        value = self.file.read(length + 2)[:-2]
        check(len(value) == length, "Redis hung up")
        return value
