# SPDX-License-Identifier: GPL-2.0-or-later
"""What the integration tests share.

	import harness

	def merges_all(t):
	    targets = [t.target("dup", "--id", str(i)) for i in range(4)]
	    daemon = t.daemon(t.config())
	    harness.wait_for(lambda: daemon.status()["pages_saved"] > 1000, 30)

	harness.run(merges_all)

Every function is one test. It gets a Test, which owns whatever the function
starts and ends it afterwards, puts every KSM knob back and lets ksmd forget
the dead. KSM is one for the whole machine: run() holds the lock all the time.
"""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KSMD_PLUS_BUILD", TOP / "build")).resolve()
KSM = Path("/sys/kernel/mm/ksm")
LOCK = "/run/ksmd-plus-test.lock"
FAST = os.environ.get("TEST_FAST") == "1"
# On emulated machines: everything may take so many times as long.
SLOW = float(os.environ.get("TEST_SLOW", "1"))
# Who has started us holds the lock already.
LOCKED = "TEST_LOCKED" in os.environ
# A program with its arguments that runs ours, and nothing else (matrix.py).
UNDER = tuple(os.environ.get("TEST_UNDER", "").split())

# In the order in which they can be written: the advisor refuses
# pages_to_scan, and run comes last.
KNOBS = ("advisor_mode", "advisor_max_cpu", "advisor_target_scan_time",
         "advisor_min_pages_to_scan", "advisor_max_pages_to_scan",
         "smart_scan", "use_zero_pages", "pages_to_scan", "sleep_millisecs",
         "max_page_sharing", "merge_across_nodes", "run")


MUTE = re.compile("does not answer|Connection timed out")


class Skip(Exception):
    """This test cannot run here; says why."""


class Failed(Exception):
    """What should have held did not."""


def skip(reason):
    raise Skip(reason)


def check(condition, why):
    if not condition:
        raise Failed(why)


def wait_for(condition, seconds, what="the condition", pause=0.05):
    """The first true value of condition(); Failed when the time is over."""
    seconds *= SLOW
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"{what} did not come true within {seconds:g} s")
        time.sleep(pause)


def whereabouts(pid):
    """Where each of its threads is, for who wonders why it does not go on."""
    def read(task, name):
        with contextlib.suppress(OSError):
            return (task / name).read_text().strip()
        return "?"
    return "; ".join(f"{read(task, 'stat').rsplit(' ', 49)[0]} "
                     f"{read(task, 'wchan')} syscall {read(task, 'syscall')}"
                     for task in sorted(Path(f"/proc/{pid}/task").iterdir()))


def cpu_seconds(pid):
    """CPU time of all threads of @pid, living and dead: its process clock."""
    return time.clock_gettime((~pid << 3) | 2)


def ksmd_pid():
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text() == "ksmd\n":
                    return int(entry.name)
    return None


def ksm(name):
    """One of KSM's numbers; 0 where this kernel has no such file."""
    try:
        return int((KSM / name).read_text())
    except FileNotFoundError:
        return 0


def ksm_write(name, value):
    (KSM / name).write_text(str(value))


def cow_ksm():
    """How many merged pages were broken by writes (or by pinning reads)."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        if line.startswith("cow_ksm "):
            return int(line.split()[1])
    return 0


def marks(pid):
    """How many mappings of @pid are registered with KSM."""
    return sum(line.startswith("VmFlags:") and " mg " in line
               for line in Path(f"/proc/{pid}/smaps").read_text().split("\n"))


def ksm_stat(pid):
    """/proc/PID/ksm_stat as a dictionary of numbers."""
    stat = {}
    for line in Path(f"/proc/{pid}/ksm_stat").read_text().split("\n"):
        words = line.replace(":", " ").split()
        if len(words) == 2:
            stat[words[0]] = (int(words[1]) if words[1].isdigit()
                              else words[1])
    if "ksm_merging_pages" not in stat:     # Linux 6.1 has it apart
        path = Path(f"/proc/{pid}/ksm_merging_pages")
        # empty, like ksm_stat, where the main thread has ended
        stat["ksm_merging_pages"] = int(path.read_text() or 0)
    return stat


def knobs():
    """Every knob that this kernel has, as text that can be written back."""
    values = {}
    for name in KNOBS:
        with contextlib.suppress(FileNotFoundError):
            text = (KSM / name).read_text().strip()
            if "[" in text:     # "[none] scan-time"
                text = text.split("[")[1].split("]")[0]
            values[name] = text
    return values


def family_of(pid):
    """@pid and all that it has forked."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *map(int, children.split())]


def restore_knobs(saved):
    """Write back what differs, in an order that the kernel accepts."""
    for name in KNOBS:
        if name in saved and knobs().get(name) != saved[name]:
            with contextlib.suppress(OSError):
                ksm_write(name, saved[name])


