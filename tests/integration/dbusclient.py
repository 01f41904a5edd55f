# SPDX-License-Identifier: GPL-2.0-or-later
"""A D-Bus client of a page, so that tests need no library and may misbehave.

	bus = Connection("/run/dbus/system_bus_socket")
	bus.call("org.ksmdplus1", "/org/ksmdplus1",
	         "org.freedesktop.DBus.Properties", "GetAll", "s",
	         "org.ksmdplus1.Manager")

Speaks to a bus daemon, or peer to peer where there is none.
"""

import os
import socket
import struct
import time

SIZES = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I",
         "x": "q", "t": "Q", "d": "d"}
ALIGN = {"y": 1, "n": 2, "q": 2, "b": 4, "i": 4, "u": 4, "s": 4, "o": 4,
         "a": 4, "g": 1, "v": 1, "x": 8, "t": 8, "d": 8, "(": 8, "{": 8}
CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
FIELDS = {1: "path", 2: "interface", 3: "member", 4: "error", 5: "reply_to",
          6: "destination", 7: "sender", 8: "signature"}
ALLOW_INTERACTIVE = 4


class Refused(Exception):
    """An error was the answer; name is that of D-Bus."""

    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name = name


class Gone(Exception):
    """The other side has closed the connection."""


def split(signature):
    """The complete types that a signature is made of."""
    types, at = [], 0
    while at < len(signature):
        end = end_of(signature, at)
        types.append(signature[at:end])
        at = end
    return types


def end_of(signature, at):
    if signature[at] == "a":
        return end_of(signature, at + 1)
    if signature[at] in "({":
        depth = 0
        while True:
            depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(signature[at], 0)
            at += 1
            if not depth:
                return at
    return at + 1


def pad(data, size):
    return data + bytes(-len(data) % size)


def write(data, kind, value):
    """@data with @value, of one complete type, behind it."""
    data = pad(data, ALIGN[kind[0]])
    if kind in SIZES:
        return data + struct.pack("<" + SIZES[kind], value)
    if kind in "so":
        text = value.encode()
        return data + struct.pack("<I", len(text)) + text + b"\0"
    if kind == "g":
        return data + bytes([len(value)]) + value.encode() + b"\0"
    if kind == "v":
        return write(write(data, "g", value[0]), *value)
    if kind[0] == "a":
        start = pad(data + bytes(4), ALIGN[kind[1]])
        body = start + value if kind == "ay" else start
        for item in ([] if kind == "ay" else
                     value.items() if kind[1] == "{" else value):
            body = write(body, kind[1:], item)
        return (data + struct.pack("<I", len(body) - len(start))
                + body[len(data) + 4:])
    for part, item in zip(split(kind[1:-1]), value):
        data = write(data, part, item)
    return data


def read(data, at, kind):
    """(value, where it ends) of one complete type at @at."""
    at += -at % ALIGN[kind[0]]
    if kind in SIZES:
        form = "<" + SIZES[kind]
        return (struct.unpack_from(form, data, at)[0],
                at + struct.calcsize(form))
    if kind in "so":
        n = struct.unpack_from("<I", data, at)[0]
        return data[at + 4:at + 4 + n].decode(), at + 5 + n
    if kind == "g":
        n = data[at]
        return data[at + 1:at + 1 + n].decode(), at + 2 + n
    if kind == "v":
        signature, at = read(data, at, "g")
        return read(data, at, signature)
    if kind[0] == "a":
        n = struct.unpack_from("<I", data, at)[0]
        at += 4 + -(at + 4) % ALIGN[kind[1]]
        end, items = at + n, []
        while at < end:
            item, at = read(data, at, kind[1:])
            items.append(item)
        return (dict(items) if kind[1] == "{" else items), end
    items = []
    for part in split(kind[1:-1]):
        item, at = read(data, at, part)
        items.append(item)
    return tuple(items), at


