#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 300
"""Where huge pages are given out freely, merged pages stay merged.

khugepaged puts a region together again in which at most max_ptes_shared pages
are shared (facts 2.6), and so undoes a merge. It is made to run as fast as it
can here.
"""

import contextlib
import os
import time
from pathlib import Path

import harness
from harness import check, wait_for

THP = Path("/sys/kernel/mm/transparent_hugepage")
HASTE = {"enabled": "always", "defrag": "always", "khugepaged/defrag": "1",
         "khugepaged/scan_sleep_millisecs": "10",
         "khugepaged/alloc_sleep_millisecs": "10",
         "khugepaged/pages_to_scan": "65536"}
SIZE_MIB = 64
WATCH_SECONDS = 12


def chosen(text):
    """Of "always [madvise] never" the word in brackets; else all of it."""
    return text.split("[")[1].split("]")[0] if "[" in text else text.strip()


@contextlib.contextmanager
def huge_pages():
    before = {name: chosen((THP / name).read_text()) for name in HASTE}
    try:
        for name, value in HASTE.items():
            (THP / name).write_text(value)
        yield
    finally:
        for name, value in before.items():
            (THP / name).write_text(value)


def need_huge_pages():
    harness.need_ksm()
    if not os.access(THP / "khugepaged/scan_sleep_millisecs", os.W_OK):
        harness.skip("this kernel has no khugepaged")


def rollup(target, name):
    """A field of smaps_rollup in MiB."""
    text = Path(f"/proc/{target.pid}/smaps_rollup").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) >> 10


def full_scans():
    return int((THP / "khugepaged/full_scans").read_text())


def stays_merged(t, *args):
    """Merged, and still so after khugepaged has passed several times."""
    with huge_pages():
        targets = [t.target("dup", "--size", str(SIZE_MIB), "--id", str(i),
                            *args) for i in range(2)]
        huge = [rollup(target, "AnonHugePages") for target in targets]
        daemon = t.daemon()
        wait_for(lambda: daemon.status()["state"] == "resting" and
                 harness.ksm("pages_sharing") > 0, 30, "a merge")
        saved, scans = harness.ksm("pages_sharing"), full_scans()
        time.sleep(WATCH_SECONDS)
        wait_for(lambda: full_scans() >= scans + 3, 60,
                 "three scans by khugepaged")
        now = harness.ksm("pages_sharing")
        left = [rollup(target, "AnonHugePages") for target in targets]
        print(f"# {saved} pages merged, {now} after {full_scans() - scans} "
              f"scans by khugepaged; huge pages: {huge} MiB before, {left} "
              f"MiB after", flush=True)
        check(now >= saved * 0.98, "khugepaged has taken merged pages back")
        for target in targets:
            target.intact()
        check(daemon.terminate() == 0, "the daemon's exit status")
    return saved, huge, left


def much_is_merged_and_stays_so(t):
    saved, huge, _ = stays_merged(t, "--dup", "75")
    check(min(huge) > SIZE_MIB / 2, "there were no huge pages to begin with")
    check(saved > 0.7 * SIZE_MIB * 256, f"{saved} pages are not much")


def a_quarter_is_merged_and_stays_so(t):
    """Fewer in each region than khugepaged would take back."""
    saved, huge, _ = stays_merged(t, "--dup", "25")
    check(min(huge) > SIZE_MIB / 2, "there were no huge pages to begin with")
    check(saved > 0.2 * SIZE_MIB * 256, f"{saved} pages are not enough")


def singles_are_merged_and_stay_so(t):
    """Whole regions are mergeable then, but for a gap that protects them."""
    saved, _, _ = stays_merged(t, "--dup", "25", "--run", "1")
    check(saved > 0.2 * SIZE_MIB * 256, f"{saved} pages are not enough")


def little_is_not_worth_a_huge_page(t):
    """A few duplicates in each region are left where they are."""
    with huge_pages():
        targets = [t.target("dup", "--size", str(SIZE_MIB), "--id", str(i),
                            "--dup", "3") for i in range(2)]
        huge = [rollup(target, "AnonHugePages") for target in targets]
        check(min(huge) > SIZE_MIB / 2, "there are no huge pages")
        daemon = t.daemon()
        wait_for(lambda: daemon.status()["state"] == "resting", 30, "rest")
        time.sleep(WATCH_SECONDS / 2)
        left = [rollup(target, "AnonHugePages") for target in targets]
        print(f"# huge pages: {huge} MiB before, {left} MiB after; "
              f"{harness.ksm('pages_sharing')} pages merged", flush=True)
        check(min(left) >= max(huge) - 8, "huge pages were split for little")
        check(any("huge pages" in row["note"] for row in daemon.ctl_json("list")),
              "nobody is told why nothing merges")
        told = daemon.ctl("explain", "--json", str(targets[0].pid)).stdout
        check('"huge-held"' in told, "explain does not tell it")
        check(daemon.terminate() == 0, "the daemon's exit status")


if __name__ == "__main__":
    harness.run(much_is_merged_and_stays_so, a_quarter_is_merged_and_stays_so,
                singles_are_merged_and_stay_so, little_is_not_worth_a_huge_page,
                needs=need_huge_pages)
