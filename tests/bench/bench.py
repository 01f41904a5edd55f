#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers that are owed, beside the rivals, as ratios of one run.

	bench.py [NAME...]

NAME is one of quarter, twentieth, scattered (CPU until merged), steady,
newcomer and growth (what comes after, life.py); all of them without a name.

CPU until 99 % of what can be merged is merged, for

	tuned ksmd	everything registered, 4,000 pages every 20 ms, all else
			as the kernel has it by default
	ksmd-plus	ksmd, the daemon and its injector, from its start on
	floor		exactly the duplicates registered, ksmd at full pace,
			plus one copy of each page: what nobody who looks at
			the pages and lets the kernel merge can do without

taken in turns BENCH_RUNS times (3); the table shows medians. What is slow for
a moment is slow for all, and only ratios are quoted. Writes build/bench.json.
Exit status 1: an aim that must hold now was missed, or a target was harmed.
The lock of the KSM tests is held for one measurement at a time.
"""

import contextlib
import dataclasses
import fcntl
import json
import mmap
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import harness          # noqa: E402
import life             # noqa: E402

RUNS = int(os.environ.get("BENCH_RUNS", "3"))
N_TARGETS = 4
SIZE_MIB = 512
PAGE = mmap.PAGESIZE
MIB = 1 << 20
DONE_SHARE = 0.99
TIME_OUT = 120                  # seconds, for one measurement
POLL_SECONDS = 0.01

# As the kernel starts with them, where it has them.
DEFAULTS = {"advisor_mode": "none", "smart_scan": 1, "use_zero_pages": 0,
            "pages_to_scan": 100, "sleep_millisecs": 20}
TUNED = {"pages_to_scan": 4000, "sleep_millisecs": 20}
# A batch of about 0.1 s, and hardly any sleep between two.
FULL_PACE = {"smart_scan": 0, "pages_to_scan": 20000, "sleep_millisecs": 1}


@dataclasses.dataclass
class Scenario:
    name: str
    what: str
    dup_percent: float
    run_pages: int
    aim: float                  # CPU, as a share of tuned ksmd's
    later_aim: float            # the design's, when all parts are there


SCENARIOS = (
    Scenario("quarter", "25 % duplicates in runs of 16 pages",
             25, 16, 1 / 2.5, 1 / 4),
    Scenario("twentieth", "5 % duplicates in runs of 16 pages",
             5, 16, 1 / 2.5, 1 / 8),
    Scenario("scattered", "25 % duplicates in runs of 1 page",
             25, 1, 1, 1),
)
FLOOR_AIM = 1.15                # times the floor; of the design, too


@dataclasses.dataclass
class Measured:
    ksmd: float                 # CPU seconds until done
    other: float                # the daemon's with its injector, or the copy's
    wall: float
    profit: int                 # bytes; 0 where the kernel does not tell
    to_rest: float = 0.0        # CPU of both until the daemon rests

    @property
    def cpu(self):
        return self.ksmd + self.other


class Ksmd:
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
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text().rsplit(")", 1)[1]
                if int(stat.split()[1]) == pid:
                    yield int(entry.name)


def family_cpu(pid):
    """CPU of @pid with its children, living and dead."""
    return harness.cpu_seconds(pid) + dead_children_cpu(pid) + \
        sum(family_cpu(child) for child in children(pid))


def write_knobs(values):
    have = harness.knobs()
    for name, value in values.items():
        if name in have:
            harness.ksm_write(name, value)


def start_targets(t, scenario, register):
    """Filled and ready, with ksmd stopped."""
    harness.settle()
    harness.ksm_write("run", 0)
    write_knobs(DEFAULTS)
    targets = [t.target("dup", "--size", str(SIZE_MIB), "--id", str(i),
                        "--dup", str(scenario.dup_percent),
                        "--run", str(scenario.run_pages),
                        "--register", register, ready=None)
               for i in range(N_TARGETS)]
    for target in targets:
        harness.check(target.line(60) == "ready", "a target is not ready")
    return targets


def wanted_pages(targets):
    """All copies but one of each duplicate, times 99 %."""
    counts = [int(target.ask("count").split()[1]) for target in targets]
    return int((sum(counts) - max(counts)) * DONE_SHARE)


def wait_merged(wanted):
    harness.wait_for(lambda: harness.ksm("pages_sharing") >= wanted, TIME_OUT,
                     f"{wanted} pages saved", POLL_SECONDS)


def run_ksmd(targets, values):
    """ksmd alone, until done: its CPU and the wall time."""
    wanted = wanted_pages(targets)
    write_knobs(values)
    ksmd = Ksmd()
    begin = time.monotonic()
    harness.ksm_write("run", 1)
    wait_merged(wanted)
    return ksmd.cpu(), time.monotonic() - begin


def measure_rival(t, scenario):
    targets = start_targets(t, scenario, "prctl")
    ksmd, wall = run_ksmd(targets, TUNED)
    return Measured(ksmd, 0.0, wall, harness.ksm("general_profit"))


def measure_ours(t, scenario):
    targets = start_targets(t, scenario, "no")
    wanted = wanted_pages(targets)
    ksmd = Ksmd()
    begin = time.monotonic()
    daemon = t.daemon(wait=False)
    wait_merged(wanted)
    result = Measured(ksmd.cpu(), family_cpu(daemon.pid),
                      time.monotonic() - begin, harness.ksm("general_profit"))
    life.wait_rest(daemon)      # it reads what probes have left out
    result.to_rest = ksmd.cpu() + family_cpu(daemon.pid)
    for target in targets:
        target.intact()
    if os.environ.get("BENCH_LOG") == "1":
        print(daemon.log())
    return result


def copy_cpu(targets):
    """CPU of reading every page of the targets once."""
    buffer = mmap.mmap(-1, 2 * MIB)
    buffer.write(bytes(len(buffer)))
    used = 0.0
    for target in targets:
        start, end = (int(x, 16) for x in target.ask("where").split())
        fd = os.open(f"/proc/{target.pid}/mem", os.O_RDONLY)
        before = time.process_time()
        for at in range(start, end, len(buffer)):
            os.preadv(fd, [buffer], at)
        used += time.process_time() - before
        os.close(fd)
    return used


def measure_floor(t, scenario):
    targets = start_targets(t, scenario, "exact")
    copy = copy_cpu(targets)
    ksmd, wall = run_ksmd(targets, FULL_PACE)
    return Measured(ksmd, copy, wall, harness.ksm("general_profit"))


KINDS = {"rival": measure_rival, "ours": measure_ours,
         "floor": measure_floor}


def measure(kind, scenario):
    """One measurement, alone on this machine's KSM."""
    with open(harness.LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.closing(harness.Test()) as t:
            try:
                return KINDS[kind](t, scenario)
            except harness.Failed:
                for daemon in t.daemons:
                    print(daemon.log())
                raise


def median(results):
    """Of each number by itself."""
    return Measured(*(statistics.median(getattr(r, field.name)
                                        for r in results)
                      for field in dataclasses.fields(Measured)))


def progress(text):
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="", flush=True)


