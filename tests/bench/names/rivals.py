# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rival beside us on one workload, and tuned ksmd on many."""

import contenders
import table
from workloads import Generated

# So small that ksmd as shipped, 5,000 pages a second, is done in time.
RIVALS_MIB = 32
RIVALS_SECONDS = 30
MATRIX_MIB = 128
MATRIX_SECONDS = 60
DENSITIES = (1, 5, 25, 60)
RUNS_OF_PAGES = (1, 16, 512)
# By density, for runs of 16 pages and more; single pages: never worse.
AIMS = {5: 1 / 8, 25: 1 / 4}
VOLATILE_PERCENT = 20
TITLES = {"stock": "stock ksmd (100 pages / 20 ms)",
          "tuned": "tuned ksmd (4,000 / 20 ms)",
          "advisor": "scan-time advisor (1 s)",
          "ksmtuned": "ksmtuned (looks each second)", "ours": "ksmd-plus"}


def compare(bench, results):
    """A row for each rival: our CPU as a share of its."""
    ours = results["ours"]
    for key, m in results.items():
        if key == "ours":
            continue
        name = f"CPU until merged, of {TITLES[key].split(' (')[0]}'s"
        note = f"done after {m.wall:.1f} s, ours after {ours.wall:.1f} s"
        if m.done and ours.done:
            bench.row(table.info(name, table.share(ours.cpu / m.cpu), note))
        else:       # not the same work: no ratio
            bench.row(table.info(name, "no ratio", cut_off(m, "it") +
                                 "; " + cut_off(ours, "ours")))


def cut_off(m, who):
    if m.done:
        return f"{who}: done after {m.wall:.1f} s with {m.cpu:.2f} s of CPU"
    return (f"{who}: cut off after {m.wall:.0f} s with {m.cpu:.2f} s of CPU, "
            f"when {m.share:.0%} was merged")


def rivals(bench):
    results = bench.compete(
        lambda: Generated(RIVALS_MIB, 25, 16),
        (*contenders.RIVALS, contenders.Ours), RIVALS_SECONDS)
    bench.keep("25 % in runs of 16", results)
    compare(bench, results)
    bench.curve(f"4 processes of {RIVALS_MIB} MiB, 25 % duplicates in runs of "
                "16 pages", results, TITLES, log=True)


def matrix_row(dup, run, tuned, ours):
    """Some of these have an aim."""
    name = f"{dup} %, runs of {run}, of tuned ksmd's"
    aim = 1 if run == 1 else AIMS.get(dup)
    share = ours.cpu / tuned.cpu
    where = (f"ksmd {ours.ksmd / tuned.cpu:.2f}, daemon "
             f"{ours.other / tuned.cpu:.2f}; merged: {ours.share:.0%}")
    if aim is None:
        return table.info(name, table.share(share))
    return table.judge(name, share, aim, table.share, where)


def matrix(bench):
    for dup in DENSITIES:
        for run in RUNS_OF_PAGES:
            results = bench.compete(
                lambda: Generated(MATRIX_MIB, dup, run),
                (contenders.Tuned, contenders.Ours), MATRIX_SECONDS)
            bench.keep(f"{dup} %, runs of {run}", results)
            bench.row(matrix_row(dup, run, results["tuned"],
                                 results["ours"]))


def volatile(bench):
    """A fifth of the memory is rewritten 50 times a second."""
    results = bench.compete(
        lambda: Generated(MATRIX_MIB, 25, 16, volatile=VOLATILE_PERCENT),
        (contenders.Tuned, contenders.Ours), MATRIX_SECONDS)
    bench.keep("volatile", results)
    tuned, ours = results["tuned"], results["ours"]
    bench.row(table.judge(
        "CPU until merged, of tuned ksmd's", ours.cpu / tuned.cpu, AIMS[25],
        table.share,
        f"ksmd {ours.ksmd / tuned.cpu:.2f}, daemon "
        f"{ours.other / tuned.cpu:.2f}"))


BENCHMARKS = {"rivals": (95, rivals), "matrix": (240, matrix),
              "volatile": (20, volatile)}
