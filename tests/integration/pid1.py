# SPDX-License-Identifier: GPL-2.0-or-later
"""As much of systemd as doctor asks: its version, and the state of units.

Speaks D-Bus on a socket of its own, as PID 1 does on /run/systemd/private.
"""

import os
import socket
import struct
import threading

GUID = b"0" * 32
UNIT = ("name", "what it is", "loaded", "active", "running", "", "/path", 0,
        "", "/")


def padded(data, to):
    return data + bytes(-len(data) % to)


def string(text):
    data = text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def strings(values):
    """A struct of strings and numbers that are aligned to 4."""
    data = b""
    for value in values:
        data = padded(data, 4)
        data += (string(value) if isinstance(value, str)
                 else struct.pack("<I", value))
    return data


def units_body(units):
    data = b""
    for name, active in units.items():
        row = (name, *UNIT[1:3], active, *UNIT[4:])
        data = padded(data, 8) + strings(row)
    return struct.pack("<II", len(data), 0) + data


def reply(serial, signature, body):
    fields = padded(struct.pack("<B3sI", 5, b"\1u\0", serial), 8)
    fields += struct.pack("<B3sB", 8, b"\1g\0", len(signature))
    fields += signature + b"\0"
    head = struct.pack("<cBBBIII", b"l", 2, 1, 1, len(body), serial + 1,
                       len(fields))
    return padded(head + fields, 8) + body


class Pid1:
    """@units: name -> "active" or "inactive"."""

    def __init__(self, path, version, units):
        self.version, self.units = version, units
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(5)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(30)
                try:
                    self.talk(peer)
                except (OSError, EOFError):
                    pass

    def authenticate(self, peer):
        """What was sent behind BEGIN already."""
        data = b""
        while True:
            while b"\r\n" not in data:
                data += self.more(peer)
            line, data = data.lstrip(b"\0").split(b"\r\n", 1)
            word = line.split(b" ")[0]
            if line == b"AUTH EXTERNAL":
                peer.sendall(b"DATA\r\n")
            elif word in (b"AUTH", b"DATA"):
                peer.sendall(b"OK " + GUID + b"\r\n")
            elif word == b"NEGOTIATE_UNIX_FD":
                peer.sendall(b"AGREE_UNIX_FD\r\n")
            elif word == b"BEGIN":
                return data

    @staticmethod
    def more(peer):
        data = peer.recv(65536)
        if not data:
            raise EOFError
        return data

    def talk(self, peer):
        data = self.authenticate(peer)
        while True:
            while len(data) < 16:
                data += self.more(peer)
            body, serial, fields = struct.unpack("<III", data[4:16])
            size = 16 + fields + -fields % 8 + body
            while len(data) < size:
                data += self.more(peer)
            call, data = data[:size], data[size:]
            if b"ListUnitsByNames" in call:
                answer = (b"a(ssssssouso)", units_body(self.units))
            else:
                answer = (b"v", padded(b"\1s\0", 4) + string(self.version))
            peer.sendall(reply(serial, *answer))

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(10)


def beside(path):
    """Shell commands that put the socket where PID 1's is."""
    return ("mount -t tmpfs none /run", "mkdir /run/systemd",
            f"ln -s {os.fspath(path)} /run/systemd/private")
