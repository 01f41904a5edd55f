#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon is there for: duplicates in real processes get merged.

Completeness is judged by KSM's counters while the clock runs, and afterwards
by page tables and contents (frames.py), which owe nothing to the daemon.
"""

import contextlib
import os
import shutil
import time
from pathlib import Path

import frames
import harness
from harness import check, wait_for

SIZE_MIB = 16 if harness.SLOW > 1 else 128 if harness.FAST else 512
N = 4
COMPLETE = 0.99
MAX_RANGES = 1024
LONG_RUNS_SECONDS = 10          # the aims, from the daemon's start
SINGLE_PAGES_SECONDS = 20
TRIES = 2                       # the machine may be busy with other things


def counted(target):
    """{"duplicate": N, "zero": N, "unique": N} pages of a dup process."""
    words = target.ask("count").split()
    return dict(zip(words[::2], map(int, words[1::2])))


def dups(t, *args, n=N, size=SIZE_MIB):
    return [t.target("dup", "--size", str(size), "--id", str(i), *args)
            for i in range(n)]


def saved_by_ksm():
    return harness.ksm("pages_sharing") + harness.ksm("ksm_zero_pages")


def mergeable(targets):
    """Pages that one frame for all equal ones saves: the duplicates of the
    others of the first, and all zero pages."""
    counts = [counted(target) for target in targets]
    return (sum(c["duplicate"] + c["zero"] for c in counts) -
            counts[0]["duplicate"])


def seconds_until_merged(t, possible, limit):
    """Starts a daemon; (daemon, how long until COMPLETE was merged). Gives
    up long after @limit, so that the figure is known."""
    before, start = saved_by_ksm(), time.monotonic()
    daemon = t.daemon(wait=False)
    wait_for(lambda: saved_by_ksm() - before >= COMPLETE * possible,
             3 * limit, f"merging {COMPLETE:.0%} of {possible} pages")
    return daemon, time.monotonic() - start


def merge_in_time(t, limit, *args):
    """The first of TRIES in time, with fresh targets each."""
    for attempt in range(TRIES):
        targets = dups(t, *args)
        possible = mergeable(targets)
        daemon, seconds = seconds_until_merged(t, possible, limit)
        print(f"# {COMPLETE:.0%} of {possible} pages merged after "
              f"{seconds:.1f} s (aim: {limit} s)", flush=True)
        if seconds <= limit * harness.SLOW or attempt == TRIES - 1:
            break
        daemon.terminate()
        for target in targets:
            target.finish()
        harness.settle()
    check(seconds <= limit * harness.SLOW,
          f"it took {seconds:.1f} s, not {limit} s")
    return daemon, targets, possible


def check_frames(targets, possible):
    """The same by page tables: what is saved, and that it is enough."""
    pages, in_frames = frames.saved(whole=[p.pid for p in targets])
    print(f"# by page tables: {pages - in_frames} pages saved", flush=True)
    check(pages - in_frames >= COMPLETE * possible,
          f"{pages} pages lie in {in_frames} frames")


def check_ranges(targets, bound=MAX_RANGES):
    most = max(harness.marks(p.pid) for p in targets)
    print(f"# at most {most} registered mappings in one process "
          f"(bound: {bound})", flush=True)
    check(0 < most <= bound, f"{most} registered mappings")


def check_memory(daemon):
    """Its highest resident set is within the bound that it states."""
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) << 10
    bound = daemon.status()["memory"]["bound"]
    print(f"# the daemon's peak: {peak >> 20} MiB of {bound >> 20} MiB",
          flush=True)
    check(peak <= bound, f"{peak} bytes resident, stated {bound}")


def finish(daemon, targets):
    """Contents verified while merged, while un-merged, and at the end."""
    for target in targets:
        target.intact()
    check(daemon.terminate() == 0, "the daemon's exit status")
    for target in targets:
        target.intact()
        target.finish()


def runs_of_16_pages(t):
    daemon, targets, possible = merge_in_time(t, LONG_RUNS_SECONDS)
    check_frames(targets, possible)
    check_ranges(targets)
    check_memory(daemon)
    finish(daemon, targets)


def runs_of_one_page(t):
    daemon, targets, possible = merge_in_time(t, SINGLE_PAGES_SECONDS,
                                              "--run", "1")
    check_frames(targets, possible)
    check_ranges(targets)
    check_memory(daemon)
    finish(daemon, targets)


def more_than_is_settled_at_once(t):
    """A gigabyte of duplicates and more: every copy meets the others."""
    if harness.SLOW > 1:
        harness.skip("a gigabyte is too much for an emulated machine")
    targets = dups(t, "--dup", "100", n=2, size=640)
    possible = mergeable(targets)
    daemon, seconds = seconds_until_merged(t, possible, 20)
    print(f"# {COMPLETE:.0%} of {possible} pages merged after "
          f"{seconds:.1f} s", flush=True)
    log = daemon.log()
    check(log.count("Pulse:") <= 2, f"in more than one piece:\n{log}")
    check_memory(daemon)
    finish(daemon, targets)


def bounded_ranges_when_duplicates_come_later(t):
    """The bound is used up when a process comes with which the first has
    more in common than with the second."""
    first, *_ = targets = [
        t.target("dup", "--size", "64", "--id", str(i), "--dup", percent)
        for i, percent in enumerate(("50", "10"))]
    before, bound = saved_by_ksm(), 60
    daemon = t.daemon(t.config("[merge]", f"max_ranges = {bound}"))
    wait_for(lambda: saved_by_ksm() - before >=
             COMPLETE * counted(targets[1])["duplicate"], 30,
             "merging the first two")
    check(harness.marks(first.pid) == bound, "the bound is not used up")
    targets.append(t.target("dup", "--size", "64", "--id", "2", "--dup",
                            "50"))
    possible = counted(first)["duplicate"] + counted(targets[1])["duplicate"]
    wait_for(lambda: saved_by_ksm() - before >= COMPLETE * possible, 30,
             "merging the third")
    check_ranges(targets, bound)
    finish(daemon, targets)


def zero_pages_need_no_frame(t):
    if not (harness.KSM / "ksm_zero_pages").exists():
        harness.skip("this kernel does not count them (Linux 6.6 does)")
    targets = dups(t, "--dup", "10", "--zero", "15", n=2, size=64)
    zero = sum(counted(p)["zero"] for p in targets)
    possible = mergeable(targets)
    daemon, _ = seconds_until_merged(t, possible, LONG_RUNS_SECONDS)
    mapped = sum(p.ksm_stat().get("ksm_zero_pages", 0) for p in targets)
    print(f"# {mapped} of {zero} zero pages are the zero page", flush=True)
    check(mapped >= COMPLETE * zero, f"{mapped} of {zero} zero pages")
    check_frames(targets, possible)
    finish(daemon, targets)


def zero_pages_can_be_left_alone(t):
    if "use_zero_pages" not in harness.knobs():
        harness.skip("this kernel merges no zero pages")
    harness.ksm_write("use_zero_pages", 0)
    targets = dups(t, "--dup", "20", "--zero", "20", n=2, size=32)
    before = saved_by_ksm()
    daemon = t.daemon(t.config("[merge]", "zero_pages = no"))
    duplicates = counted(targets[0])["duplicate"]
    wait_for(lambda: saved_by_ksm() - before >= COMPLETE * duplicates, 30,
             "merging the duplicates")
    check(harness.knobs()["use_zero_pages"] == "0", "use_zero_pages is set")
    check(all(not p.ksm_stat().get("ksm_zero_pages") for p in targets),
          "zero pages were merged all the same")
    finish(daemon, targets)


def opened_by(pid):
    """Numbers of the processes that @pid has something of /proc open of."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            parts = os.readlink(fd).split("/")
            if parts[1:2] == ["proc"] and parts[2:3] and parts[2].isdigit():
                found.add(int(parts[2]))
    return found


