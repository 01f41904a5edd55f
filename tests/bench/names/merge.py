# SPDX-License-Identifier: GPL-2.0-or-later
"""CPU until 99 % of what can be merged is merged, beside tuned ksmd with
everything registered and beside the floor."""

import contenders
import table
from workloads import Generated

MIB = 512                       # each of four processes
TIME_OUT = 120
FLOOR_AIM = 1.15
KINDS = (contenders.Tuned, lambda: contenders.Ours(until_rest=True),
         contenders.Floor)
TITLES = {"tuned": "tuned ksmd, everything registered",
          "ours": "ksmd-plus, daemon and ksmd", "floor": "floor"}


def where(ours, floor, rival):
    """Where the CPU goes, as parts of the rival's."""
    text = (f"of the rival's CPU: ksmd {ours.ksmd / rival.cpu:.2f}, daemon "
            f"{ours.other / rival.cpu:.2f}; the floor: ksmd "
            f"{floor.ksmd / rival.cpu:.2f}, one copy "
            f"{floor.other / rival.cpu:.2f}")
    if floor.scanned:
        text += (f"; ksmd looked at {ours.scanned / floor.scanned:.1f} times "
                 "the pages of the floor")
    return text


def until_merged(bench, what, dup, run, aim):
    results = bench.compete(lambda: Generated(MIB, dup, run), KINDS, TIME_OUT)
    bench.keep("until merged", results)
    rival, ours, floor = (results[k] for k in ("tuned", "ours", "floor"))
    reason = where(ours, floor, rival)
    share = ours.cpu / rival.cpu
    bench.row(table.judge("CPU until merged, of tuned ksmd's", share, aim,
                          table.share, reason))
    bench.row(table.judge("the same, of the floor", ours.cpu / floor.cpu,
                          FLOOR_AIM, table.times,
                          "" if share > aim else reason))
    bench.row(table.info("until the daemon rests, of tuned ksmd's",
                         table.share(ours.to_rest / rival.cpu)))
    if rival.profit > 0:
        bench.row(table.info("general_profit, of tuned ksmd's",
                             table.times(ours.profit / rival.profit)))
    bench.curve(f"4 processes of {MIB} MiB: {what}", results, TITLES)


BENCHMARKS = {
    "quarter": (100, lambda bench: until_merged(
        bench, "25 % duplicates, runs of 16", 25, 16, 1 / 4)),
    "twentieth": (70, lambda bench: until_merged(
        bench, "5 % duplicates, runs of 16", 5, 16, 1 / 8)),
    "scattered": (115, lambda bench: until_merged(
        bench, "25 % duplicates, single pages", 25, 1, 1)),
}
