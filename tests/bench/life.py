# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon costs and does when its first work is done."""

import statistics
import time

import harness

STEADY_SECONDS = 60
ADVISOR_SCAN_SECONDS = 200      # the kernel's default, and the daemon's
NEWCOMER_MIB = 1024
NEWCOMER_SHARE = 0.9


def dups(t, n, mib, *args):
    """Processes with equal pages in runs of 16, filled and ready."""
    targets = [t.target("dup", "--size", str(mib), "--id", str(i), "--run",
                        "16", *args, ready=None) for i in range(n)]
    for target in targets:
        harness.check(target.line(120) == "ready", "a target is not ready")
    return targets


def wait_rest(daemon, seconds=180):
    """Until it has rested for as long as passes may lie apart at first."""
    calm = 0
    while calm < 8 and seconds > 0:
        time.sleep(0.5)
        seconds -= 0.5
        calm = calm + 1 if daemon.status()["state"] == "resting" else 0
    harness.check(calm >= 8, "the daemon does not come to rest")


def share(cpu, seconds):
    """CPU of a function of nothing, per second, while time passes."""
    before, start = cpu(), time.monotonic()
    time.sleep(seconds)
    return (cpu() - before) / (time.monotonic() - start)


def steady(t, tools, mib):
    """(ours, the advisor's) share of a CPU, everything being merged."""
    harness.settle()
    tools.write_knobs(tools.DEFAULTS)
    targets = dups(t, 2, mib, "--dup", "25")
    ksmd = tools.Ksmd()
    daemon = t.daemon()
    wait_rest(daemon)
    time.sleep(STEADY_SECONDS / 2)      # regions cool
    ours = share(lambda: ksmd.cpu() + tools.family_cpu(daemon.pid),
                 STEADY_SECONDS)
    daemon.terminate()
    for target in targets:
        target.finish()

    harness.settle()
    targets = dups(t, 2, mib, "--dup", "25", "--register", "prctl")
    tools.write_knobs({**tools.DEFAULTS, **tools.TUNED})
    harness.ksm_write("run", 1)
    tools.wait_merged(tools.wanted_pages(targets))
    harness.ksm_write("advisor_target_scan_time", ADVISOR_SCAN_SECONDS)
    harness.ksm_write("advisor_mode", "scan-time")
    time.sleep(STEADY_SECONDS / 2)
    theirs = share(ksmd.cpu, STEADY_SECONDS)
    harness.ksm_write("advisor_mode", "none")
    for target in targets:
        target.finish()
    return ours, theirs


def newcomer(t, tools):
    """Seconds until NEWCOMER_SHARE of a new process is merged, from when it
    has filled its memory."""
    harness.settle()
    tools.write_knobs(tools.DEFAULTS)
    dups(t, 2, NEWCOMER_MIB, "--dup", "100")
    daemon = t.daemon()
    wait_rest(daemon)
    new = t.target("dup", "--size", str(NEWCOMER_MIB), "--id", "9", "--run",
                   "16", "--dup", "100", ready=None)
    harness.check(new.line(60) == "ready", "a target is not ready")
    start = time.monotonic()
    wanted = NEWCOMER_SHARE * int(new.ask("count").split()[1])
    harness.wait_for(lambda: new.ksm_stat()["ksm_merging_pages"] >= wanted, 60,
                     "the merge", 0.02)
    return time.monotonic() - start


def page_cost(t, tools, n, mib):
    """Nanoseconds of CPU for each page that the daemon has come to know."""
    harness.settle()
    targets = dups(t, n, mib, "--dup", "0")
    daemon = t.daemon(t.config(mode="observe"))

    def known():
        return sum(row["tracked_pages"] for row in daemon.ctl_json("list"))

    harness.wait_for(lambda: known() >= n * mib * 256, 120, "reading it all",
                     0.05)
    cost = tools.family_cpu(daemon.pid) / known() * 1e9
    daemon.terminate()
    for target in targets:
        target.finish()
    return cost


def median_of(n, function, *args):
    return statistics.median(function(*args) for _ in range(n))
