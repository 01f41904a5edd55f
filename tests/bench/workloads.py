# SPDX-License-Identifier: GPL-2.0-or-later
"""What is merged.

	Generated	tests/targets/dup: a known share of duplicates, in runs,
			and a share that is rewritten all the time
	Fleet		CPython servers: masters that load an application and
			fork workers, each started by itself (fleet.py)
	Guests		virtual machines, booted one after another while the
			contender is at work (tests/guest)

A workload knows how many pages can be merged (possible), how many make the
measurement end (wanted), and how many are merged now.
"""

import sys
import time
from pathlib import Path

import frames
import guest
import harness
from measuring import DONE_SHARE, POLL_SECONDS

HERE = Path(__file__).resolve().parent


class Workload:
    poll = POLL_SECONDS

    def __init__(self):
        self.possible = 1
        self.wanted = 1

    def merged(self):
        return harness.ksm("pages_sharing")

    def advance(self):
        """Called between two looks: what happens by and by."""

    def check(self):
        """Nobody was harmed."""


class Generated(Workload):
    def __init__(self, mib, dup, run, n=4, volatile=0):
        super().__init__()
        self.mib, self.dup, self.run, self.n = mib, dup, run, n
        self.volatile = volatile
        self.targets = []

    def start(self, t, register):
        more = ["--volatile", str(self.volatile)] if self.volatile else []
        self.targets = [
            t.target("dup", "--size", str(self.mib), "--id", str(i), "--dup",
                     str(self.dup), "--run", str(self.run), "--register",
                     register, *more, ready=None) for i in range(self.n)]
        for target in self.targets:
            harness.check(target.line(120) == "ready", "a target is not ready")
        # All copies but one of each duplicate.
        counts = [int(target.ask("count").split()[1])
                  for target in self.targets]
        self.possible = sum(counts) - max(counts)
        self.wanted = int(self.possible * DONE_SHARE)

    def config(self, t):
        return t.config()

    def check(self):
        for target in self.targets:
            target.intact()

    def finish(self):
        for target in self.targets:
            target.finish()


class Real(Workload):
    """Contents that nobody has planned: page tables tell what is saved, and
    page contents what could be. Such a look takes time, so there are few."""
    poll = 0.5

    def pids(self):
        """(whose whole memory counts, of whom only what is registered)"""
        raise NotImplementedError

    def merged(self):
        pages, in_frames = frames.saved(*self.pids())
        return pages - in_frames - self.shared_before

    def weigh(self, share):
        pages, in_frames = frames.saved(*self.pids())
        self.shared_before = pages - in_frames
        self.possible = frames.possible(*self.pids())
        self.wanted = int(self.possible * share)


class Fleet(Real):
    """@n masters with @workers each, which have answered some requests."""
    done_share = 0.9

    def __init__(self, n, workers):
        super().__init__()
        self.n, self.workers = n, workers
        self.masters = []

    def start(self, t, register):
        self.name = f"{t.folder.name[-8:]}f"
        self.masters = [
            t.own(harness.Target([sys.executable, str(HERE / "fleet.py"),
                                  self.name, str(self.workers), register],
                                 ready=None)) for _ in range(self.n)]
        for master in self.masters:
            harness.check(master.line(120) == "ready", "a master failed")
        self.weigh(self.done_share)

    def pids(self):
        return ([pid for master in self.masters
                 for pid in harness.family_of(master.pid)], ())

    def config(self, t):
        return "\n".join(["[target fleet]", f"comm = {self.name}",
                          "[target others]", "comm = *", "mode = exclude", ""])

    def check(self):
        for master in self.masters:
            master.intact()


class Guests(Real):
    """@n guests: the next one starts when the last is up."""
    poll = 1.0
    done_share = 0.9

    def __init__(self, n, possible=sys.maxsize):
        super().__init__()
        self.n = n
        self.possible = possible
        self.wanted = int(possible * self.done_share)
        self.guests = []

    def start(self, t, register):
        self.test = t
        self.guests = []
        self.boot()

    def boot(self):
        name = f"{self.test.folder.name[-8:]}g{len(self.guests)}"
        self.guests.append(self.test.own(guest.Guest(name)))

    def advance(self):
        if len(self.guests) < self.n and self.guests[-1].ready():
            self.boot()

    def merged(self):
        pages, in_frames = frames.saved(*self.pids())
        return pages - in_frames

    def weigh(self, t):
        """How many pages can be merged, with nobody at work: contents are
        the same at every boot, but for a few."""
        self.start(t, "no")
        while len(self.guests) < self.n:
            self.advance()
            time.sleep(0.1)
        harness.wait_for(self.guests[-1].ready, 120, "the guests' start")
        return self.merged() + frames.possible(*self.pids())

    def pids(self):
        return ((), [g.process.pid for g in self.guests])

    def config(self, t):
        return (harness.TOP / "etc/ksmd-plus.conf").read_text()

    def check(self):
        for machine in self.guests:
            harness.check(machine.ready(), "a guest died")
