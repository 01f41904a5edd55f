# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernels for guests: downloaded with apt, unpacked, not installed.

	kernel = kernels.get("6.12")	# the newest that this Debian offers
	kernel.image, kernel.module_files("virtio_blk")

Debian 12 offers 6.1 and 6.12, Debian 13 offers 6.12. They are kept below
build/guest, one folder for each package.
"""

import fcntl
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KSMD_PLUS_BUILD", TOP / "build"))
CACHE = BUILD.resolve() / "guest"
META_PACKAGE = "linux-image-cloud-amd64"


class Unavailable(Exception):
    """Guests cannot be made here; says why."""


def _apt_cache(*args):
    return subprocess.run(["apt-cache", *args], capture_output=True,
                          text=True).stdout


def _package(series):
    """The newest cloud kernel of @series, or the one that is Debian's own."""
    if series is None:
        match = re.search(r"Depends: (linux-image-\S+)",
                          _apt_cache("depends", META_PACKAGE))
        if not match:
            raise Unavailable(f"apt knows no package {META_PACKAGE}")
        return match[1]
    pattern = rf"^linux-image-{re.escape(series)}\.[0-9].*-cloud-amd64$"
    names = [line.split()[0] for line in
             _apt_cache("search", "--names-only", pattern).splitlines()]
    if not names:
        raise Unavailable(f"apt knows no cloud kernel {series}")
    return max(names, key=lambda n: [int(d) for d in re.findall(r"\d+", n)])


def fetch(package, folder):
    """Download @package and unpack it in @folder; where to."""
    done = subprocess.run(
        ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
         package], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{package} cannot be downloaded: "
                          f"{done.stderr.strip().splitlines()[-1]}")
    deb = next(Path(folder).glob("*.deb"))
    subprocess.run(["dpkg-deb", "-x", deb, "root"], cwd=folder, check=True)
    return Path(folder, "root")


def _unpack(package, folder):
    """Download @package and make @folder of its kernel and modules."""
    root, kept = fetch(package, folder), Path(folder, "kept")
    kept.mkdir()
    next(root.glob("boot/vmlinuz-*")).rename(kept / "vmlinuz")
    next(p for usr in ("", "usr/")
         for p in root.glob(f"{usr}lib/modules/*")).rename(kept / "modules")
    return kept


class Kernel:
    def __init__(self, folder):
        self.image = folder / "vmlinuz"
        self.modules = {
            re.sub(r"\.ko.*", "", path.name).replace("-", "_"): path
            for path in (folder / "modules").rglob("*.ko*")}

    def _module(self, name):
        data = self.modules[name].read_bytes()
        return lzma.decompress(data) if data[:1] == b"\xfd" else data

    def module_files(self, *names):
        """[(name, content)] of modules and what they depend on, in the order
        in which they can be loaded. What is not a module is built in."""
        found = {}
        for name in names:
            if name not in self.modules or name in found:
                continue
            data = self._module(name)
            depends = re.search(rb"\0depends=([^\0]*)", data)[1].decode()
            for other, content in self.module_files(
                    *filter(None, depends.replace("-", "_").split(","))):
                found.setdefault(other, content)
            found[name] = data
        return list(found.items())


def get(series=None):
    """The newest kernel of @series ("6.1"), or Debian's default one."""
    if not shutil.which("apt-cache"):
        raise Unavailable("no apt here to get a kernel with")
    package = _package(series)
    path = CACHE / package
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:     # tests run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                _unpack(package, folder).rename(path)
    return Kernel(path)
