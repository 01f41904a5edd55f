# SPDX-License-Identifier: GPL-2.0-or-later
"""One measurement: a workload, a contender, and what both did until the end.

CPU comes from the scheduler (schedstat, process clocks), never from ticks,
but for what has died. Everything is polled from here: what the polling costs
is this process's and not counted.
"""

import contextlib
import dataclasses
import fcntl
import os
import statistics
import time
from pathlib import Path

import harness

MIB = 1 << 20
PAGES_PER_MIB = 256
DONE_SHARE = 0.99
POLL_SECONDS = 0.01
SAMPLE_SECONDS = 0.05           # between points of a curve, at first

# As the kernel starts with them, where it has them.
DEFAULTS = {"advisor_mode": "none", "smart_scan": 1, "use_zero_pages": 0,
            "pages_to_scan": 100, "sleep_millisecs": 20}


@dataclasses.dataclass
class Measured:
    ksmd: float                 # CPU seconds until done, or cut off
    other: float                # of the daemon with its injector, of a script
    wall: float
    share: float                # merged, of what can be merged
    done: bool                  # not cut off
    profit: int = 0             # bytes; 0 where the kernel does not tell
    scanned: int = 0            # pages that ksmd has looked at; 0: not told
    to_rest: float = 0.0        # CPU of all until the daemon rests
    curve: list = dataclasses.field(default_factory=list)

    @property
    def cpu(self):
        return self.ksmd + self.other


def median(results):
    """Of each number by itself; the curve is of the middle one by its wall
    time."""
    numbers = [f.name for f in dataclasses.fields(Measured)
               if f.name not in ("done", "curve")]
    middle = sorted(results, key=lambda r: r.wall)[len(results) // 2]
    return Measured(done=all(r.done for r in results), curve=middle.curve,
                    **{name: statistics.median(getattr(r, name)
                                               for r in results)
                       for name in numbers})


class Ksmd:
    """The CPU that ksmd has used since this was made."""

    def __init__(self):
        self.pid = harness.ksmd_pid()
        self.start = self.clock()

    def clock(self):
        stat = Path(f"/proc/{self.pid}/schedstat").read_text()
        return int(stat.split()[0]) / 1e9

    def cpu(self):
        return self.clock() - self.start


def dead_children_cpu(pid):
    """What the children of @pid used that have ended."""
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(stat[13]) + int(stat[14])) / os.sysconf("SC_CLK_TCK")


def children(pid):
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            yield from map(int, (task / "children").read_text().split())


def family_cpu(pid):
    """CPU of @pid with its children, living and dead."""
    cpu = harness.cpu_seconds(pid) + dead_children_cpu(pid)
    for child in list(children(pid)):
        with contextlib.suppress(OSError):      # it has just ended
            cpu += family_cpu(child)
    return cpu


def write_knobs(values):
    have = harness.knobs()
    for name, value in values.items():
        if name in have:
            harness.ksm_write(name, value)


def cold():
    """An empty stable tree, ksmd stopped, knobs as after a boot."""
    harness.settle()
    harness.ksm_write("run", 0)
    write_knobs(DEFAULTS)


def available_bytes():
    info = Path("/proc/meminfo").read_text()
    return int(info.split("MemAvailable:")[1].split()[0]) << 10


def locked(function, *args):
    """One measurement, alone on this machine's KSM: function(test, ...)."""
    with open(harness.LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.closing(harness.Test()) as t:
            try:
                return function(t, *args)
            except harness.Failed:
                for daemon in t.daemons:
                    print(daemon.log()[-4000:])
                raise


def follow(contender, workload, seconds, begin=None):
    """Look until everything wanted is merged, or @seconds are over since
    @begin (now)."""
    begin = begin or time.monotonic()
    next_sample, step, curve = 0.0, SAMPLE_SECONDS, []
    while True:
        now = time.monotonic() - begin
        merged = max(0, workload.merged())
        done = merged >= workload.wanted
        ksmd, other = contender.cpu()
        if now >= next_sample or done:
            curve.append((round(now, 3), merged, round(ksmd + other, 4)))
            # A long curve needs no finer points than a short one.
            step = max(SAMPLE_SECONDS, now / 200)
            next_sample = now + step
        if done or now > seconds:
            return Measured(ksmd, other, now, merged / workload.possible,
                            done, harness.ksm("general_profit"), curve=curve)
        workload.advance()
        time.sleep(workload.poll)


def compete(t, workload, contender, seconds):
    """The one measurement that most names are made of."""
    cold()
    contender.prepare(t)
    workload.start(t, contender.register)
    begin, scanned = time.monotonic(), harness.ksm("pages_scanned")
    contender.start(t, workload)
    result = follow(contender, workload, seconds, begin)
    result.scanned = harness.ksm("pages_scanned") - scanned
    contender.finish(result)
    workload.check()
    contender.stop()
    return result
