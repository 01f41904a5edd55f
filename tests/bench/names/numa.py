# SPDX-License-Identifier: GPL-2.0-or-later
"""Table II of nuKSM, as the daemon's own decisions have it. Latencies are
modelled, not measured: no machine with several nodes is needed."""

import subprocess

import harness
import table

FAIRNESS_AIM = 0.98


def numa(bench):
    """tests/bench/placing knows the rows; it prints one line for each."""
    out = subprocess.run([str(harness.BUILD / "tests/bench/placing")],
                         check=True, capture_output=True, text=True,
                         timeout=60).stdout
    print("\n  fairness, modelled with 89 ns local and 139 ns remote:")
    print(f"  {'':<14} {'KSM':>6} {'nuKSM':>6} {'ours':>7} "
          f"{'all, beside KSM':>16}")
    for line in out.splitlines():
        name, *numbers = line.split()
        ksm, nuksm, ours, both = map(float, numbers)
        print(f"  {name:<14} {ksm:6.2f} {nuksm:6.2f} {ours:7.4f} "
              f"{both:14.3f} x")
        bench.numbers[name] = {"modelled": True, "ksm": ksm, "nuksm": nuksm,
                               "ours": ours, "slowdown_of_all": both}
        bench.row(table.Row(
            f"fairness, modelled: {name}", f"{FAIRNESS_AIM}", f"{ours:.4f}",
            table.MET if ours >= FAIRNESS_AIM else table.MISSED,
            f"KSM {ksm}, nuKSM {nuksm}, as the paper measured them"))


BENCHMARKS = {"numa": (5, numa)}