class Connection:
    """One client. serve() answers what is called on it, for stand-ins."""

    def __init__(self, path, hello=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.serial = 0
        self.signals = []
        self.handler = None
        uid = str(os.geteuid()).encode().hex()
        self.socket.sendall(f"\0AUTH EXTERNAL {uid}\r\n".encode())
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.receive(1)
        if not line.startswith(b"OK "):
            raise Gone(line.decode().strip())
        # in one piece: nobody may wait for more before he answers
        begun = self.message(CALL, {
            "destination": "org.freedesktop.DBus", "member": "Hello",
            "path": "/org/freedesktop/DBus",
            "interface": "org.freedesktop.DBus"}) if hello else b""
        self.socket.sendall(b"BEGIN\r\n" + begun)
        self.name = self.finish(self.serial) if hello else None

    def receive(self, n):
        data = b""
        while len(data) < n:
            try:
                more = self.socket.recv(n - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                raise Gone("closed by the other side")
            data += more
        return data

    def message(self, kind, fields, signature="", args=(), flags=0):
        """The bytes of a message; its serial is self.serial."""
        body = b""
        for part, arg in zip(split(signature), args):
            body = write(body, part, arg)
        self.serial += 1
        named = {v: k for k, v in FIELDS.items()}
        kinds = {"path": "o", "reply_to": "u", "signature": "g"}
        if signature:
            fields = {**fields, "signature": signature}
        head = struct.pack("<cBBBII", b"l", kind, flags, 1, len(body),
                           self.serial)
        head = write(head, "a(yv)", [
            (named[name], (kinds.get(name, "s"), value))
            for name, value in fields.items() if value])
        return pad(head, 8) + body

    def send(self, *args, **kwargs):
        self.socket.sendall(self.message(*args, **kwargs))
        return self.serial

    def next(self, seconds=60):
        """The next message, as a dictionary; None when the time is over."""
        self.socket.settimeout(seconds)
        try:
            head = self.receive(16)
        except TimeoutError:
            return None
        self.socket.settimeout(60)
        n_fields = struct.unpack_from("<I", head, 12)[0]
        rest = self.receive(n_fields + -n_fields % 8)
        fields, _ = read(head + rest, 12, "a(yv)")
        message = {FIELDS.get(k, k): v for k, v in fields}
        body = self.receive(struct.unpack_from("<I", head, 4)[0])
        at, message["args"] = 0, []
        for part in split(message.get("signature", "")):
            value, at = read(body, at, part)
            message["args"].append(value)
        message["type"] = head[1]
        message["serial"] = struct.unpack_from("<I", head, 8)[0]
        return message

    def begin(self, destination, path, interface, member, signature="",
              *args, flags=0):
        """Call and do not wait; the serial of the call."""
        return self.send(CALL, {"destination": destination, "path": path,
                                "interface": interface, "member": member},
                         signature, args, flags)

    def call(self, *what, seconds=60, **kwargs):
        """The answer: None, one value or a list; Refused."""
        return self.finish(self.begin(*what, **kwargs), seconds)

    def finish(self, serial, seconds=60):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            message = self.next(left)
            if not message:
                break
            if message["type"] == SIGNAL:
                self.signals.append(message)
            elif message.get("reply_to") == serial:
                args = message["args"]
                if message["type"] == ERROR:
                    raise Refused(message["error"], args[0] if args else "")
                return args[0] if len(args) == 1 else args or None
        raise TimeoutError(f"no answer for {seconds} s")

    def driver(self, member, signature="", *args):
        """Call the bus daemon."""
        return self.call("org.freedesktop.DBus", "/org/freedesktop/DBus",
                         "org.freedesktop.DBus", member, signature, *args)

    def signal(self, member, seconds=60, match=lambda args: True):
        """Wait for a signal of that name; its arguments, or None."""
        deadline = time.monotonic() + seconds
        while True:
            while self.signals:
                found = self.signals.pop(0)
                if found["member"] == member and match(found["args"]):
                    return found["args"]
            left = deadline - time.monotonic()
            message = self.next(left) if left > 0 else None
            if not message:
                return None
            if message["type"] == SIGNAL:
                self.signals.append(message)

    def close(self):
        self.socket.close()
