# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests on other kernels and other machines: Debian's kernels under qemu.

	import vm
	from vm import harness

	def merges_across_nodes(t):
	    ...                         # runs in the guest, as root

	vm.run(merges_across_nodes,
	       machines=[vm.Machine("6.1", nodes=2), vm.Machine("6.12", nodes=2)])

A test is written as those of tests/integration are, with harness.py. run()
boots each machine with this checkout's tests, the programs that were built
and python inside, and runs the same script there, which does the tests.
boot() runs any other program, TAP or not.

In the guest this checkout is /ksmd-plus, KSMD_PLUS_BUILD is its build/, and
/proc, /sys, debugfs, tracefs, bpffs, cgroup2, devpts and /tmp are mounted.
Everything lies in memory, but for /disk (ext4), if disk_mib asks for one.
Emulated (TCG), and no KSM on the outside: the host's is not touched, so these
tests need no lock. Times mean nothing in there.
"""

import concurrent.futures
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/integration"), str(TOP / "tests/guest")]

import guest            # noqa: E402
import harness          # noqa: E402
import kernels          # noqa: E402
from archive import Archive     # noqa: E402

INSIDE = os.environ.get("KSMD_PLUS_VM")
HOME = "ksmd-plus"
PYTHON = "/usr/bin/python3"
BOOT_SECONDS = 120              # an emulated boot, on a busy machine
# Emulated, a kernel of several CPUs may panic while it patches its own code at
# boot: nothing of ours has run then.
BOOTS = 3
SLOWER = "3"                    # harness.py waits so many times as long
PANIC = "Kernel panic"
MODULES = ("virtio_pci", "virtio_blk")
PROGRAMS = ("ksmd-plus", "ksmd-plus-injector", "ksmd-plusctl")
# Parts of python's library that no test needs.
LEFT_OUT = re.compile(r"/(test|idlelib|lib2to3|ensurepip|pydoc_data|tkinter|"
                      r"turtledemo|distutils|config-[^/]*|[a-z]*-packages)/")

INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mkdir /dev/pts && mount -t devpts pts /dev/pts
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
for module in $(cat /modules/order); do insmod /modules/$module; done
[ -b /dev/vda ] && mount -t ext4 /dev/vda /disk
stty -F /dev/ttyS1 raw
cd /ksmd-plus
. /command </dev/null >/dev/ttyS1 2>&1
echo "vm: exit $?" >/dev/ttyS1
poweroff -f
"""


@dataclasses.dataclass(frozen=True)
class Machine:
    kernel: str = "6.12"        # a series that Debian has, see kernels.py
    nodes: int = 1              # NUMA nodes, with equal parts of the rest
    cpus: int = 0               # 0: one for each node
    memory_mib: int = 512
    disk_mib: int = 0           # an empty ext4 at /disk
    append: str = ""            # to the kernel's command line
    tests: tuple = ()           # only those functions; all without

    def name(self):
        nodes = f" {self.nodes} nodes" if self.nodes > 1 else ""
        return f"{self.kernel}{nodes}"


@dataclasses.dataclass
class Ended:
    """How a program in a guest ended; @status is None if it did not."""
    status: int
    output: str
    console: str                # the last words of the kernel

    def show(self, name):
        """What there is to see of a guest that should not have ended."""
        for line in self.console.splitlines():
            print(f"# console: {line}")
        print(f"not ok {name} # it ended, or its time was over", flush=True)


def missing():
    """None, or why no machine can be booted here."""
    for program in ("setpriv", PYTHON):
        if not shutil.which(program):
            return f"{program} is not installed"
    return guest.missing()


def _add_python(root):
    root.program(PYTHON)
    library = Path(subprocess.run(
        [PYTHON, "-c", "import os; print(os.path.dirname(os.__file__))"],
        capture_output=True, text=True, check=True).stdout.strip())
    for path in library.rglob("*"):
        if path.is_file() and not LEFT_OUT.search(str(path)):
            add = root.program if path.suffix == ".so" else root.file
            add(path)


def _add_tests(root):
    for path in sorted((TOP / "tests").rglob("*.py")):
        root.file(path, f"{HOME}/{path.relative_to(TOP)}")
    folders = ("tests/targets", "tests/contract")
    for path in [*(harness.BUILD / name for name in PROGRAMS),
                 *(p for folder in folders
                   for p in (harness.BUILD / folder).glob("*"))]:
        if path.is_file() and os.access(path, os.X_OK):
            root.program(path, f"{HOME}/build/{path.relative_to(harness.BUILD)}")


def _quote(word):
    return "'" + str(word).replace("'", r"'\''") + "'"


def _libgcc():
    """What pthread_exit() loads; it lies beside libc."""
    maps = Path("/proc/self/maps").read_text()
    return Path(re.search(r"/\S+(?=/libc\.so)", maps)[0], "libgcc_s.so.1")


