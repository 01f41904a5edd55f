# SPDX-License-Identifier: GPL-2.0-or-later
"""The file that tests/faults/faults.so and faults.py share: at which places a
program calls what, and which of these calls shall fail."""

import dataclasses
import errno
import mmap
import struct
import subprocess

import harness

# As in tests/faults/sites.h.
FRAMES, MAX, MODULES, CALLS, CLASSES, VICTIMS = 4, 16384, 64, 192, 4, 64
HEADER = struct.Struct(f"<II{VICTIMS}iQ")
CALL = struct.Struct(f"<56s{CLASSES}h")
SITE = struct.Struct(f"<QHBBIII{FRAMES}QQ")
WORDS = {1001: "SHORT", 1002: "END", 1003: "DEATH"}


@dataclasses.dataclass(frozen=True)
class Fault:
    """One class of failure at one place of one program."""
    program: str
    key: int
    call: str
    number: int                 # of the call, as the library counts
    frames: tuple               # module << 48 | offset
    kind: int                   # number of the class, from 0
    word: str

    def place(self):
        return self.program, self.key

    def __str__(self):
        at = " < ".join(map(self.where, self.frames))
        return f"{self.program}: {self.call} {self.word} at {at}"

    def function(self):
        """That which calls."""
        return self.where(self.frames[0]).split(" ")[0]

    def where(self, frame):
        """Function and line, where that is our program's."""
        if frame >> 48:
            return "a library"
        done = subprocess.run(
            ["addr2line", "-sfe", harness.BUILD / self.program,
             hex(frame - 1)], capture_output=True, text=True)
        return done.stdout.replace("\n", " ").strip() or hex(frame)


class Sites:
    """The file that a program under the library shares with us."""

    def __init__(self, folder, program):
        self.program = program
        self.first = HEADER.size + MODULES * 64 + CALLS * CALL.size
        self.size = self.first + MAX * SITE.size
        path = folder / f"faults.{program}"
        path.write_bytes(bytes(self.size))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), self.size)

    def plan(self, faults):
        """Forget what was, and let @faults come to pass."""
        self.map[:] = bytes(self.size)
        for f in faults:
            n = f.key % MAX
            while SITE.unpack_from(self.map, self.first + n * SITE.size)[0]:
                n = (n + 1) % MAX
            frames = [*f.frames, *[0] * (FRAMES - len(f.frames))]
            SITE.pack_into(self.map, self.first + n * SITE.size, f.key,
                           f.number, len(f.frames), f.kind + 1, 0, 0, 0,
                           *frames, 0)

    def calls(self):
        for n in range(CALLS):
            name, *kinds = CALL.unpack_from(
                self.map, HEADER.size + MODULES * 64 + n * CALL.size)
            yield name.split(b"\0")[0].decode(), [k for k in kinds if k]

    def slots(self):
        for at in range(self.first, self.size, SITE.size):
            if self.map[at:at + 8] != bytes(8):
                yield SITE.unpack_from(self.map, at)

    def seen(self):
        """Every failure that is possible at the places that were met."""
        calls = list(self.calls())
        for key, number, n_frames, _, n_calls, _, _, *frames in self.slots():
            if n_calls:
                name, kinds = calls[number]
                for kind, error in enumerate(kinds):
                    yield Fault(self.program, key, name, number,
                                tuple(frames[:n_frames]), kind,
                                WORDS.get(error) or errno.errorcode.get(
                                    error, str(error)))

    def fired(self):
        """{key: the how manieth it was}"""
        return {slot[0]: slot[6] for slot in self.slots() if slot[5]}

    def victims(self):
        fields = HEADER.unpack_from(self.map, 0)
        return fields[2:2 + min(fields[0], VICTIMS)]