def who_is_not_named_is_not_touched(t):
    """Equal pages in a process that no rule names, and in one excluded."""
    named = dups(t, n=2, size=32)
    other = t.own(harness.Target(
        [str(harness.BUILD / "tests/targets/dup"), "--size", "32", "--id",
         "9"]))
    shutil.copy(harness.BUILD / "tests/targets/dup", t.folder / "secret")
    excluded = t.target("secret", "--size", "32", "--id", "8")
    config = ("[target secret]\ncomm = secret\nmode = exclude\n" + t.config())
    before = saved_by_ksm()
    daemon = t.daemon(config)
    possible = mergeable(named)
    wait_for(lambda: saved_by_ksm() - before >= COMPLETE * possible, 30,
             "merging those that are named")
    for _ in range(3):          # rounds over everything
        check(daemon.ctl("rescan").returncode == 0, "rescan")
        time.sleep(0.5)
    listed = {row["pid"] for row in daemon.ctl_json("list")}
    opened = opened_by(daemon.pid)
    check({p.pid for p in named} <= opened, f"fds of {opened}, not of those "
          f"that are watched: this test sees nothing")
    for target in (other, excluded):
        check(harness.marks(target.pid) == 0, "marks where none may be")
        check(target.ksm_stat().get("ksm_merging_pages", 0) == 0, "merged")
        check(target.pid not in listed, "it is watched")
        check(target.pid not in opened, "its files in /proc are open")
    # and what little the two processes have in common beside their mapping
    check(saved_by_ksm() - before < possible + 100, "others are merged too")
    finish(daemon, [*named, other, excluded])


def families_that_share_by_fork(t):
    """Two families with equal memory: in the end each page lies in one
    frame, though every frame was shared by a whole family before."""
    families = [t.target("family", "--size", "32", "--children", "3")
                for _ in range(2)]
    pids = [pid for f in families for pid in harness.family_of(f.pid)]
    pages = (32 << 20) // frames.PAGE
    _, before = frames.saved(whole=pids)
    daemon = t.daemon()
    start = time.monotonic()

    def merged():
        _, now = frames.saved(whole=pids)
        return before - now >= COMPLETE * pages
    wait_for(merged, 30, "merging the second family with the first", pause=0.5)
    seconds = time.monotonic() - start
    _, after = frames.saved(whole=pids)
    print(f"# {before} frames were {after} after {seconds:.1f} s "
          f"({pages} pages were in both)", flush=True)
    check(daemon.terminate() == 0, "the daemon's exit status")
    for family in families:
        family.finish()


if __name__ == "__main__":
    harness.run(runs_of_16_pages, runs_of_one_page,
                more_than_is_settled_at_once,
                bounded_ranges_when_duplicates_come_later,
                zero_pages_need_no_frame, zero_pages_can_be_left_alone,
                who_is_not_named_is_not_touched, families_that_share_by_fork)
