#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers that are owed, beside the rivals, as ratios of one run.

	bench.py [NAME...]	measure these, or everything
	bench.py --list		the names
	bench.py --table	what was measured last, of every name

Each name belongs to a module in names/, which says what is measured and what
the aim is. Contenders take turns BENCH_RUNS times (3) and medians are shown:
what is slow for a moment is slow for all. No name is begun that would not be
done within BENCH_MINUTES (30).

Writes bench.json and bench/NAME.png in the build folder. Exit status 0: all
aims are met; 1: one is missed, or somebody was harmed; 77: not possible here.
"""

import dataclasses
import importlib
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "guest"),
                str(HERE.parent / "integration")]

import curves           # noqa: E402
import harness          # noqa: E402
import measuring        # noqa: E402
import table            # noqa: E402

# A module in names/ for each family, in the order of the table.
FAMILIES = ("merge", "rivals", "real", "life", "cost", "plan", "numa",
            "race", "hints", "reads")

RUNS = int(os.environ.get("BENCH_RUNS", "3"))
LIMIT_SECONDS = float(os.environ.get("BENCH_MINUTES", "30")) * 60
REPORT = harness.BUILD / "bench.json"


class Bench:
    """What the function of a name gets: it measures through this, and leaves
    rows, numbers and curves in it."""

    def __init__(self, name, runs=RUNS):
        self.name = name
        self.runs = runs
        self.rows = []
        self.numbers = {}
        self.drawn = []

    def row(self, row):
        self.rows.append(dataclasses.replace(
            row, measure=f"{self.name}: {row.measure}"))

    def say(self, what, measured):
        print(f"  {what:<40} CPU {measured.cpu:5.2f} s (ksmd "
              f"{measured.ksmd:.2f}), {measured.wall:5.1f} s, "
              f"{measured.share:.0%} merged", flush=True)

    def progress(self, text):
        if sys.stdout.isatty():
            print(f"\r\033[K{text}", end="", flush=True)

    def locked(self, function, *args):
        return measuring.locked(function, *args)

    def compete(self, workload, contenders, seconds):
        """Medians: key -> Measured. @workload() and each of @contenders make
        a new one; @seconds is when one is cut off, and that happens to each
        once: the first turn has told what there is to tell."""
        results, cut_off = {}, set()
        for turn in range(self.runs):
            for make in contenders:
                contender = make()
                if contender.key in cut_off:
                    continue
                why = contender.missing()
                if why:
                    if turn == 0:
                        self.row(table.skipped(contender.title, why))
                    continue
                self.progress(f"{self.name}: {contender.title}, "
                              f"{turn + 1} of {self.runs} ...")
                done = self.locked(measuring.compete, workload(), contender,
                                   seconds)
                self.progress("")
                self.say(contender.title, done)
                results.setdefault(contender.key, []).append(done)
                if turn == 0 and not done.done and contender.key != "ours":
                    cut_off.add(contender.key)
        return {key: measuring.median(list_)
                for key, list_ in results.items()}

    def keep(self, key, results):
        """The numbers of compete() go into the report."""
        self.numbers[key] = {
            name: {k: v for k, v in dataclasses.asdict(m).items()
                   if k != "curve"} for name, m in results.items()}

    def curve(self, title, results, titles, log=False):
        """One picture of what compete() gave."""
        self.numbers.setdefault("curves", {})[title] = {
            key: m.curve for key, m in results.items()}
        if curves.missing():
            return
        path = harness.BUILD / "bench" / f"{self.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        curves.draw(path, title, {key: (titles[key], m.curve)
                                  for key, m in results.items()}, log)
        self.drawn.append(path)


def benchmarks():
    """name -> (seconds it takes with 3 runs, function)."""
    found = {}
    for family in FAMILIES:
        found.update(importlib.import_module(f"names.{family}").BENCHMARKS)
    return found


def machine():
    info = Path("/proc/meminfo").read_text()
    kib = int(info.split("MemTotal:")[1].split()[0])
    models = [line.split(":")[1].strip()
              for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith("model name")]
    return {"kernel": platform.release(), "cpus": os.cpu_count(),
            "gib": round(kib / (1 << 20), 1),
            "cpu": models[0] if models else platform.machine()}


def load_report():
    """What earlier runs on this kernel have found."""
    try:
        report = json.loads(REPORT.read_text())
    except (FileNotFoundError, ValueError):
        report = {}
    if report.get("machine") != machine():
        report = {"machine": machine(), "names": {}}
    return report


def save(report, bench, took):
    report["names"][bench.name] = {
        "when": time.strftime("%Y-%m-%d %H:%M:%S"), "runs": bench.runs,
        "seconds": round(took, 1),
        "rows": [dataclasses.asdict(row) for row in bench.rows],
        "numbers": bench.numbers}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")


def run_names(known, names, report):
    """Measure; the rows of all, in the table's order."""
    begin = time.monotonic()
    rows, drawn = [], []
    for name in names:
        seconds, function = known[name]
        bench = Bench(name)
        start = time.monotonic()
        print(f"{name}: about {seconds * RUNS / 3:.0f} s", flush=True)
        if start - begin + seconds * RUNS / 3 > LIMIT_SECONDS:
            bench.row(table.skipped("all", "no time was left for it; see "
                                    "BENCH_MINUTES"))
        else:
            try:
                function(bench)
            except harness.Skip as e:
                bench.row(table.skipped("all", str(e)))
            except harness.Failed as e:
                bench.row(table.failed("all", str(e)))
        save(report, bench, time.monotonic() - start)
        rows += bench.rows
        drawn += bench.drawn
    print(f"\n{time.monotonic() - begin:.0f} s in all")
    for path in drawn:
        print(f"curves: {path}")
    if curves.missing():
        print(curves.missing())
    return rows


def show(report, rows):
    m = report["machine"]
    print(f"\nLinux {m['kernel']}, {m['cpus']} CPUs ({m['cpu']}), "
          f"{m['gib']} GiB\n")
    table.show(rows)
    print(f"\nnumbers: {REPORT}")
    return int(any(row.verdict in (table.MISSED, table.FAILED)
                   for row in rows))


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    known = benchmarks()
    names = sys.argv[1:]
    if names == ["--list"]:
        print(*known, sep="\n")
        return 0
    report = load_report()
    if names == ["--table"]:
        return show(report, [table.Row(**row) for name in known
                             for row in report["names"].get(name, {})
                             .get("rows", [])])
    names = names or list(known)
    if not set(names) <= known.keys():
        print(__doc__)
        return 2
    try:
        harness.need_ksm()
    except harness.Skip as e:
        print(f"bench: {e}")
        return 77
    return show(report, run_names(known, names, report))


if __name__ == "__main__":
    sys.exit(main())
