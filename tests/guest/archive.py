# SPDX-License-Identifier: GPL-2.0-or-later
"""An initramfs: files in cpio's newc format, as the kernel wants them."""

import os
import re
import stat
import subprocess
from pathlib import Path


class Archive:
    """Folders above what is added come by themselves."""

    def __init__(self, path):
        self.out = open(path, "wb")
        self.names = set()
        self.number = 0

    def _entry(self, name, mode, data=b""):
        self.number += 1
        raw = name.encode() + b"\0"
        fields = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + raw
        self.out.write(head + b"\0" * (-len(head) % 4))
        self.out.write(data + b"\0" * (-len(data) % 4))

    def folder(self, name):
        name = name.strip("/")
        if name and name not in self.names:
            self.folder(os.path.dirname(name))
            self.names.add(name)
            self._entry(name, stat.S_IFDIR | 0o755)

    def data(self, name, content, mode=0o644):
        name = name.strip("/")
        if name not in self.names:
            self.folder(os.path.dirname(name))
            self.names.add(name)
            self._entry(name, stat.S_IFREG | mode, content)

    def file(self, path, name=None):
        """This machine's file @path, at its own place or at @name."""
        path = Path(path)
        self.data(name or str(path), path.read_bytes(),
                  stat.S_IMODE(path.stat().st_mode))

    def program(self, path, name=None):
        """The same with the shared libraries that it needs."""
        self.file(path, name)
        libraries = subprocess.run(["ldd", str(path)], capture_output=True,
                                   text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", libraries):
            self.file(library)

    def close(self):
        self._entry("TRAILER!!!", 0)
        self.out.close()