def _make_root(path, kernel, argv, env, files):
    root = Archive(path)
    for name in ("dev", "proc", "sys", "tmp", "run", "disk", "root"):
        root.folder(name)
    root.file(shutil.which("busybox"), "bin/busybox")
    root.program(shutil.which("setpriv"), "usr/bin/setpriv")
    root.data("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    root.data("etc/group", b"root:x:0:\n")
    loaded = kernel.module_files(*MODULES)
    for name, content in loaded:
        root.data(f"modules/{name}", content)
    root.data("modules/order", " ".join(n for n, _ in loaded).encode())
    root.file(_libgcc())
    _add_python(root)
    _add_tests(root)
    for name, source in files.items():
        root.program(source, name)
    env = {"PATH": "/usr/bin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
           "KSMD_PLUS_BUILD": f"/{HOME}/build", "CMOCKA_MESSAGE_OUTPUT": "TAP",
           "PYTHONDONTWRITEBYTECODE": "1", **env}
    command = "".join(f"export {k}={_quote(v)}\n" for k, v in env.items())
    command += " ".join(_quote(word) for word in argv) + "\n"
    root.data("command", command.encode())
    root.data("init", INIT.encode(), 0o755)
    root.close()


def qemu(machine, kernel, folder):
    cpus = machine.cpus or machine.nodes
    each = machine.memory_mib // machine.nodes
    argv = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64",
            "-name", "ksmd-plus-vm", "-machine", "q35,mem-merge=off",
            "-nodefaults", "-no-user-config", "-display", "none",
            "-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max",
            "-m", str(each * machine.nodes), "-smp", str(cpus),
            "-no-reboot", "-serial", f"file:{folder}/console",
            "-serial", "stdio", "-kernel", str(kernel.image),
            "-initrd", f"{folder}/initramfs", "-append",
            f"console=ttyS0 panic=-1 mitigations=off nokaslr {machine.append}"]
    for node in range(machine.nodes):
        argv += ["-object", f"memory-backend-ram,id=m{node},size={each}M,"
                            "merge=off",
                 "-numa", f"node,nodeid={node},memdev=m{node}," +
                 ",".join(f"cpus={cpu}" for cpu in range(cpus)
                          if cpu * machine.nodes // cpus == node)]
    if machine.disk_mib:
        argv += ["-drive", f"file={folder}/disk,format=raw,if=virtio"]
    return [word.rstrip(",") for word in argv]


def _make_disk(path, mib):
    if not shutil.which("mke2fs"):
        raise kernels.Unavailable("mke2fs is not installed")
    with open(path, "wb") as f:
        f.truncate(mib << 20)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", path], check=True)


def _follow(process, seconds, show):
    """The program's output and its exit status; None if the guest ended, or
    its time, before the program did."""
    lines = []
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip("\r\n")
            end = re.match(r"vm: exit (\d+)$", line)
            if end:
                return "\n".join(lines), int(end[1])
            lines.append(line)
            if show:
                show(line)
        return "\n".join(lines), None
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def boot(machine, argv, *, seconds=300, env=None, files=None, show=None):
    """Boot @machine, run @argv there (with paths as they are in the guest;
    relative ones start at the checkout) and end it. @files: more to take
    along, {path in the guest: path here}, programs with their libraries.
    @show gets each line of output. kernels.Unavailable: why not."""
    why = missing()
    if why:
        raise kernels.Unavailable(why)
    kernel = kernels.get(machine.kernel)
    with tempfile.TemporaryDirectory(prefix="ksmd-plus-vm.") as folder:
        if machine.disk_mib:
            _make_disk(f"{folder}/disk", machine.disk_mib)
        _make_root(f"{folder}/initramfs", kernel, argv, env or {},
                   files or {})
        process = subprocess.Popen(
            qemu(machine, kernel, folder), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, start_new_session=True)
        output, status = _follow(process, BOOT_SECONDS + seconds, show)
        console = Path(folder, "console").read_text(errors="replace")
    return Ended(status, output, console[-8000:])


def _run_machine(machine, seconds):
    """Run this script on @machine; True if nothing failed there."""
    def show(line):
        print(re.sub(r"^((?:not )?ok|#) ", rf"\1 {machine.name()}: ", line),
              flush=True)

    script = Path(sys.argv[0]).resolve().relative_to(TOP)
    started = time.monotonic()
    try:
        for _ in range(BOOTS):
            ended = boot(machine, [PYTHON, script, *machine.tests],
                         seconds=seconds, show=show,
                         env={"KSMD_PLUS_VM": machine.name(),
                              "TEST_SLOW": SLOWER})
            if ended.status is not None or ended.output or \
               PANIC not in ended.console:
                break
            show("# the kernel has not booted; once more")
    except kernels.Unavailable as e:
        print(f"ok {machine.name()} # SKIP {e}", flush=True)
        return True
    print(f"# {machine.name()}: {time.monotonic() - started:.1f} s")
    if ended.status is None:
        ended.show(machine.name())
    return ended.status == 0


def end_at_sigterm():
    """So that what is running is ended, too."""
    def stop(number, frame):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)


def run(*functions, machines, needs=harness.need_ksm, seconds=300):
    """Run the tests on each of the machines, all at a time, and exit; in a
    guest, just run them."""
    if INSIDE:
        harness.run(*functions, needs=needs)

    end_at_sigterm()
    for series in {m.kernel for m in machines}:     # downloaded once
        try:
            kernels.get(series)
        except kernels.Unavailable:
            pass                # each machine will say so
    with concurrent.futures.ThreadPoolExecutor(len(machines)) as pool:
        results = list(pool.map(lambda m: _run_machine(m, seconds), machines))
    sys.exit(0 if all(results) else 1)
