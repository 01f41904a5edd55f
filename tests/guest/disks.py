# SPDX-License-Identifier: GPL-2.0-or-later
"""Tiny virtual machines that read from virtio disks when they are told.

	path = disks.initramfs(kernel, folder)
	argv = disks.command(kernel, path, "name", [disks.Disk(file)])

On its standard input such a qemu takes "DISK FIRST COUNT": so many pages are
read from the 0th, 1st ... disk into the page cache of the guest, which says
"done". At first it says "ready". As with every guest here, qemu registers the
guest's memory with KSM.
"""

import dataclasses
import shutil

from archive import Archive

MEMORY_MIB = 160
MODULES = ("virtio_pci", "virtio_blk")

# The descriptors keep what is read: who closes a disk last empties its cache.
INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t sysfs sys /sys
for module in $(cat /modules/order); do insmod /modules/$module; done
for disk in /sys/block/vd*; do
	echo 0 >$disk/queue/read_ahead_kb
	sleep 100000000 </dev/${disk##*/} &
done
stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1
echo ready
while read disk first count; do
	name=$(echo abcdefgh | cut -c $((disk + 1)))
	dd if=/dev/vd$name of=/dev/null bs=4096 skip=$first count=$count \
		2>/dev/null && echo done
done
"""


@dataclasses.dataclass(frozen=True)
class Disk:
    path: str
    aio: str = "threads"        # native wants a cache that is off
    cache: str = "writeback"

    def option(self):
        return (f"file={self.path},format=raw,if=virtio,read-only=on,"
                f"aio={self.aio},cache={self.cache}")


def initramfs(kernel, folder):
    path = folder / "disks.cpio"
    root = Archive(path)
    for name in ("bin", "dev", "sys"):
        root.folder(name)
    root.file(shutil.which("busybox"), "bin/busybox")
    loaded = kernel.module_files(*MODULES)
    for name, content in loaded:
        root.data(f"modules/{name}", content)
    root.data("modules/order", " ".join(n for n, _ in loaded).encode())
    root.data("init", INIT.encode(), 0o755)
    root.close()
    return path


def command(kernel, root, name, disks, memory_mib=MEMORY_MIB):
    argv = ["qemu-system-x86_64", "-name", f"{name},process={name}",
            "-nodefaults", "-no-user-config", "-display", "none",
            "-accel", "tcg,thread=single,tb-size=32",
            "-m", str(memory_mib), "-no-reboot", "-serial", "null",
            "-serial", "stdio", "-kernel", str(kernel.image),
            "-initrd", str(root),
            "-append", "quiet panic=-1 mitigations=off"]
    for disk in disks:
        argv += ["-drive", disk.option()]
    return argv
