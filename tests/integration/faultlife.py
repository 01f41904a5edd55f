# SPDX-License-Identifier: GPL-2.0-or-later
"""One life of a daemon in which planned calls fail, and what must hold after
it. faults.py tells the whole."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import harness
from faultsites import Sites
from harness import check, wait_for

LIBRARY = harness.BUILD / "tests/faults/faults.so"
PROGRAMS = ("ksmd-plus", "ksmd-plus-injector")
PATIENCE = float(os.environ.get("FAULTS_PATIENCE", "30"))

# With no memory at the wrong moment they end the program: libsystemd (252
# does), and glibc where it looks up users.
ASSERTION = re.compile(r"Assertion '.*' failed at src/(libsystemd|basic)|"
                       r"nss_\w+\.c:\d+: \w+: Assertion `.*' failed")


def crashed_in_a_library(pid):
    """By the kernel's own account: without memory glibc's look-up of users
    does that, too."""
    said = subprocess.run(["dmesg"], capture_output=True, text=True).stdout
    found = re.findall(rf"\[{pid}\]: segfault at .* in ([^\[\s]+)\[", said)
    return bool(found) and ".so" in found[-1]


class Life:
    """What became of a daemon."""

    def __init__(self, plan):
        self.plan = plan
        self.fired = []         # of the plan, in their order
        self.bad = ""           # why this life was not as it has to be
        self.survived = False
        self.restored = True    # by its own end, not by --restore
        self.aborted = False    # not by us, but by a library
        self.left = False       # marks, for the next daemon
        self.last_words = []    # of the daemon, after a bad life
        self.phases = ""        # what took how long


class Over(Exception):
    """The daemon has ended by itself."""


class World:
    """Targets that outlive daemons, and the daemons."""

    def __init__(self, t):
        self.t = t
        self.sites = [Sites(t.folder, program) for program in PROGRAMS]
        self.knobs = {**harness.knobs(), "run": "1", "sleep_millisecs": "37",
                      "pages_to_scan": "123"}
        harness.restore_knobs(self.knobs)
        self.knobs = harness.knobs()
        self.n = 0
        self.killed = set()
        self.steady = [p for _ in range(2) for p in self.pair()]
        self.fresh = []
        self.daemon = None
        self.config = t.config("[scan]", "cpu_limit = 100%")

    def pair(self):
        self.n += 1
        return [self.t.target("dup", "--size", "2", "--run", "4", "--dup",
                              "50", "--seed", str(self.n), "--id", str(i))
                for i in range(2)]

    def tick(self, what):
        """@what is done; how long it took since the last."""
        now = time.monotonic()
        self.clock.append((what, now - self.ticked))
        self.ticked = now

    def last_words(self):
        """Of the daemon: its log, and what it thinks of itself."""
        lines = self.daemon.log().splitlines()[-15:]
        if self.daemon.process.poll() is None:
            for verb in ("status", "list"):
                lines += self.daemon.ctl(verb).stdout.splitlines()
        return lines

    def start(self):
        env = {"LD_PRELOAD": str(LIBRARY),
               "FAULTS": str(self.t.folder / "faults")}
        if self.daemon:
            self.daemon.env.update(env)
            self.daemon.log_path.write_bytes(b"")
            self.daemon.start()
        else:
            self.daemon = self.t.daemon(self.config, env=env, wait=False)

    def plan(self, faults):
        self.skipped = set()
        # DEATH: to attach is refused then with EPERM (tests/faults/faults.c)
        self.refused = any(f.program == PROGRAMS[1] and
                           f.word in ("EACCES", "EPERM", "DEATH")
                           for f in faults)
        self.n_fatal = sum(f.program == PROGRAMS[1] for f in faults)
        for sites in self.sites:
            self.killed.update(sites.victims())
            sites.plan(f for f in faults if f.program == sites.program)

    # --- one life ----------------------------------------------------------

    def live(self, plan):
        life = Life(plan)
        self.clock, self.ticked = [], time.monotonic()
        self.plan(plan)
        self.start()
        try:
            try:
                self.scenario()
                life.survived = True
            except Over:
                self.ended(life)
            else:
                self.ending(life)
            self.tick("end")
            life.fired = self.fired(plan)
            self.after(life)
            self.tick("after")
        except harness.Failed as e:
            life.bad = str(e)
            life.last_words = self.last_words()
            self.recover()
        life.phases = " ".join(f"{what} {seconds:.1f}"
                               for what, seconds in self.clock)
        if not life.fired:
            life.fired = self.fired(plan)
        return life

    def fired(self, plan):
        order = {(s.program, key): n for s in self.sites
                 for key, n in s.fired().items()}
        return sorted((f for f in plan if f.place() in order),
                      key=lambda f: order[f.place()])

    def until(self, condition, what):
        """True from condition(), or the daemon's own end. An injector that
        has died is started again after 5 s, and may die of each failure."""
        d, start, asked = self.daemon, time.monotonic(), 0
        seconds = PATIENCE + 6 * self.n_fatal
        while not condition():
            if d.process.poll() is not None:
                raise Over
            now = time.monotonic() - start
            check(now < seconds, f"{what} did not come true")
            if now > asked + 1:
                asked = now
                self.replace()
                self.look_for_skipped()
                d.ctl("rescan")
            time.sleep(0.02)

    def succeeds(self, *args):
        self.until(lambda: self.daemon.ctl(*args).returncode == 0,
                   f"ksmd-plusctl {args[0]}")

    def look_for_skipped(self):
        """Who is refused to the injector is left alone, and that is right."""
        if not self.refused:
            return
        done = self.daemon.ctl("list", "--json")
        if done.returncode == 0:
            self.skipped = {row["pid"] for row in json.loads(done.stdout)
                            if row["state"] == "skipped"}

    def merged(self, targets):
        """Each with its twin, the one beside it."""
        pairs = zip(targets[::2], targets[1::2])
        return all(p.ksm_stat().get("ksm_merging_pages", 0) >= 240
                   for pair in pairs for p in pair
                   if p.process.poll() is None and
                   not self.skipped & {one.pid for one in pair})

    def scenario(self):
        self.succeeds("status")
        self.tick("answer")
        self.until(lambda: self.merged(self.steady), "the first merge")
        self.tick("merge")
        for verb in ("list", "status"):
            self.succeeds(verb, "--json")
        self.until(lambda: self.daemon.ctl(
            "explain", str(self.steady[0].pid)).returncode == 0, "explain")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.succeeds("pause")
        self.succeeds("resume")
        self.tick("verbs")
        self.fresh = self.pair()
        self.until(lambda: self.merged(self.fresh), "the second merge")
        self.tick("merge")
        self.replace()
        if self.fresh:
            self.fresh.pop(0).finish()
        self.succeeds("status")

    def ended(self, life):
        """It ended by itself: with a reason, and not by a crash."""
        status = self.daemon.process.wait()
        log = self.daemon.log()
        if status == -signal.SIGABRT and ASSERTION.search(log) or \
                status == -signal.SIGSEGV and \
                crashed_in_a_library(self.daemon.pid):
            life.aborted = True
            return
        check(status > 0, f"ended by itself, {status}: {log[-1500:]}")
        check(log.strip(), f"ended with {status}, and said nothing")

    def ending(self, life):
        status = self.daemon.terminate(60)
        check(status >= 0, f"killed by signal {-status} at its end: "
              f"{self.daemon.log()[-1500:]}")
        check(status == 0 or self.daemon.log().strip(),
              f"ended with {status}, and said nothing")

    def after(self, life):
        """Nobody is harmed, and all is as it was."""
        life.restored = harness.knobs() == self.knobs
        life.left = not self.no_marks()
        self.restore()
        now = harness.knobs()
        for name in now:
            check(now[name] == self.knobs[name],
                  f"{name} is {now[name]}, it was {self.knobs[name]}")
        self.check_targets()
        wait_for(lambda: not injectors(), 20, "the end of all injectors")
        if life.left:           # the next daemon takes them back
            self.plan(())
            self.start()
            self.daemon.wait_ready()
            self.until(lambda: self.merged(self.steady), "merging again")
            check(self.daemon.terminate(60) == 0, "the next daemon's status")
            check(self.no_marks(), "marks that nobody takes back")

    def no_marks(self):
        return not any(harness.marks(p.pid) for p in self.steady + self.fresh
                       if p.process.poll() is None)

    def restore(self):
        """As ExecStopPost= does."""
        d = self.daemon
        env = {k: v for k, v in d.env.items() if k != "LD_PRELOAD"}
        done = subprocess.run([*d.argv, "--restore"], env=env, text=True,
                              capture_output=True, timeout=60)
        check(done.returncode == 0, f"--restore: {done.stderr}")

    def check_targets(self):
        self.replace()
        for p in self.steady + self.fresh:
            status = Path(f"/proc/{p.pid}/status").read_text()
            check("TracerPid:\t0\n" in status, f"pid {p.pid} is traced")
            p.intact()
        for p in self.fresh:
            p.finish()
        self.fresh = []

    def replace(self):
        """Those that were killed in the kernel's stead, and nobody else."""
        self.killed.update(pid for s in self.sites for pid in s.victims())
        for p in self.steady + self.fresh:
            if p.process.poll() is None or p not in self.steady + self.fresh:
                continue
            check(p.pid in self.killed and p.process.returncode == -9,
                  f"a target has ended: {p.ended()}")
            if p in self.steady:
                i = self.steady.index(p) & ~1
                for other in self.steady[i:i + 2]:
                    other.stop()
                self.steady[i:i + 2] = self.pair()
            else:
                for other in self.fresh:
                    other.stop()
                self.fresh = []

    def recover(self):
        """After a bad life: new targets, and the old knobs."""
        if self.daemon.process.poll() is None:
            self.daemon.kill()
        wait_for(lambda: not injectors(), 20, "the end of all injectors")
        for p in self.steady + self.fresh:
            p.stop()
        self.fresh = []
        self.steady = [p for _ in range(2) for p in self.pair()]
        for file in self.daemon.run_dir.iterdir():
            file.unlink()
        harness.restore_knobs(self.knobs)


def injectors():
    """Pids of our injectors."""
    ours = str(harness.BUILD / "ksmd-plus-injector")
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe") == ours:
                found.append(int(pid))
        except OSError:
            pass
    return found
