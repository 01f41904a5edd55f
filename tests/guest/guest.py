#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Small virtual machines: Debian's own kernel and real files under qemu.

The kernel is taken out of Debian's package, which is downloaded and not
installed; the root is an initramfs of busybox, some tens of MiB of this
machine's libraries and a program that loads them (load.c). Emulated (TCG),
so that it runs where there is no KVM; qemu registers the guests' memory with
KSM itself (mem-merge is on by default).

As a program: boots one guest and prints its console until Ctrl-C.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("KSMD_PLUS_BUILD", HERE.parents[1] / "build"))
CACHE = BUILD.resolve() / "guest"
LIBRARIES = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu"
FILES_BYTES = 48 << 20
MEMORY_MIB = 512
KERNEL_PACKAGE = "linux-image-cloud-amd64"

INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
exec /load /files >/dev/console 2>&1
"""


class Unavailable(Exception):
    """Guests cannot be made here; says why."""


def missing():
    """None, or why this machine can run no guest."""
    if os.uname().machine != "x86_64":
        return "guests are only made on x86-64"
    for program in ("qemu-system-x86_64", "busybox", "cpio", "cc"):
        if not shutil.which(program):
            return f"{program} is not installed"
    with open(shutil.which("busybox"), "rb") as f:
        if b"/ld-linux" in f.read(4096):
            return "busybox is not the static one (busybox-static)"
    return None


def _kernel_package():
    """The newest package that KERNEL_PACKAGE stands for."""
    text = subprocess.run(["apt-cache", "depends", KERNEL_PACKAGE],
                          capture_output=True, text=True).stdout
    match = re.search(r"Depends: (linux-image-\S+)", text)
    if not match:
        raise Unavailable(f"apt knows no package {KERNEL_PACKAGE}")
    return match[1]


def kernel():
    """The path of Debian's kernel, downloaded once."""
    package = _kernel_package()
    path = CACHE / package.replace("linux-image", "vmlinuz")
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        done = subprocess.run(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
             package], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"{package} cannot be downloaded: "
                              f"{done.stderr.strip().splitlines()[-1]}")
        deb = next(Path(folder).glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", deb, "root"], cwd=folder,
                       check=True)
        image = next(Path(folder, "root/boot").glob("vmlinuz-*"))
        image.rename(path)
    return path


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
        root = Path(folder, "root")
        for name in ("bin", "dev", "proc", "files"):
            (root / name).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), root / "bin/busybox")
        subprocess.run(["cc", "-O2", "-Wall", "-D_GNU_SOURCE", "-static",
                        "-o", root / "load", HERE / "load.c"], check=True)
        for library in _libraries():
            shutil.copy(library, root / "files")
        (root / "init").write_text(INIT)
        (root / "init").chmod(0o755)
        names = "\n".join(str(p.relative_to(root))
                          for p in sorted(root.rglob("*"))) + "\n"
        made = Path(folder, "cpio")
        with open(made, "wb") as out:
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root,
                           input=names.encode(), stdout=out, check=True)
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
