#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Show ksmd-plus at work on real programs, and leave no trace.

	demo.py [workers|vm]

Starts CPython workers that load the same real text and, where qemu is
installed (or with "vm", which insists), three small virtual machines. Then
the daemon, with a configuration that names these processes and excludes all
others. Ends by itself with a table; what could be won is counted before,
from page tables and page contents, without the daemon.
"""

import contextlib
import fcntl
import os
import signal
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration"),
                str(HERE.parent / "guest")]

import frames           # noqa: E402
import guest            # noqa: E402
import harness          # noqa: E402

N_WORKERS = 4
N_GUESTS = 3
TEXT_BYTES = 96 << 20
# A worker holds the text, a third as much for its lines, and the words.
WORKER_BYTES = 2 * TEXT_BYTES
GUEST_BYTES = guest.MEMORY_MIB << 20
SPARE_BYTES = 512 << 20         # that the machine keeps

MERGE_SECONDS = 45              # at most, from the daemon's start
DONE_SHARE = 0.99               # of what is possible
QUIET_SECONDS = 8               # without anything saved: it will not be more
LOOK_SECONDS = 1.5              # between looks at the page tables

MIB = 1 << 20
PAGES_PER_MIB = MIB // frames.PAGE

CONFIG = """\
[target workers]
comm = {name}w
mode = selective
[target guests]
comm = {name}g?
mode = managed
[target others]
comm = *
mode = exclude
"""


class Line:
    """The live line of a terminal; elsewhere a line now and then."""

    def __init__(self):
        self.tty = sys.stdout.isatty()
        self.last = time.monotonic()

    def show(self, text, every=5.0):
        if self.tty:
            sys.stdout.write(f"\r\033[K{text[:columns() - 1]}")
        elif time.monotonic() - self.last >= every:
            self.last = time.monotonic()
            sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def end(self):
        if self.tty:
            sys.stdout.write("\r\033[K")
            sys.stdout.flush()


def interrupt(number, frame):
    """Once is enough: nothing interrupts the cleaning up."""
    quiet()
    raise KeyboardInterrupt


def quiet():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def columns():
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 80


def bar(share, width=24):
    full = round(min(share, 1.0) * width)
    return "#" * full + "." * (width - full)


def mib(pages):
    return f"{pages / PAGES_PER_MIB:,.0f} MiB"


def available_bytes():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def text_files():
    """Real text that a Debian machine has, the same files in every run."""
    folders = (sysconfig.get_paths()["stdlib"], "/usr/include", "/usr/share",
               "/var/lib/dpkg", "/var/lib/apt/lists")
    suffixes = (".py", ".h", ".pl", ".pm", ".txt", ".list", ".md5sums",
                "_Packages")
    for folder in folders:
        for base, dirs, names in os.walk(folder):
            dirs.sort()
            for name in sorted(names):
                path = Path(base, name)
                if ("." not in name or name.endswith(suffixes)) and \
                   path.is_file() and not path.is_symlink():
                    yield path


def write_text(path):
    """The workers' data set; returns its size in bytes."""
    size = 0
    with open(path, "wb") as out:
        for source in text_files():
            with contextlib.suppress(OSError):
                data = source.read_bytes()
                if b"\0" not in data[:4096]:
                    size += out.write(data[:TEXT_BYTES - size])
            if size >= TEXT_BYTES:
                break
    return size


