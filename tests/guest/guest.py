#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Small virtual machines: Debian's own kernel and real files under qemu.

Their root is an initramfs of busybox, some tens of MiB of this machine's
libraries and a program that loads them (load.c). Emulated (TCG), so that they
run where there is no KVM; qemu registers the guests' memory with KSM itself
(mem-merge is on by default).

As a program: boots one guest and prints its console until Ctrl-C.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import kernels
from archive import Archive
from kernels import CACHE, Unavailable

HERE = Path(__file__).resolve().parent
LIBRARIES = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu"
FILES_BYTES = 48 << 20
MEMORY_MIB = 512

INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
exec /load /files >/dev/console 2>&1
"""


def missing():
    """None, or why this machine can run no guest."""
    if os.uname().machine != "x86_64":
        return "guests are only made on x86-64"
    for program in ("qemu-system-x86_64", "busybox", "cc"):
        if not shutil.which(program):
            return f"{program} is not installed"
    with open(shutil.which("busybox"), "rb") as f:
        if b"/ld-linux" in f.read(4096):
            return "busybox is not the static one (busybox-static)"
    return None


def kernel():
    """The path of Debian's kernel, downloaded once."""
    return kernels.get().image


def _libraries():
    """The largest libraries that together stay within FILES_BYTES."""
    files = sorted((p for p in LIBRARIES.iterdir()
                    if p.is_file() and not p.is_symlink()),
                   key=lambda p: (-p.stat().st_size, p.name))
    left = FILES_BYTES
    for path in files:
        if path.stat().st_size <= left:
            left -= path.stat().st_size
            yield path


def initramfs():
    """The path of the guests' root, made once."""
    path = CACHE / "initramfs.cpio"
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        load, made = Path(folder, "load"), Path(folder, "cpio")
        subprocess.run(["cc", "-O2", "-Wall", "-D_GNU_SOURCE", "-static",
                        "-o", load, HERE / "load.c"], check=True)
        root = Archive(made)
        for name in ("dev", "proc"):
            root.folder(name)
        root.file(shutil.which("busybox"), "bin/busybox")
        root.file(load, "load")
        for library in _libraries():
            root.file(library, f"files/{library.name}")
        root.data("init", INIT.encode(), 0o755)
        root.close()
        made.rename(path)
    return path


class Guest:
    """One running guest. Its process has the name @name (15 characters)."""

    def __init__(self, name):
        self.name = name
        self.folder = tempfile.TemporaryDirectory(prefix="ksmd-plus-guest.")
        self.console = Path(self.folder.name, "console")
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64",
             "-name", f"{name},process={name}",
             "-nodefaults", "-no-user-config", "-display", "none",
             "-accel", "tcg,thread=single,tb-size=32",
             "-m", str(MEMORY_MIB), "-no-reboot",
             "-serial", f"file:{self.console}",
             "-kernel", kernel(), "-initrd", initramfs(),
             "-append", "console=ttyS0 quiet panic=-1 mitigations=off"],
            stdin=subprocess.DEVNULL, start_new_session=True)

    def text(self):
        try:
            return self.console.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def ready(self):
        """True once it has loaded its files. Unavailable if it died."""
        if "guest ready" in self.text():
            return True
        if self.process.poll() is not None:
            raise Unavailable(f"guest {self.name} ended: {self.text()[-200:]}")
        return False

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def main():
    why = missing()
    if why:
        sys.exit(why)
    started = time.monotonic()
    guest = Guest("ksmd-plus-guest")
    shown = 0
    try:
        while True:
            text = guest.text()
            sys.stdout.write(text[shown:])
            sys.stdout.flush()
            shown = len(text)
            if guest.ready() and started:
                print(f"after {time.monotonic() - started:.1f} s")
                started = None
            time.sleep(0.2)
    except KeyboardInterrupt:
        return 0
    finally:
        guest.stop()


if __name__ == "__main__":
    sys.exit(main())
