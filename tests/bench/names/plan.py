# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast ksmd-plusctl plan reads, beside who only reads and checksums, and
what memory it takes."""

import json
import os
import statistics
import subprocess
import tempfile

import harness
import measuring
import table

N_TARGETS = 4
MIB = 1024                      # each of them
PAGES = N_TARGETS * MIB * 256
TIME_AIM = 1 / 0.8              # of the time of who only reads: 80 % its speed


def bytes_aim(pages):
    return 16 * pages + (64 << 20)


def bare(targets):
    """(seconds, CPU seconds) for all pages."""
    ranges = []
    for target in targets:
        start, end = target.ask("where").split()
        ranges.append(f"{target.pid}:{start}-{end}")
    out = subprocess.run([str(harness.BUILD / "tests/bench/bare"), *ranges],
                         check=True, capture_output=True, text=True).stdout
    pages, usec, cpu_usec = map(int, out.split())
    harness.check(pages == PAGES, f"{pages} pages, not {PAGES}")
    return usec / 1e6, cpu_usec / 1e6


def plan(targets):
    """(seconds without the pause, CPU seconds, bytes at most, pages)."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [str(harness.BUILD / "ksmd-plusctl"), "plan", "--json",
             *(str(target.pid) for target in targets)], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        harness.check(status == 0, f"plan: status {status}")
        out.seek(0)
        result = json.load(out)
    usec = result["usec"]
    return ((usec["reading"] + usec["reading_again"]) / 1e6,
            usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024,
            result["pages_looked_at"])


def measure(t, runs):
    """[(bare(), plan())], taken in turns."""
    targets = [t.target("dup", "--size", str(MIB), "--id", str(i), "--dup",
                        "25", ready=None) for i in range(N_TARGETS)]
    for target in targets:
        harness.check(target.line(120) == "ready", "a target is not ready")
    bare(targets)               # warm, as everyone's first is
    return [(bare(targets), plan(targets)) for _ in range(runs)]


def speed(bench):
    runs = measuring.locked(measure, bench.runs)
    time, cpu = (statistics.median(p[i] / b[i] for b, p in runs)
                 for i in (0, 1))
    peak, pages = max(p[2] for _, p in runs), runs[0][1][3]
    bench.numbers = {"time": time, "cpu": cpu, "bytes": peak, "pages": pages}
    beside = "of who only reads and checksums"
    bench.row(table.judge(f"time {beside}", time, TIME_AIM, table.times))
    bench.row(table.judge(f"CPU {beside}", cpu, TIME_AIM, table.times))
    bench.row(table.judge(f"memory for {pages} pages", peak, bytes_aim(pages),
                          lambda n: f"{n >> 20} MiB"))


BENCHMARKS = {"plan": (60, speed)}
