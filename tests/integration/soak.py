#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 900
"""Processes come, go, fork and write; afterwards nothing has been left behind.

Rounds of churn, each followed by calm with the same two processes as before.
Every kind of tests/targets is among those that come and go, and verifies itself
when it goes. What must hold at every moment is looked at once a second
(invariants.py); and what the daemon holds in the calm (resident memory,
descriptors, threads, the ledger) must not grow from round to round.
SOAK_SECONDS=1800 for a long one (`make soak`); every round's figures are
printed.
"""

import contextlib
import dataclasses
import os
import random
import shutil
import signal
import time

import harness
from harness import check, wait_for
from invariants import Invariants, status_number

SECONDS = int(os.environ.get("SOAK_SECONDS", "60"))
ROUNDS = 4
TRIM_SECONDS = 12               # then what was freed is the kernel's again
AT_ONCE = 12                    # processes that churn
CPU_LIMIT = 0.5
# Who notices what is done to him, and is not one of the many. That are
# those with a name and arguments; any of them may be impossible here.
ODD = (("sandbox", "--action", "kill"), ("sandbox", "--action", "trap"),
       ("sandbox", "--action", "errno"), ("blocked", "--call", "epoll_wait"),
       ("blocked", "--call", "semop"), ("blocked", "--call", "connect"),
       ("blocked", "--call", "futex-timeout"),
       ("blocked", "--call", "recv-timeout"), ("timed",), ("ticker",),
       ("mapper",), ("forker",), ("rseq",), ("threads",), ("dispatch",),
       ("vforker",), ("execer",), ("fickle",), ("leaderless",), ("novdso",),
       ("novdso", "--text", "hidden"), ("hidden",), ("bits32",),
       ("collider",), ("turncoat",), ("spawner",), ("vast",),
       ("splinters", "--early", "20000", "--spare", "2100"))
ODD_EACH = 4                    # one of so many is one of these
# What an allocator may keep of what was free before.
RSS_SLACK_KB = 1024
RSS_SLACK = 0.05
RSS_MAX_KB = 64 << 10           # beside 16 bytes a page (design 3.7)
LONG_SECONDS = 600


@dataclasses.dataclass
class Held:
    """What the daemon and its injector hold."""
    rss_kb: int
    descriptors: int
    threads: int
    children: int
    enrolled: int               # ranges in the ledger, of living processes
    ledger_bytes: int

    def __str__(self):
        return (f"{self.rss_kb} kB, {self.descriptors} descriptors, "
                f"{self.threads} threads, {self.enrolled} ranges in "
                f"{self.ledger_bytes} bytes of ledger")


def ledger_ranges(daemon):
    """What the ledger says is enrolled now: {(pid, start)} -> ranges."""
    ranges = {}
    text = (daemon.run_dir / "ledger").read_text()
    for words in map(str.split, text.splitlines()):
        if words[0] == "enrol":
            ranges.setdefault(tuple(words[1:3]), set()).add(words[3])
        elif words[0] == "forget":
            ranges.pop(tuple(words[1:3]), None)
    return ranges, len(text)


def held(daemon):
    family = harness.family_of(daemon.pid)
    ranges, size = ledger_ranges(daemon)
    return Held(sum(status_number(pid, "VmRSS") for pid in family),
                sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in family),
                sum(status_number(pid, "Threads") for pid in family),
                len(family) - 1, sum(map(len, ranges.values())), size)