def settle():
    """Let ksmd free what dead processes left, so that counters are true."""
    if knobs().get("advisor_mode", "none") != "none":
        ksm_write("advisor_mode", "none")
    ksm_write("pages_to_scan", 20000)
    ksm_write("run", 1)
    before = ksm("full_scans")
    deadline = time.monotonic() + 5 * SLOW
    tick = 10
    # With nobody left on its list ksmd parks and full_scans stands still.
    while time.monotonic() < deadline and ksm("full_scans") < before + 3 and \
            (ksm("pages_shared") or ksm("ksm_zero_pages") > 0):
        tick ^= 1               # a changed value is what wakes ksmd
        ksm_write("sleep_millisecs", tick)
        time.sleep(0.05)


class Target:
    """A program of tests/targets, put under the daemon. Talks in lines."""

    def __init__(self, argv, ready="ready"):
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True)
        self.pid = self.process.pid
        self.pending = b""
        if ready:
            self.wait_for_word(argv[0], ready)

    def wait_for_word(self, name, ready):
        """Skip if it finds that it is not possible here."""
        try:
            line = self.line(60)
            if line.startswith("memory "):
                line = self.line(60)
        except Failed:
            if self.process.poll() == 77:
                raise Skip(f"{name} is not possible here") from None
            raise
        check(line == ready, f"{name} said {line}, not {ready}")

    def has_line(self, seconds=0.0):
        """Whether a line is there, or comes in time. Failed at the end of
        its output."""
        deadline = time.monotonic() + seconds * SLOW
        fd = self.process.stdout.fileno()
        while b"\n" not in self.pending:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([fd], [], [], left)[0]:
                return False
            data = os.read(fd, 65536)
            if not data:
                raise Failed(f"pid {self.pid} ended, {self.ended()}")
            self.pending += data
        return True

    def line(self, seconds=30):
        """The next line that it prints."""
        if not self.has_line(seconds):
            raise Failed(f"pid {self.pid} said nothing for {seconds} s")
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode()

    def ended(self):
        status = self.process.wait()
        return (f"killed by {signal.Signals(-status).name}" if status < 0
                else f"exit status {status}")

    def last_words(self):
        """How it ended, and what it said last."""
        said = (self.pending + self.process.stdout.read()).decode().strip()
        return f"pid {self.pid} ended, {self.ended()}: {said}"

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, line, seconds=60):
        self.tell(line)
        return self.line(seconds)

    def intact(self):
        """Its memory is as it wrote it, by its own account."""
        said = self.ask("verify")
        check(said == "intact", f"pid {self.pid}: {said}")

    def finish(self, seconds=60):
        """End of input; what it verified last decides its exit status."""
        self.process.stdin.close()
        try:
            status = self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise Failed(f"pid {self.pid} does not end: "
                         f"{whereabouts(self.pid)}") from None
        check(status == 0, self.last_words())

    def ksm_stat(self):
        return ksm_stat(self.pid)

    def stop(self):
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


class Daemon:
    """ksmd-plus with a runtime directory and a configuration of its own."""

    def __init__(self, folder, config, args=(), env=(), program=None,
                 under=()):
        self.folder = Path(folder)
        self.run_dir = self.folder / "run"
        self.run_dir.mkdir(exist_ok=True)
        self.config = self.folder / "ksmd-plus.conf"
        self.config.write_text(config)
        self.log_path = self.folder / "log"
        # no test's daemon is on the machine's own bus
        self.env = dict(os.environ, RUNTIME_DIRECTORY=str(self.run_dir),
                        DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent")
        # LeakSanitizer would trace, which the daemon cannot
        self.env.setdefault("ASAN_OPTIONS", "detect_leaks=0")
        self.env.update(env)
        self.argv = [*UNDER, *under, str(program or BUILD / "ksmd-plus"),
                     "--config", str(self.config), *args]
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self.argv], env=self.env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        self.pid = self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def ctl(self, *args):
        """Run ksmd-plusctl; the CompletedProcess, output as text. It waits
        10 seconds for an answer, which may be short on emulated machines."""
        for _ in range(int(SLOW)):
            done = subprocess.run([str(BUILD / "ksmd-plusctl"), *args],
                                  env=self.env, capture_output=True, text=True,
                                  timeout=60 * SLOW)
            if done.returncode == 0 or not MUTE.search(done.stderr):
                break
        return done

    def ctl_json(self, verb):
        done = self.ctl(verb, "--json")
        check(done.returncode == 0, f"ksmd-plusctl {verb}: {done.stderr}")
        return json.loads(done.stdout)

    def status(self):
        return self.ctl_json("status")

    def wait_ready(self, seconds=30):
        """Until it answers on its socket."""
        def answers():
            if self.process.poll() is not None:
                raise Failed(f"the daemon ended with status "
                             f"{self.process.returncode}: {self.log()[-500:]}")
            return self.ctl("status", "--json").returncode == 0
        wait_for(answers, seconds, "the daemon's first answer")
        return self

    def terminate(self, seconds=30):
        """SIGTERM, as systemd sends it; returns the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failed(f"the daemon did not end within {seconds} s "
                             f"of SIGTERM") from None
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.wait()


class Test:
    """What one test has started; close() ends it and puts KSM back."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.folder = Path(self.stack.enter_context(
            tempfile.TemporaryDirectory(prefix="ksmd-plus-test.")))
        self.saved = knobs()
        self.daemons = []
        if self.saved:
            self.stack.callback(restore_knobs, self.saved)
            self.stack.callback(settle)

    def target(self, name, *args, ready="ready"):
        """Start a target from this test's own folder, so that `exe =` in
        config() means these processes and no others."""
        program = self.folder / name
        if not program.exists():
            shutil.copy(BUILD / "tests/targets" / name, program)
        return self.own(Target([str(program), *args], ready))

    def own(self, thing):
        """End @thing, by its stop(), when the test ends."""
        self.stack.callback(thing.stop)
        return thing

    def config(self, *lines, mode="selective"):
        """A configuration for this test's targets and no other process;
        @lines are put before its sections."""
        return "\n".join([
            *lines,
            "[target test]", f"exe = {self.folder}/*", f"mode = {mode}",
            "[target others]", "comm = *", "mode = exclude", ""])

    def daemon(self, config=None, args=(), env=(), wait=True, under=()):
        """@under: a program with its arguments that runs the daemon."""
        daemon = Daemon(self.folder, config or self.config(), args, env,
                        under=under)
        self.daemons.append(daemon)
        self.stack.callback(daemon.terminate)
        return daemon.wait_ready() if wait else daemon

    def close(self):
        self.stack.close()


