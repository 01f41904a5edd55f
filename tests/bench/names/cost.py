# SPDX-License-Identifier: GPL-2.0-or-later
"""What others pay, and what a page costs: the neighbour, the hold of an
injection, the checksum."""

import re
import statistics
import subprocess
import time

import contenders
import harness
import measuring
import table
from workloads import Generated

NEIGHBOUR_MIB = 512             # each of four processes
NEIGHBOUR_AIM = 1.1
ALONE_SECONDS = 2
HOLD_AIM_USEC = 1000
HOLD = re.compile(r"# hold of (.*), n = \d+: .*p99 (\d+) us, longest (\d+) us")


class Speed:
    """Steps a second of tests/bench/neighbour between two looks."""

    def __init__(self, neighbour):
        self.neighbour = neighbour
        self.last = self.look()

    def look(self):
        return [int(x) for x in self.neighbour.ask("").split()]

    def so_far(self):
        now, last = self.look(), self.last
        self.last = now
        return (now[0] - last[0]) / (now[1] - last[1])


def slowdown(t, contender):
    """(times that the neighbour takes longer while all is merged, seconds
    that this lasts)"""
    measuring.cold()
    workload = Generated(NEIGHBOUR_MIB, 25, 16)
    workload.start(t, contender.register)
    neighbour = t.own(harness.Target(
        [str(harness.BUILD / "tests/bench/neighbour")]))
    speed = Speed(neighbour)
    time.sleep(ALONE_SECONDS)
    alone = speed.so_far()
    contender.start(t, workload)
    result = measuring.follow(contender, workload, 120)
    busy = speed.so_far()
    contender.stop()
    return alone / busy, result.wall


def neighbour(bench):
    found = {}
    for _ in range(bench.runs):
        for make in (contenders.Tuned, contenders.Ours):
            found.setdefault(make.key, []).append(
                bench.locked(slowdown, make()))
    bench.numbers = found
    (ours, wall), (theirs, their_wall) = (
        [statistics.median(x) for x in zip(*found[key])]
        for key in ("ours", "tuned"))
    beside = (f"for {wall:.1f} s; beside tuned ksmd {theirs:.2f} x for "
              f"{their_wall:.1f} s")
    bench.row(table.judge("slower, while merging",
                          ours, NEIGHBOUR_AIM, table.times, beside))
    bench.row(table.info("slower, beside tuned ksmd",
                         table.times(theirs), f"for {their_wall:.1f} s"))


def holds(bench):
    """The contract test of the injector measures it, and locks for itself."""
    done = subprocess.run([str(harness.BUILD / "tests/contract/inject")],
                          capture_output=True, text=True, timeout=200)
    found = HOLD.findall(done.stdout)
    if not found:
        raise harness.Skip("the injector cannot hold anything here")
    bench.numbers = {what: {"p99": int(p99), "longest": int(longest)}
                     for what, p99, longest in found}
    for what, p99, longest in found:
        bench.row(table.judge(f"{what}: p99", int(p99), HOLD_AIM_USEC,
                              lambda usec: f"{usec} us",
                              f"the longest: {longest} us"))


def program(name):
    """One of tests/bench/*.c: it measures and prints by itself."""
    def run(bench):
        path = harness.BUILD / "tests/bench" / name
        if not path.exists():
            raise harness.Skip(f"{name} is not built")
        out = subprocess.run([str(path)], check=True, capture_output=True,
                             text=True, timeout=120).stdout
        print(f"\n{out}")
        bench.numbers = {"lines": out.splitlines()}
    return run


BENCHMARKS = {"neighbour": (130, neighbour), "holds": (60, holds),
              "crc": (10, program("crc")), "engine": (20, program("engine"))}