def run_scenario(scenario):
    results = {kind: [] for kind in KINDS}
    for i in range(RUNS):
        for kind, done in results.items():
            progress(f"{scenario.what}: {kind}, {i + 1} of {RUNS} ...")
            done.append(measure(kind, scenario))
    progress("")
    return results


def one_in(share):
    return f"1/{1 / share:.2g}" if share < 1 else f"{share:.3g}"


def verdict(name, value, aim):
    """A line for an aim that is a share of something."""
    met = "met" if value <= aim else "missed"
    return f"  {name:<38} {one_in(aim):>8} {one_in(value):>8}  {met}"


def row(name, measured, rival):
    return (f"  {name:<12} {measured.cpu:6.2f} {measured.ksmd:8.2f} "
            f"{measured.other:8.2f} {measured.wall:8.1f} "
            f"{measured.profit / MIB:9.0f} {measured.cpu / rival.cpu:10.2f}")


def show(scenario, results):
    """Print the table of one scenario; whether what must hold does."""
    m = {kind: median(list_) for kind, list_ in results.items()}
    rival, ours, floor = m["rival"], m["ours"], m["floor"]
    share = ours.cpu / rival.cpu
    print(f"\n{scenario.what}")
    print(f"  {'':<12} {'CPU s':>6} {'ksmd':>8} {'other':>8} {'wall s':>8} "
          f"{'profit MB':>9} {'of ksmd':>10}")
    print(row("tuned ksmd", rival, rival))
    print(row("ksmd-plus", ours, rival))
    print(row("floor", floor, rival))
    print(f"  {'':<38} {'aim':>8} {'is':>8}")
    print(verdict("CPU, of tuned ksmd's", share, scenario.aim))
    if scenario.later_aim != scenario.aim:
        print(verdict("  later", share, scenario.later_aim))
    print(verdict("  later, of the floor", ours.cpu / floor.cpu, FLOOR_AIM))
    print(verdict("CPU until it rests, of tuned ksmd's",
                  ours.to_rest / rival.cpu, scenario.aim))
    return share <= scenario.aim


