# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual machines that do something real with files from virtio disks.

	image = building.Image(folder)          # made once
	root = building.initramfs(kernel, folder, building.BUILD)
	argv = building.command(kernel, root, "name", image.path)

BUILD unpacks sources of this project and builds two programs of them with this
machine's compiler, which lies in the image, all in the guest. READ reads a
whole disk into the page cache. Such a qemu prints "ready" when the job begins
and "done" when it is over; then the guest stays as it is.
"""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import disks
from archive import Archive

TOP = Path(__file__).resolve().parents[2]
IMAGE_MIB = 160
MEMORY_MIB = 384
# Where programs are themselves, and nothing stands before them.
PATH = "/usr/bin:/bin:/usr/sbin"
# What is unpacked, and the programs that are made of it.
UNPACKED = ("daemon", "include", "tests")
PROGRAMS = [f"tests/targets/{name}.c" for name in ("reader", "ticker")]
FLAGS = "-O1 -std=gnu17 -D_GNU_SOURCE -Iinclude -fno-use-linker-plugin"
PARTS = ("crt1.o", "Scrt1.o", "crti.o", "crtn.o", "crtbeginS.o", "crtendS.o",
         "crtbegin.o", "crtend.o", "libgcc.a", "libgcc_s.so", "libc.so",
         "libgcc_s.so.1", "libc_nonshared.a", "libc.so.6", "libm.so.6",
         "libm.so", "libmvec.so.1")

INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for module in $(cat /modules/order); do insmod /modules/$module; done
stty -F /dev/ttyS1 raw -echo
exec >/dev/ttyS1 2>/dev/console
echo ready
. /job && echo done || echo failed
sleep 100000000
"""

BUILD = f"""
mount -t ext4 -o ro,noatime /dev/vda /disk &&
mount -t tmpfs tmp /disk/tmp && mount -o bind /dev /disk/dev &&
chroot /disk /bin/busybox sh -c '
	export PATH=/usr/bin:/bin
	cd /tmp && busybox tar xzf /source.tar.gz &&
	for source in $(busybox cat /list); do
		gcc {FLAGS} -o $(busybox basename $source .c) $source || exit 1
	done'
"""

# The descriptor keeps what is read: who closes a disk last empties its cache.
READ = """
sleep 100000000 </dev/vda &
dd if=/dev/vda of=/dev/null bs=64k
"""


def missing():
    """None, or what is not there to make an image with."""
    for program in ("mke2fs", "gcc", "as", "ld"):
        if not shutil.which(program, path=f"{PATH}:/sbin"):
            return f"{program} is not installed"
    return None


def _said(*argv):
    return subprocess.run(argv, capture_output=True, text=True,
                          check=True).stdout.strip()


def _headers(sources):
    """All files of this machine that the compiler reads for @sources."""
    rules = subprocess.run(["gcc", *FLAGS.split(), "-M", *sources], cwd=TOP,
                           capture_output=True, text=True, check=True).stdout
    return {word for word in rules.replace("\\\n", " ").split()
            if word.startswith("/")}


def _toolchain():
    """The files of this machine's compiler, with the names it calls them."""
    for name in ("cc1", "collect2"):
        yield _said("gcc", f"-print-prog-name={name}")
    for name in PARTS:
        path = _said("gcc", f"-print-file-name={name}")
        if path.startswith("/"):
            yield path
    for name in ("gcc", "as", "ld"):
        yield shutil.which(name, path=PATH)


def _libraries(program):
    said = subprocess.run(["ldd", program], capture_output=True,
                          text=True).stdout
    return re.findall(r"(/\S+) \(0x", said)


def _take(tree, name):
    """This machine's file @name into @tree, at the same place."""
    target = tree / str(Path(name).parent.resolve())[1:] / Path(name).name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)


def _fill(tree):
    for name in ("tmp", "dev", "bin", "lib64"):
        (tree / name).mkdir()
    with tarfile.open(tree / "source.tar.gz", "w:gz") as tar:
        for name in UNPACKED:
            tar.add(TOP / name, name)
    (tree / "list").write_text("\n".join(PROGRAMS))
    shutil.copy(shutil.which("busybox"), tree / "bin/busybox")
    for name in {*_toolchain(), *_headers(PROGRAMS)}:
        _take(tree, name)
        for library in _libraries(name):
            _take(tree, library)
    # Where the compiler's parts look for what they need, if that is a link.
    for name in ("lib", "lib64"):
        if Path("/", name).is_symlink():
            shutil.rmtree(tree / name, ignore_errors=True)
            (tree / name).symlink_to(Path("/", name).readlink())


def image(folder):
    """A disk with a compiler and something to compile."""
    tree, path = folder / "tree", folder / "building.ext4"
    tree.mkdir()
    _fill(tree)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, path,
                    f"{IMAGE_MIB}M"], check=True, capture_output=True)
    shutil.rmtree(tree)
    return path


def initramfs(kernel, folder, name, job):
    """A root whose job is @job; @name is the file's."""
    path = folder / f"{name}.cpio"
    root = Archive(path)
    for folder_name in ("bin", "dev", "proc", "disk"):
        root.folder(folder_name)
    root.file(shutil.which("busybox"), "bin/busybox")
    loaded = kernel.module_files(*disks.MODULES)
    for module, content in loaded:
        root.data(f"modules/{module}", content)
    root.data("modules/order", " ".join(n for n, _ in loaded).encode())
    root.data("job", job.encode())
    root.data("init", INIT.encode(), 0o755)
    root.close()
    return path