class Churn:
    """Processes that live for some seconds each, some of them badly."""

    def __init__(self, t, daemon, seed):
        self.t, self.daemon = t, daemon
        self.watching = Invariants(daemon, self.pids, CPU_LIMIT)
        self.random = random.Random(seed)
        self.alive = []         # (when it ends, Target)
        self.n = 0
        self.odd = list(ODD)
        self.kinds = set()      # that have been

    def start_one(self):
        if self.random.randrange(ODD_EACH) == 0:
            self.start_odd()
            return
        kind = self.random.choice(("dup", "dup", "dup", "registered", "family"))
        size = str(self.random.choice((2, 8, 24, 48)))
        if kind == "family":
            args = ["family", "--size", size, "--children", "4"]
        else:
            args = ["dup", "--size", size, "--id", str(self.n + 10), "--run",
                    str(self.random.choice((1, 16, 256))), "--zero", "5"]
            if kind == "registered":
                args += ["--register", "madvise"]
        self.add(kind, args)

    def start_odd(self):
        args = self.random.choice(self.odd)
        try:
            self.add(args[0], [*args, *(() if args[0] in ("vast", "splinters")
                                        else ("--size", "2"))])
        except harness.Skip:
            self.odd.remove(args)

    def add(self, kind, args):
        program = self.t.folder / args[0]
        if not program.exists():
            shutil.copy(harness.BUILD / "tests/targets" / args[0], program)
        target = harness.Target([str(program), *args[1:]])
        self.alive.append((time.monotonic() + self.random.uniform(0.5, 12),
                           kind, target))
        self.n += 1
        self.kinds.add(tuple(args[:3]) if kind in ("sandbox", "blocked")
                       else kind)

    def pids(self):
        """For Invariants; from another thread."""
        return {target.pid: kind == "dup" for _, kind, target in
                self.alive[:] if target.process.returncode is None}

    def end(self, kind, target):
        """It verifies itself and ends; one in three is killed instead."""
        if self.random.random() < 1 / 3:
            for pid in harness.family_of(target.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            if kind == "dup":
                target.intact()
            target.finish()
        target.stop()

    def write_some(self):
        if not self.alive:
            return
        kind, target = self.random.choice(self.alive)[1:]
        if kind == "dup":
            target.ask(f"write {self.random.randrange(1, 200)}")

    def disturb(self):
        """What operators do."""
        what = self.random.choice(("rescan", "pause", "reload"))
        if what == "reload":
            self.daemon.process.send_signal(signal.SIGHUP)
            return
        check(self.daemon.ctl(what).returncode == 0, what)
        if what == "pause":
            time.sleep(1)
            check(self.daemon.ctl("resume").returncode == 0, "resume")

    def run(self, seconds):
        end = time.monotonic() + seconds
        disturb = time.monotonic() + seconds / 3
        while time.monotonic() < end:
            now = time.monotonic()
            for entry in [e for e in self.alive if e[0] <= now]:
                self.alive.remove(entry)
                self.end(*entry[1:])
            while len(self.alive) < AT_ONCE:
                self.start_one()
            self.watching.check()
            self.write_some()
            if now >= disturb:
                self.disturb()
                disturb = now + max(10, seconds / 3)
            time.sleep(0.1)

    def stop(self):
        while self.alive:
            self.end(*self.alive.pop()[1:])


def calm(daemon, pids):
    """Until it knows of nobody but @pids and rests. What is over its budget
    or finds the machine busy takes its time for that."""
    seen = []

    def is_calm():
        known = {row["pid"] for row in daemon.ctl_json("list")}
        status = daemon.status()
        seen[:] = [status["state"], status["activity"], known ^ pids]
        return known == pids and status["state"] == "resting"
    try:
        wait_for(is_calm, 300, "the calm after a round", 0.5)
    except harness.Failed as e:
        raise harness.Failed(f"{e}: {seen}") from e
    time.sleep(TRIM_SECONDS)


def nothing_is_left_behind(t):
    pair = [t.target("dup", "--size", "32", "--id", str(i)) for i in range(2)]
    pids = {p.pid for p in pair}
    daemon = t.daemon(t.config("[scan]", f"cpu_limit = {CPU_LIMIT:.0%}"))
    wait_for(lambda: daemon.status()["pages_saved"] >= 2000, 60, "the merge")
    calm(daemon, pids)
    rounds = [held(daemon)]
    print(f"# before: {rounds[0]}", flush=True)
    churn = Churn(t, daemon, seed=1)
    t.stack.callback(churn.stop)
    churn.watching.start()
    t.stack.callback(churn.watching.stop)
    for i in range(ROUNDS):
        churn.run(SECONDS / ROUNDS)
        churn.stop()
        calm(daemon, pids)
        rounds.append(held(daemon))
        print(f"# round {i + 1}, {churn.n} processes so far: {rounds[-1]}",
              flush=True)
    churn.watching.stop()
    churn.watching.check()
    print(f"# {len(churn.kinds)} kinds of targets, {churn.n} of them, "
          f"{churn.watching.looks} looks at what must hold", flush=True)
    first, last = rounds[1], rounds[-1]
    for p in pair:
        p.intact()
    check(last.descriptors <= rounds[0].descriptors,
          f"{last.descriptors} descriptors, {rounds[0].descriptors} at first")
    check(last.threads == rounds[0].threads and
          last.children == rounds[0].children, "threads or children are left")
    check(last.enrolled <= first.enrolled + 64,
          f"{last.enrolled} ranges in the ledger, {first.enrolled} before")
    check(last.rss_kb <= RSS_MAX_KB, f"{last.rss_kb} kB resident")
    # a short round may not have met those who need most
    most = max(r.rss_kb for r in rounds[:ROUNDS // 2 + 1])
    check(SECONDS < LONG_SECONDS or
          last.rss_kb <= most * (1 + RSS_SLACK) + RSS_SLACK_KB,
          f"{last.rss_kb} kB resident, {most} kB after half of the rounds")
    check(daemon.status()["warnings"] == [],
          f"warnings: {daemon.status()['warnings']}")
    saved = harness.knobs(), t.saved
    check(daemon.terminate() == 0, "the daemon's exit status")
    check(harness.knobs() == t.saved, f"knobs are left: {saved}")
    # On a slow machine the time may be over: it says so then.
    check(all(harness.marks(p.pid) == 0 for p in pair) or
          "Withdrawing takes too long" in daemon.log(), "marks are left")


if __name__ == "__main__":
    harness.run(nothing_is_left_behind)
