# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon costs and does when its first work is done."""

import statistics
import time

import contenders
import harness
import measuring
import table
from workloads import Generated

STEADY_MIB = 1024
STEADY_SECONDS = 60             # stands for the ten minutes of the aim
STEADY_AIM = 1 / 20             # of the advisor's CPU
ADVISOR_SCAN_SECONDS = 200      # the kernel's default, and the daemon's
ADVISOR_LEAST_PAGES = 500       # the kernel's default
NEWCOMER_MIB = 1024
NEWCOMER_SHARE = 0.9
NEWCOMER_AIM = 3                # seconds
GROWTH_AIM = 1.1                # cost of a page, 16 GiB beside 1 GiB
GROWTH = ((1, 1024), (4, 4096)) # processes of so many MiB
# What is written in each process and not known to the daemon, and to spare.
GROWTH_NEEDS = 20 << 30
COOL_SECONDS = 130              # passes lie 64 s apart then
WATCH_SECONDS = 64
WATCH_AIM = 0.01                # of one CPU, 16 GiB watched
INDEX_AIM = 16                  # bytes of a tracked page


def share(cpu, seconds):
    """CPU of a function of nothing, per second, while time passes."""
    before, start = cpu(), time.monotonic()
    time.sleep(seconds)
    return (cpu() - before) / (time.monotonic() - start)


def steady_ours(t):
    measuring.cold()
    workload = Generated(STEADY_MIB, 25, 16, n=2)
    workload.start(t, "no")
    ksmd = measuring.Ksmd()
    daemon = t.daemon()
    contenders.wait_rest(daemon)
    time.sleep(STEADY_SECONDS / 2)      # regions cool
    return share(lambda: ksmd.cpu() + measuring.family_cpu(daemon.pid),
                 STEADY_SECONDS)


def steady_advisor(t):
    measuring.cold()
    contender = contenders.Advisor()
    contender.prepare(t)
    workload = Generated(STEADY_MIB, 25, 16, n=2)
    workload.start(t, "prctl")
    contender.start(t, workload)
    measuring.follow(contender, workload, 120)
    contender.retire(ADVISOR_SCAN_SECONDS, ADVISOR_LEAST_PAGES)
    time.sleep(STEADY_SECONDS / 2)
    return share(contender.ksmd.cpu, STEADY_SECONDS)


def steady(bench):
    if "advisor_mode" not in harness.knobs():
        raise harness.Skip("this kernel has no scan-time advisor")
    ours = bench.locked(steady_ours)
    theirs = bench.locked(steady_advisor)
    bench.numbers = {"ours": ours, "advisor": theirs}
    bench.row(table.judge(
        f"CPU in {STEADY_SECONDS} s, of the advisor's", ours / theirs,
        STEADY_AIM, table.share,
        f"{ours:.2%} of a CPU beside {theirs:.1%}, for 2 GiB"))


def newcomer_once(t):
    """Seconds until NEWCOMER_SHARE of a new process is merged, from when it
    has filled its memory."""
    measuring.cold()
    Generated(NEWCOMER_MIB, 100, 16, n=2).start(t, "no")
    daemon = t.daemon()
    contenders.wait_rest(daemon)
    new = t.target("dup", "--size", str(NEWCOMER_MIB), "--id", "9", "--run",
                   "16", "--dup", "100", ready=None)
    harness.check(new.line(60) == "ready", "a target is not ready")
    start = time.monotonic()
    wanted = NEWCOMER_SHARE * int(new.ask("count").split()[1])
    harness.wait_for(lambda: new.ksm_stat()["ksm_merging_pages"] >= wanted, 60,
                     "the merge", 0.02)
    return time.monotonic() - start


def newcomer(bench):
    took = [bench.locked(newcomer_once) for _ in range(bench.runs)]
    bench.numbers = {"seconds": took}
    bench.row(table.judge(
        f"{NEWCOMER_SHARE:.0%} of 1 GiB merged after",
        statistics.median(took), NEWCOMER_AIM, table.seconds,
        "runs: " + ", ".join(f"{s:.1f} s" for s in took)))


def page_cost(t, n, mib, watch):
    """(nanoseconds of CPU for each page that the daemon has come to know,
    its resident set, pages it knows, its share of a CPU at rest)."""
    measuring.cold()
    Generated(mib, 0, 16, n=n).start(t, "no")
    daemon = t.daemon(t.config(mode="observe"))

    def known():
        return sum(row["tracked_pages"] for row in daemon.ctl_json("list"))

    harness.wait_for(lambda: known() >= n * mib * 256, 120, "reading it all",
                     0.05)
    cost = measuring.family_cpu(daemon.pid) / known() * 1e9
    rest = 0.0
    if watch:
        contenders.wait_rest(daemon)
        time.sleep(COOL_SECONDS)        # regions cool
        rest = share(lambda: measuring.family_cpu(daemon.pid), WATCH_SECONDS)
    return cost, daemon.status()["memory"]["used"], known(), rest


def growth(bench):
    if measuring.available_bytes() < GROWTH_NEEDS:
        raise harness.Skip("needs 20 GiB of free memory")
    small = [bench.locked(page_cost, *GROWTH[0], False)
             for _ in range(bench.runs)]
    large = bench.locked(page_cost, *GROWTH[1], True)
    bench.numbers = {"1 GiB": small, "16 GiB": large}
    one, memory, pages, _ = (statistics.median(x) for x in zip(*small))
    bench.row(table.judge(
        "CPU of a page, 16 GiB beside 1 GiB", large[0] / one,
        GROWTH_AIM, table.times, f"{large[0]:.0f} ns beside {one:.0f} ns"))
    bench.row(table.judge(
        "16 GiB watched, at rest: of one CPU",
        large[3], WATCH_AIM, table.percent,
        f"the daemon, {COOL_SECONDS} s after it came to rest: regions may "
        "still cool"))
    bench.row(table.judge(
        "memory of each page more that is known",
        (large[1] - memory) / (large[2] - pages), INDEX_AIM,
        lambda value: f"{value:.1f} B",
        f"resident: {memory / measuring.MIB:.0f} MiB with 1 GiB, "
        f"{large[1] / measuring.MIB:.0f} MiB with 16 GiB"))


BENCHMARKS = {"steady": (210, steady), "newcomer": (90, newcomer),
              "growth": (110, growth)}
