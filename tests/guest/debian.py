# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian systems made with mmdebstrap: for chroots, and for machines to boot.

	debian.make_root("trixie", "/some/folder", ["systemd-sysv"])
	made = debian.machine("trixie", ["systemd-sysv", "dbus"])
	made.image, made.kernel.image, made.kernel.module_files("virtio_blk")

Debian's mirror and apt's network options are those of this machine. Machines
are kept below build/guest, one folder for each release and its packages.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import kernels

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
KERNEL_PACKAGE = "linux-image-cloud-amd64"
# The disk is as large as this; its file has holes.
DISK_MIB = 2048

# In the root: unpacks Debian's own kernel, without what installing it brings.
GET_KERNEL = r"""#!/bin/sh
set -e
cd /tmp
name=$(apt-cache depends "$1" | grep -o 'linux-image-[0-9][^ ]*' | head -n 1)
apt-get -q -o APT::Sandbox::User=root download "$name" >/dev/null
dpkg-deb -x "$name"_*.deb kernel
mv kernel/boot/vmlinuz-* /boot/vmlinuz
cp -a kernel/lib/modules kernel/usr/lib/modules /usr/lib/ 2>/dev/null || :
rm -rf kernel "$name"_*.deb
depmod "$(ls /usr/lib/modules)"
"""


def codename():
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.split("=")[1].strip('"')
    return ""


def mirrors():
    """This machine's mirrors of the archive and of its security updates."""
    mine = codename()
    found = {}
    if shutil.which("apt-get"):
        text = subprocess.run(
            ["apt-get", "indextargets", "--format",
             "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"],
            capture_output=True, text=True).stdout
        for line in text.splitlines():
            release, component, uri = line.split(" ", 2)
            if component == "main":
                found.setdefault(release, uri.rstrip("/"))
    try:
        return found[mine], found[f"{mine}-security"]
    except KeyError as release:
        raise kernels.Unavailable(f"apt knows no mirror of {release} here; "
                                  f"run apt-get update") from None


def apt_options():
    """What this machine's apt needs to reach the network, as apt.conf."""
    if not shutil.which("apt-config"):
        return ""
    text = subprocess.run(["apt-config", "dump"], capture_output=True,
                          text=True).stdout
    return "".join(line + "\n" for line in text.splitlines() if re.match(
        r'Acquire::(http|https|Check-|Retries|ForceIPv)\S* "[^"]', line))


def make_root(suite, root, packages=(), options=()):
    """A minimal Debian with @packages in @root, a folder or a file;
    CalledProcessError where that fails."""
    archive, security = mirrors()
    packages = list(packages)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write(apt_options())
        conf.flush()
        if archive.startswith("https:") or security.startswith("https:"):
            packages.append("ca-certificates")
        include = [f"--include={','.join(packages)}"] if packages else []
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root",
             f"--aptopt={conf.name}", "--dpkgopt=force-unsafe-io", *include,
             *options, suite, str(root), f"deb {archive} {suite} main",
             f"deb {archive} {suite}-updates main",
             f"deb {security} {suite}-security main"], check=True)
    if "ca-certificates" in packages and Path(CERTIFICATES).exists():
        shutil.copy(CERTIFICATES, Path(root, CERTIFICATES[1:]))


class Machine:
    """A Debian on a disk, with its kernel."""

    def __init__(self, folder):
        self.image = folder / "disk"
        self.kernel = kernels.Kernel(folder)


def _make_machine(suite, packages, folder):
    root, kept = folder / "root", folder / "kept"
    root.mkdir()
    kept.mkdir()
    script = folder / "get-kernel"
    script.write_text(GET_KERNEL)
    try:
        make_root(suite, root, ["kmod", *packages], [
            f"--customize-hook=cp {script} \"$1/tmp/get-kernel\"",
            "--customize-hook=chroot \"$1\" sh /tmp/get-kernel " +
            KERNEL_PACKAGE])
    except subprocess.CalledProcessError as e:
        raise kernels.Unavailable(f"{e.cmd[0]} failed for {suite}") from e
    (root / "boot/vmlinuz").rename(kept / "vmlinuz")
    modules = next((root / "usr/lib/modules").iterdir())
    shutil.copytree(modules, kept / "modules")
    # not the first boot of something new: that takes longer
    (root / "etc/machine-id").write_text(hashlib.md5(
        suite.encode()).hexdigest() + "\n")
    (root / "etc/hostname").write_text("ksmd-plus-vm\n")
    for name in ("etc/.updated", "var/.updated"):
        (root / name).touch()
    with open(kept / "disk", "wb") as f:
        f.truncate(DISK_MIB << 20)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", root,
                    kept / "disk"], check=True)
    return kept


def machine(suite, packages):
    """The Machine with these packages, made once."""
    for program in ("mmdebstrap", "mke2fs"):
        if not shutil.which(program):
            raise kernels.Unavailable(f"{program} is not installed")
    if os.geteuid() != 0:
        raise kernels.Unavailable("making a Debian needs root")
    text = " ".join([suite, *sorted(packages)])
    name = f"{suite}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    path = kernels.CACHE / name
    kernels.CACHE.mkdir(parents=True, exist_ok=True)
    with open(kernels.CACHE / f"lock-{suite}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=kernels.CACHE) as folder:
                _make_machine(suite, packages, Path(folder)).rename(path)
    return Machine(path)