STEADY_MIB = 1024
STEADY_AIM = 1 / 20             # of the advisor's CPU
NEWCOMER_AIM = 3                # seconds
GROWTH_AIM = 1.1                # cost of a page, 16 GiB beside 1 GiB
GROWTH = ((1, 1024), (4, 4096)) # processes of so many MiB
# What is written in each process and not known to the daemon, and to spare.
GROWTH_NEEDS = 20 << 30


def locked(function, *args):
    """One measurement, alone on this machine's KSM."""
    with open(harness.LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.closing(harness.Test()) as t:
            return function(t, sys.modules[__name__], *args)


def run_steady():
    if "advisor_mode" not in harness.knobs():
        print("\nsteady: skipped, this kernel has no scan-time advisor")
        return None
    ours, theirs = locked(life.steady, STEADY_MIB)
    print(f"\n2 processes of {STEADY_MIB} MiB, all merged, nothing new:"
          f" share of a CPU in {life.STEADY_SECONDS} s")
    print(f"  ksmd-plus {ours:.3%}, scan-time advisor ({life.ADVISOR_SCAN_SECONDS} s) "
          f"{theirs:.3%}\n  {'':<38} {'aim':>8} {'is':>8}")
    print(verdict("  later, of the advisor's", ours / theirs, STEADY_AIM))
    return {"ours": ours, "advisor": theirs}


def run_newcomer():
    seconds = life.median_of(RUNS, locked, life.newcomer)
    met = "met" if seconds <= NEWCOMER_AIM else "missed"
    print(f"\na process of {life.NEWCOMER_MIB} MiB, all of it duplicate, is"
          f" {life.NEWCOMER_SHARE:.0%} merged after")
    print(f"  {'  later':<38} {NEWCOMER_AIM:>6} s {seconds:>6.1f} s  {met}")
    return {"seconds": seconds}


def run_growth():
    info = Path("/proc/meminfo").read_text()
    if int(info.split("MemAvailable:")[1].split()[0]) << 10 < GROWTH_NEEDS:
        print("\ngrowth: skipped, needs 20 GiB of free memory")
        return None
    small, large = (life.median_of(RUNS if mib < 4096 else 1, locked,
                                   life.page_cost, n, mib)
                    for n, mib in GROWTH)
    print(f"\nCPU for each page that becomes known: {small:.0f} ns with 1 GiB,"
          f" {large:.0f} ns with 16 GiB\n  {'':<38} {'aim':>8} {'is':>8}")
    print(verdict("  later, of the cost with 1 GiB", large / small,
                  GROWTH_AIM))
    return {"1 GiB": small, "16 GiB": large}


LIFE = {"steady": run_steady, "newcomer": run_newcomer, "growth": run_growth}


def run_crc():
    """tests/bench/crc measures and prints by itself; its numbers."""
    out = subprocess.run([str(harness.BUILD / "tests/bench/crc")], check=True,
                         capture_output=True, text=True, timeout=60).stdout
    print(f"\n{out}", end="")
    return out.splitlines()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    names = sys.argv[1:] or [s.name for s in SCENARIOS] + list(LIFE)
    chosen = [s for s in SCENARIOS if s.name in names]
    if len(chosen) + len(LIFE.keys() & names) < len(names):
        print(__doc__)
        return 2
    try:
        harness.need_ksm()
    except harness.Skip as e:
        print(f"bench: {e}")
        return 77
    print(f"CPU seconds until {DONE_SHARE:.0%} of what can be merged is merged"
          f"\n{N_TARGETS} processes of {SIZE_MIB} MiB, medians of {RUNS} runs;"
          f" Linux {platform.release()}, {os.cpu_count()} CPUs")
    report = {"kernel": platform.release(), "cpus": os.cpu_count(),
              "processes": N_TARGETS, "mib": SIZE_MIB, "scenarios": {}}
    good = True
    for scenario in chosen:
        results = run_scenario(scenario)
        good &= show(scenario, results)
        report["scenarios"][scenario.name] = {
            **dataclasses.asdict(scenario),
            **{kind: [dataclasses.asdict(r) for r in list_]
               for kind, list_ in results.items()}}
    for name, run in LIFE.items():
        if name in names:
            report[name] = run()
    report["crc"] = run_crc()
    path = harness.BUILD / "bench.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwritten to {path}")
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except harness.Failed as e:
        sys.exit(f"bench: {e}")