class Demo:
    def __init__(self, stack, want):
        self.stack = stack
        self.line = Line()
        self.name = f"kp{os.getpid()}"
        self.folder = Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix="ksmd-plus-demo.")))
        self.want = want
        self.started = time.monotonic()
        self.workers = []
        self.guests = []
        self.status = {}

    def start_workers(self):
        room = available_bytes() - SPARE_BYTES
        n = min(N_WORKERS, room // WORKER_BYTES)
        if n < 2:
            raise harness.Skip("not enough free memory for two workers")
        path = self.folder / "text"
        size = write_text(path)
        print(f"{n} CPython workers load and index the same "
              f"{size / MIB:.0f} MiB of this machine's text files")
        for _ in range(n):
            worker = harness.Target(
                [sys.executable, str(HERE / "worker.py"), self.name + "w",
                 str(path)], ready=None)
            self.stack.callback(worker.stop)
            self.workers.append(worker)

    def start_guests(self):
        why = guest.missing()
        room = available_bytes() - SPARE_BYTES - \
            len(self.workers) * WORKER_BYTES
        if not why and room < N_GUESTS * GUEST_BYTES:
            why = "not enough free memory"
        if not why:
            try:
                guest.kernel()
            except guest.Unavailable as e:
                why = str(e)
        if why and self.want == "vm":
            raise harness.Skip(f"no virtual machines: {why}")
        if why:
            print(f"no virtual machines this time: {why}")
            return
        print(f"{N_GUESTS} virtual machines boot Debian's kernel, "
              f"{guest.MEMORY_MIB} MiB each")
        for i in range(N_GUESTS):
            machine = guest.Guest(f"{self.name}g{i}")
            self.stack.callback(machine.stop)
            self.guests.append(machine)

    def wait_loaded(self):
        for worker in self.workers:
            while not worker.has_line(0.1):
                self.line.show(f"loading, {self.elapsed():.0f} s")
            harness.check(worker.line() == "ready", "a worker failed")
        while not all([g.ready() for g in self.guests]):
            self.line.show(f"booting, {self.elapsed():.0f} s")
            time.sleep(0.1)
        self.line.end()

    def elapsed(self):
        return time.monotonic() - self.started

    def who(self):
        """The workers as a whole, and what the guests have registered."""
        return ([w.pid for w in self.workers],
                [g.process.pid for g in self.guests])

    def progress(self, seconds, possible):
        status = self.status
        saved = status["pages_saved"] - self.counted_before
        share = saved / possible if possible else 0
        cpu = status["cpu_usec"]
        self.line.show(
            f"{seconds:3.0f} s  [{bar(share)}] {mib(saved)} of "
            f"{mib(possible)}  {status['state']}  CPU: ksmd-plus "
            f"{cpu['daemon'] / 1e6:.1f} s, ksmd {cpu['ksmd'] / 1e6:.1f} s")

    def saved(self):
        """Pages that share a frame, or need none, and did not at the start:
        by the page tables, which also show what the kernel frees unasked,
        such as the zero pages of a huge page that it splits for a merge."""
        pages, in_frames = frames.saved(*self.who())
        return pages - in_frames - self.shared_before

    def merge(self, possible):
        """Run the daemon until no more comes; what to tell about it."""
        ksmd = harness.ksmd_pid()
        ksmd_before = harness.cpu_seconds(ksmd)
        self.counted_before = harness.ksm("pages_sharing") + \
            harness.ksm("ksm_zero_pages")
        started = time.monotonic()
        daemon = harness.Daemon(self.folder,
                                CONFIG.format(name=self.name))
        self.stack.callback(daemon.terminate)
        daemon.wait_ready()
        saved = saved_at = looked_at = 0
        while True:
            seconds = time.monotonic() - started
            self.status = daemon.status()
            self.progress(seconds, possible)
            if seconds > looked_at + LOOK_SECONDS:
                looked_at = seconds
                more = self.saved()
                if more > saved:
                    saved, saved_at = more, seconds
                if saved >= DONE_SHARE * possible or \
                   seconds > MERGE_SECONDS or \
                   saved and seconds > saved_at + QUIET_SECONDS:
                    break
            time.sleep(0.25)
        self.line.end()
        return {
            "saved": saved,
            "reported": self.status["pages_saved"] - self.counted_before,
            "seconds": saved_at,
            "ksmd": harness.cpu_seconds(ksmd) - ksmd_before,
            "daemon": self.status["cpu_usec"]["daemon"] / 1e6,
        }

    def check_workers(self):
        for worker in self.workers:
            worker.intact()
        for machine in self.guests:
            machine.ready()

    def run(self):
        self.start_workers()
        if self.want != "workers":
            self.start_guests()
        self.wait_loaded()
        self.line.show("counting equal pages", every=0)
        possible = frames.possible(*self.who())
        pages, in_frames = frames.saved(*self.who())
        self.shared_before = pages - in_frames
        self.line.end()
        n = len(self.workers) + len(self.guests)
        print(f"{n} processes hold {mib(pages)} in {mib(in_frames)} of "
              f"memory; {mib(possible)} could be saved")
        told = self.merge(possible)
        self.check_workers()
        self.table(possible, told)

    def table(self, possible, told):
        share = 100 * told["saved"] / possible if possible else 0
        rows = [
            ("saved, by page tables", mib(told["saved"])),
            ("of what was possible", f"{mib(possible)} ({share:.1f} %)"),
            ("in KSM's counters", mib(told["reported"])),
            ("seconds", f"{told['seconds']:.1f}"),
            ("CPU of ksmd-plus", f"{told['daemon']:.2f} s"),
            ("CPU of ksmd", f"{told['ksmd']:.2f} s"),
        ]
        print()
        for title, value in rows:
            print(f"  {title:<24} {value:>24}")
        for target in self.status["targets"]:
            if target["processes"]:
                print(f"  {target['name']}, {target['processes']} processes"
                      f"{'':<4} {target['bytes_saved'] / MIB:,.0f} MiB")
        for warning in self.status["warnings"]:
            print(f"  note: {warning['sentence']}")
        print(f"\nall {len(self.workers)} workers have verified their data; "
              f"{len(self.guests)} virtual machines are alive\n")


def machine_state():
    """What the demo must leave as it was."""
    return {"knobs": harness.knobs(),
            "merged pages": harness.ksm("pages_sharing") +
            harness.ksm("ksm_zero_pages")}


def own_processes(name):
    """Processes that bear this demo's name, wherever they come from."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text().startswith(name):
                    yield entry.name


def say_what_is_left(before, name):
    after = machine_state()
    left = [f"knob {knob} was {value} and is {after['knobs'].get(knob)}"
            for knob, value in before["knobs"].items()
            if after["knobs"].get(knob) != value]
    if after["merged pages"] > before["merged pages"]:
        left.append(f"{after['merged pages'] - before['merged pages']} "
                    f"more pages are merged than before")
    left += [f"process {pid} still runs" for pid in own_processes(name)]
    if left:
        print("the machine is not as it was:", *left, sep="\n  ")
    else:
        print(f"the machine is as it was: {len(before['knobs'])} KSM knobs, "
              f"no merged page, no process left over")
    return bool(left)


def restore(before):
    """The daemon puts its knobs back itself; after a crash this does. Then
    ksmd forgets the processes that have gone."""
    harness.settle()
    harness.restore_knobs(before["knobs"])


def main():
    want = sys.argv[1] if len(sys.argv) > 1 else ""
    if want not in ("", "workers", "vm"):
        sys.exit("usage: demo.py [workers|vm]")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        harness.need_ksm()
    except harness.Skip as e:
        sys.exit(f"the demo cannot run: {e}")
    with open(harness.LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting until another demo or test of ksmd-plus ends")
            fcntl.flock(lock, fcntl.LOCK_EX)
        return show(want)


def show(want):
    before = machine_state()
    status = 1
    name = f"kp{os.getpid()}"
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(restore, before)
            demo = Demo(stack, want)
            demo.run()
            status = 0
            quiet()
    except KeyboardInterrupt:
        print("\ninterrupted")
        status = 130
    except (harness.Skip, harness.Failed, guest.Unavailable) as e:
        print(f"\nthe demo failed: {e}")
    return say_what_is_left(before, name) or status


if __name__ == "__main__":
    sys.exit(main())