GUEST = b"""
import mmap, sys
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
memory = mmap.mmap(-1, 8 << 20, flags=flags)
for page in range(len(memory) // 4096):
    memory[page * 4096:(page + 1) * 4096] = b"%04d" % (page % 1024) * 1024
print("ready", flush=True)
sys.stdin.read()
"""


def guest(t, name):
    """What looks like QEMU to whoever looks at programs and command lines:
    a guest called @name (bytes) with 8 MiB, each page twice."""
    program, script = t.folder / "qemu-system-test", t.folder / "guest.py"
    if not program.exists():
        shutil.copy(os.path.realpath(sys.executable), program)
        script.write_bytes(GUEST)
    return t.own(Target([str(program), str(script), "-name",
                         b"guest=" + name]))


def on_terminal(*args, columns=80, env=()):
    """What ksmd-plusctl prints on a terminal of so many columns."""
    main, sub = pty.openpty()
    fcntl.ioctl(sub, termios.TIOCSWINSZ,
                struct.pack("HHHH", 24, columns, 0, 0))
    environ = {**os.environ, "RUNTIME_DIRECTORY": "/nonexistent",
               "TERM": "xterm", **dict(env)}
    for name in ("NO_COLOR", "COLUMNS"):
        if name not in dict(env):
            environ.pop(name, None)
    process = subprocess.Popen([str(BUILD / "ksmd-plusctl"), *args],
                               env=environ, stdout=sub, stderr=sub,
                               stdin=subprocess.DEVNULL)
    os.close(sub)
    text = b""
    with contextlib.suppress(OSError):      # EIO when it has ended
        while data := os.read(main, 65536):
            text += data
    os.close(main)
    process.wait(60 * SLOW)
    return text.decode().replace("\r\n", "\n")


def need_ksm():
    """Skip unless KSM is there, is ours to write, and shows page frames."""
    if os.geteuid() != 0:
        skip("needs root")
    if not (KSM / "run").exists():
        skip("this kernel has no KSM")
    if not os.access(KSM / "run", os.W_OK) or \
       os.statvfs(KSM).f_flag & os.ST_RDONLY:
        skip("the KSM knobs cannot be written")


def attempt(function):
    """Run one test; its daemons' last words are printed if it fails."""
    test = Test()
    try:
        function(test)
    except BaseException as e:
        if not isinstance(e, Skip):
            for daemon in test.daemons:
                for line in daemon.log().splitlines()[-30:]:
                    print(f"# log: {line}")
        with contextlib.suppress(Failed):   # what failed first is told
            test.close()
        raise
    test.close()


def run_one(function, needs):
    """Print one result; False if it failed."""
    name = function.__name__.replace("_", " ")
    try:
        needs()
        attempt(function)
    except Skip as e:
        print(f"ok {name} # SKIP {e}", flush=True)
    except Exception as e:
        for line in traceback.format_exc().splitlines():
            print(f"# {line}")
        why = " ".join(str(e).split()) or type(e).__name__
        print(f"not ok {name} # {why}", flush=True)
        return False
    else:
        print(f"ok {name}", flush=True)
    return True


def run(*functions, needs=need_ksm):
    """Run the tests, or those named in the arguments, and exit."""
    def stop(number, frame):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + number)      # what a test owns is ended

    signal.signal(signal.SIGTERM, stop)
    chosen = [f for f in functions
              if len(sys.argv) < 2 or f.__name__ in sys.argv[1:]]
    with open(LOCK, "w") as lock:
        if not LOCKED:
            fcntl.flock(lock, fcntl.LOCK_EX)
        results = [run_one(f, needs) for f in chosen]
    sys.exit(0 if all(results) else 1)
