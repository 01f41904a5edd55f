#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 900
"""Processes come, go, fork and write; afterwards nothing has been left behind.

Rounds of churn, each followed by calm with the same two processes as before.
What the daemon holds in the calm (resident memory, descriptors, threads, the
ledger) must not grow from round to round. SOAK_SECONDS=1800 for a long one
(`make soak`); every round's figures are printed.
"""

import contextlib
import dataclasses
import os
import random
import signal
import time
from pathlib import Path

import harness
from harness import check, wait_for

SECONDS = int(os.environ.get("SOAK_SECONDS", "60"))
ROUNDS = 4
AT_ONCE = 12                    # processes that churn
# What an allocator may keep of what was free before.
RSS_SLACK_KB = 1024
RSS_SLACK = 0.05


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


def status_number(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


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
        self.random = random.Random(seed)
        self.alive = []         # (when it ends, Target)
        self.n = 0

    def start_one(self):
        kind = self.random.choice(("dup", "dup", "dup", "registered", "family"))
        size = str(self.random.choice((2, 8, 24, 48)))
        if kind == "family":
            args = ["family", "--size", size, "--children", "4"]
        else:
            args = ["dup", "--size", size, "--id", str(self.n + 10), "--run",
                    str(self.random.choice((1, 16, 256))), "--zero", "5"]
            if kind == "registered":
                args += ["--register", "madvise"]
        program = self.t.folder / args[0]
        if not program.exists():
            program.symlink_to(harness.BUILD / "tests/targets" / args[0])
        target = harness.Target([str(program), *args[1:]])
        self.alive.append((time.monotonic() + self.random.uniform(0.5, 12),
                           kind, target))
        self.n += 1

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
    time.sleep(2)


def nothing_is_left_behind(t):
    pair = [t.target("dup", "--size", "32", "--id", str(i)) for i in range(2)]
    pids = {p.pid for p in pair}
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 50%"))
    wait_for(lambda: daemon.status()["pages_saved"] >= 2000, 60, "the merge")
    calm(daemon, pids)
    rounds = [held(daemon)]
    print(f"# before: {rounds[0]}", flush=True)
    churn = Churn(t, daemon, seed=1)
    t.stack.callback(churn.stop)
    for i in range(ROUNDS):
        churn.run(SECONDS / ROUNDS)
        churn.stop()
        calm(daemon, pids)
        rounds.append(held(daemon))
        print(f"# round {i + 1}, {churn.n} processes so far: {rounds[-1]}",
              flush=True)
    first, last = rounds[1], rounds[-1]
    for p in pair:
        p.intact()
    check(last.descriptors == rounds[0].descriptors,
          f"{last.descriptors} descriptors, {rounds[0].descriptors} at first")
    check(last.threads == rounds[0].threads and
          last.children == rounds[0].children, "threads or children are left")
    check(last.enrolled <= first.enrolled + 64,
          f"{last.enrolled} ranges in the ledger, {first.enrolled} before")
    check(last.rss_kb <= first.rss_kb * (1 + RSS_SLACK) + RSS_SLACK_KB,
          f"{last.rss_kb} kB resident, {first.rss_kb} kB after one round")
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
