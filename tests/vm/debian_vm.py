# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole Debian with systemd under qemu, driven from here.

	with debian_vm.boot("trixie", packages, {"name.deb": path}) as guest:
	    guest.must("systemctl is-system-running --wait")

The machine is on a disk whose changes are forgotten at the end, not at a
reboot. An agent, a service of the guest, takes commands on a serial line:
lines of base64, so that nothing in them or in what they print matters. What
is taken along lies in /payload. Emulated, as in vm.py: times mean nothing.
"""

import base64
import os
import re
import select
import subprocess
import tempfile
import time
from pathlib import Path

import vm
from vm import harness

import debian           # noqa: E402 (vm has made it to be found)
from archive import Archive     # noqa: E402

BOOT_SECONDS = 240
COMMAND_SECONDS = 240

INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for module in $(cat /modules/order); do insmod /modules/$module; done
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /root
cp -r /overlay/. /root/
cd /root/etc/systemd/system
mkdir -p multi-user.target.wants
ln -sf ../vm-agent.service multi-user.target.wants/vm-agent.service
cd /
umount /proc /dev
exec switch_root /root /sbin/init
"""

AGENT = r"""#!/bin/bash
stty raw -echo <&0
echo "vm: ready"
while IFS= read -r line; do
	base64 -d <<<"$line" >/run/vm-command
	bash /run/vm-command </dev/null >/run/vm-output 2>&1
	status=$?
	base64 -w 0 /run/vm-output
	echo
	echo "vm: exit $status"
done
"""

SERVICE = """[Unit]
Description=Runs what the test says
DefaultDependencies=no
After=sysinit.target dbus.socket
Conflicts=shutdown.target
Before=shutdown.target
[Service]
ExecStart=/bin/bash /payload/agent
StandardInput=tty-force
StandardOutput=tty
StandardError=journal
TTYPath=/dev/ttyS1
Restart=always
"""


class Guest:
    def __init__(self, process, console):
        self.process = process
        self.console = console
        self.pending = b""

    def _line(self, seconds):
        """The next line of the serial line; Failed without one."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.pending:
            left = max(0, deadline - time.monotonic())
            if not select.select([self.process.stdout], [], [], left)[0]:
                raise harness.Failed(f"no word from the guest in {seconds} s; "
                                     f"{self.last_words()}")
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                raise harness.Failed(f"the guest has ended; "
                                     f"{self.last_words()}")
            self.pending += more
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def last_words(self):
        text = self.console.read_text(errors="replace")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)[-1500:]

    def wait_boot(self):
        while self._line(BOOT_SECONDS) != "vm: ready":
            pass

    def run(self, command, seconds=COMMAND_SECONDS):
        """(exit status, output) of a piece of bash, run as root."""
        word = base64.b64encode(command.encode())
        self.process.stdin.write(word + b"\n")
        self.process.stdin.flush()
        output = self._line(seconds)
        end = re.match(r"vm: exit (\d+)$", self._line(seconds))
        if not end:
            raise harness.Failed(f"the agent was disturbed: {output[-300:]}")
        return int(end[1]), base64.b64decode(output).decode(errors="replace")

    def must(self, command, seconds=COMMAND_SECONDS):
        """Its output; Failed if it does not succeed."""
        status, output = self.run(command, seconds)
        harness.check(status == 0, f"{command}: {status}: {output[-800:]}")
        return output

    def wait(self, command, what, seconds=180):
        """Until @command succeeds; its output."""
        deadline = time.monotonic() + seconds
        while True:
            status, output = self.run(command)
            if status == 0:
                return output
            if time.monotonic() > deadline:
                raise harness.Failed(f"{what}: not within {seconds} s: "
                                     f"{output[-800:]}")
            time.sleep(0.3)

    def reboot(self):
        """No answer comes: the agent is ended with all else."""
        word = base64.b64encode(b"systemctl reboot; sleep infinity")
        self.process.stdin.write(word + b"\n")
        self.process.stdin.flush()
        self.wait_boot()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()


def _initramfs(path, kernel, payload):
    root = Archive(path)
    for name in ("dev", "proc", "root"):
        root.folder(name)
    root.file(vm.shutil.which("busybox"), "bin/busybox")
    loaded = kernel.module_files("virtio_pci", "virtio_blk", "ext4")
    for name, content in loaded:
        root.data(f"modules/{name}", content)
    root.data("modules/order", " ".join(n for n, _ in loaded).encode())
    root.data("init", INIT.encode(), 0o755)
    root.data("overlay/payload/agent", AGENT.encode())
    root.data("overlay/etc/systemd/system/vm-agent.service", SERVICE.encode())
    for name, source in payload.items():
        root.file(source, f"overlay/payload/{name}")
    root.close()


def boot(suite, packages, payload, memory_mib=1024, cpus=2):
    """A running Guest of @suite with @packages installed and the files of
    @payload, {name: path here}. kernels.Unavailable: why not."""
    why = vm.missing()
    if why:
        raise vm.kernels.Unavailable(why)
    made = debian.machine(suite, packages)
    machine = vm.Machine(cpus=cpus, memory_mib=memory_mib,
                         append="root=/dev/vda rw quiet systemd.show_status=no "
                         "systemd.mask=serial-getty@ttyS0.service")
    folder = tempfile.TemporaryDirectory(prefix="ksmd-plus-vm.")
    _initramfs(Path(folder.name, "initramfs"), made.kernel, payload)
    argv = [word for word in vm.qemu(machine, made.kernel, folder.name)
            if word != "-no-reboot"]
    # more programs run here than in an initramfs
    argv = [word.replace("tb-size=128", "tb-size=512") for word in argv]
    argv += ["-drive", f"file={made.image},format=raw,if=virtio,"
             "snapshot=on,cache=unsafe"]
    guest = Guest(subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True), Path(folder.name, "console"))
    guest.folder = folder       # as long as the guest
    return guest
