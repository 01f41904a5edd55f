#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 600
"""The daemon is killed at random instants, hundreds of times.

Processes that notice are alive all the while, and some whose duplicates come
and go, so that every daemon has something to enrol and to merge. SEED=N in
the environment repeats a run's instants.
"""

import collections
import os
import random
import time
from pathlib import Path

import harness
from harness import check, wait_for

KILLS = int(os.environ.get("KILLS", "200"))
LIFE_SECONDS = (0, 0.2)         # of most daemons
LONG_LIFE_SECONDS = (0.3, 0.9)  # of every fourth: enrolling and merging
SEED = int(os.environ.get("SEED", "20240607"))

STEADY = (("sandbox", "--action", "kill"), ("sandbox", "--action", "trap"),
          ("blocked", "--call", "epoll_wait"), ("blocked", "--call", "semop"),
          ("blocked", "--call", "futex-timeout"),
          ("blocked", "--call", "recv-timeout"), ("timed",), ("ticker",),
          ("mapper",), ("forker",), ("rseq",))


def children_of(pid):
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def start_time(pid):
    """Together with the pid, that process and no other; None: it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def tracer_of(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("TracerPid:")[1].split()[0])


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class Dups:
    """Pairs of processes with duplicates, of which one is new now and then:
    what is merged once leaves nothing to kill."""

    def __init__(self, t):
        self.t = t
        self.pairs = [self.pair(n) for n in range(2)]
        self.n = 2

    def pair(self, n):
        return [self.t.target("dup", "--size", "4", "--run", str(1 + n % 4),
                              "--dup", "50", "--seed", str(n), "--id", str(i))
                for i in range(2)]

    def renew(self):
        for p in self.pairs.pop(0):
            p.intact()
            p.finish()
        self.pairs.append(self.pair(self.n))
        self.n += 1

    def finish(self):
        for pair in self.pairs:
            for p in pair:
                p.intact()
                p.finish()


def life(daemon, rng, long):
    """Start it and kill it; its injectors are then on their own."""
    daemon.start()
    time.sleep(rng.uniform(*(LONG_LIFE_SECONDS if long else LIFE_SECONDS)))
    injectors = [(pid, start_time(pid)) for pid in children_of(daemon.pid)]
    log = daemon.log()
    check(daemon.process.poll() is None,
          f"it ended by itself: {log[-500:]}")
    daemon.kill()
    return injectors


def ledger_of(daemon):
    """Its lines: what a daemon that is killed leaves to the next."""
    ledger = daemon.run_dir / "ledger"
    return set(ledger.read_text().splitlines()) if ledger.exists() else set()


def killed_at_random_instants(t):
    rng = random.Random(SEED)
    knobs = {**harness.knobs(), "run": "1", "sleep_millisecs": "37",
             "pages_to_scan": "123"}
    harness.restore_knobs(knobs)
    knobs = harness.knobs()
    os.setpriority(os.PRIO_PROCESS, 0, 10)  # they compute all the time
    steady = [t.target(*args, "--size", "2", "--seed", str(n))
              for n, args in enumerate(STEADY) for _ in range(2)]
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    dups = Dups(t)
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    daemon.kill()
    injectors, stages, before = [], collections.Counter(), set()
    start = time.monotonic()
    for n in range(KILLS):
        long = n % 4 == 3
        if long:
            dups.renew()
        injectors += life(daemon, rng, long)
        lines = ledger_of(daemon)
        stages["had marked something"] += any(
            line.startswith("enrol ") for line in lines - before)
        stages["had knobs of others"] += any(
            line.startswith("wrote ") for line in lines)
        before = lines
    seconds = time.monotonic() - start
    print(f"# {KILLS} daemons killed in {seconds:.0f} s (seed {SEED}), "
          + ", ".join(f"{count} {what}" for what, count in stages.items()),
          flush=True)
    check(all(stages[what] > KILLS / 20 for what in
              ("had marked something", "had knobs of others")),
          "hardly one was killed at work")

    left = [i for i in injectors if i[1]]
    check(len(left) > KILLS / 4, "no injector was seen")
    wait_for(lambda: all(start_time(pid) != start for pid, start in left), 20,
             "the end of all injectors")
    for p in steady:
        check(tracer_of(p.pid) == 0, f"pid {p.pid} is traced")
        check(state_of(p.pid) in "SRD", f"pid {p.pid}: {state_of(p.pid)}")
    check_restores(daemon, knobs)
    for p in steady:
        p.process.stdin.close()
    for p in steady:
        p.finish()
    dups.finish()


def check_restores(daemon, knobs):
    """A last daemon, ended in peace."""
    daemon.start()
    daemon.wait_ready()
    check(daemon.terminate(60) == 0, "the last daemon's exit status")
    now = harness.knobs()
    for name in sorted(now):
        check(now[name] == knobs[name],
              f"{name} is {now[name]}, it was {knobs[name]}")


if __name__ == "__main__":
    harness.run(killed_at_random_instants)
