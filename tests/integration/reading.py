#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 600
"""Looking at processes leaves them as they are.

What the kernel shares stays shared, what is not there is not faulted in, and
what costs nothing to have costs next to nothing to look at.
"""

import contextlib
import time
from pathlib import Path

import frames
import harness
import huge
from harness import check, wait_for

ROUNDS = 4
VAST_SECONDS = 1.0              # the aim, of CPU and of the clock


def vmstat(name):
    for line in Path("/proc/vmstat").read_text().splitlines():
        if line.startswith(f"{name} "):
            return int(line.split()[1])
    return 0


def page_frames(pid):
    """{page number: frame number} of everything present that is anonymous."""
    return dict(pair for found in frames.pages(pid) for pair in found)


def sizes(pid):
    """What the kernel accounts to a process, in kB."""
    wanted = ("RssAnon:", "RssFile:", "RssShmem:", "VmSwap:", "VmPTE:")
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {words[0]: int(words[1]) for words in map(str.split, lines)
            if words and words[0] in wanted}


def merged_pair(t):
    """Two processes whose registered duplicates ksmd has merged, as it is
    without a daemon; ksmd stands still afterwards."""
    pair = [t.target("dup", "--size", "32", "--id", str(i), "--zero", "10",
                     "--register", "madvise") for i in range(2)]
    for knob, value in (("advisor_mode", "none"), ("smart_scan", 0),
                        ("use_zero_pages", 1), ("pages_to_scan", 20000),
                        ("run", 1)):
        if knob in harness.knobs():
            harness.ksm_write(knob, value)
    tick = [20]

    def merged():
        tick[0] ^= 1            # a changed value wakes ksmd
        harness.ksm_write("sleep_millisecs", tick[0])
        return all(p.ksm_stat()["ksm_merging_pages"] >= 2000 for p in pair)
    wait_for(merged, 60, "ksmd's merging", pause=0.2)
    harness.ksm_write("run", 0)
    return pair


def tracked(daemon):
    return {row["pid"]: row["tracked_pages"] for row in daemon.ctl_json("list")}


def rounds_are_over(daemon, n):
    """Let it look at everything @n times more."""
    for _ in range(n):
        check(daemon.ctl("rescan").returncode == 0, "rescan")
        time.sleep(0.2)
        wait_for(lambda: daemon.status()["state"] == "resting", 60,
                 "the end of a round")


@contextlib.contextmanager
def without_khugepaged():
    """It moves pages, and fills up what is missing beside them."""
    enabled = huge.THP / "enabled"
    before = huge.chosen(enabled.read_text()) if enabled.exists() else None
    if before:
        enabled.write_text("never")
    try:
        yield
    finally:
        if before:
            enabled.write_text(before)


def observing_changes_nothing(t):
    """Merged, fork-shared and single pages, in mode observe; and some that
    their owners have registered and ksmd has not merged yet."""
    t.stack.enter_context(without_khugepaged())
    pair = merged_pair(t)
    pair += [t.target("dup", "--size", "8", "--id", str(i), "--seed", "2",
                      "--register", "madvise") for i in range(2)]
    clan = t.target("family", "--size", "16", "--children", "3")
    pids = [p.pid for p in pair] + harness.family_of(clan.pid)
    time.sleep(1)               # its children touch what they need first
    before = {pid: (page_frames(pid), sizes(pid)) for pid in pids}
    knobs = harness.knobs()
    cow, migrated = harness.cow_ksm(), vmstat("pgmigrate_success")
    faults = {pid: minor_faults(pid) for pid in pids}

    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%", mode="observe"))
    rounds_are_over(daemon, ROUNDS)
    seen = tracked(daemon)
    check(daemon.terminate() == 0, "the daemon's exit status")
    moved = vmstat("pgmigrate_success") - migrated

    check(sum(seen.values()) > 4096, f"it looked at {seen} pages only")
    check(harness.cow_ksm() == cow, f"{harness.cow_ksm() - cow} pages were "
          f"un-merged")
    check(harness.knobs() == knobs, f"knobs: {harness.knobs()}, not {knobs}")
    changed = 0
    for pid in pids:
        now, was = page_frames(pid), before[pid][0]
        check(now.keys() == was.keys(), "pages came or went")
        changed += sum(now[page] != was[page] for page in was)
        check(sizes(pid) == before[pid][1],
              f"sizes: {sizes(pid)}, not {before[pid][1]}")
        check(minor_faults(pid) == faults[pid], "a page was faulted in")
    print(f"# {sum(seen.values())} pages read {ROUNDS} times; {changed} "
          f"changed their frame, {moved} were migrated by the kernel")
    check(changed <= moved, f"{changed} pages lie in other frames")
    for target in (*pair, clan):
        target.finish()


def minor_faults(pid):
    text = Path(f"/proc/{pid}/stat").read_text()
    return int(text.rpartition(")")[2].split()[7])


def rounds_after_a_merge_break_nothing(t):
    """Looking again at what is merged, in mode selective."""
    pair = [t.target("dup", "--size", "64", "--id", str(i), "--zero", "5")
            for i in range(2)]
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    wait_for(lambda: all(p.ksm_stat()["ksm_merging_pages"] >= 4000
                         for p in pair), 30, "the merge")
    rounds_are_over(daemon, 1)
    saved, cow = daemon.status()["pages_saved"], harness.cow_ksm()
    rounds_are_over(daemon, ROUNDS)
    now = daemon.status()["pages_saved"]
    print(f"# {saved} pages saved, {now} after {ROUNDS} rounds more; "
          f"{harness.cow_ksm() - cow} were un-merged")
    check(now >= saved, f"{now} pages saved, they were {saved}")
    check(harness.cow_ksm() == cow, "pages were un-merged")
    for target in pair:
        target.intact()


def bytes_read(daemon):
    text = Path(f"/proc/{daemon.pid}/io").read_text()
    return int(text.split("rchar:")[1].split()[0])


def what_rests_is_not_read_again(t):
    """All that is looked at again is a few pages of each region."""
    pair = [t.target("dup", "--size", "128", "--id", str(i)) for i in range(2)]
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    all_bytes = 2 * 128 << 20
    wait_for(lambda: sum(tracked(daemon).values()) * 4096 >= all_bytes and
             daemon.status()["state"] == "resting" and
             daemon.status()["pages_saved"], 60, "the first work's end")
    first = bytes_read(daemon)
    time.sleep(15)
    again = bytes_read(daemon) - first
    print(f"# {first >> 20} MiB read at first, {again >> 20} MiB in 15 s "
          f"after that", flush=True)
    check(first > all_bytes, f"{first} bytes are less than all there is")
    check(again < all_bytes / 8, f"{again} bytes read again")
    for target in pair:
        target.intact()


def a_newcomer_meets_what_rests(t):
    """What is not read again is still known."""
    pair = [t.target("dup", "--size", "64", "--id", str(i)) for i in range(2)]
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    wait_for(lambda: daemon.status()["pages_saved"] > 4000 and
             daemon.status()["state"] == "resting", 60, "the merge")
    known = tracked(daemon)
    time.sleep(6)
    late = t.target("dup", "--size", "64", "--id", "3")
    wait_for(lambda: late.ksm_stat()["ksm_merging_pages"] > 4000, 60,
             "the merge of one that comes later")
    check(all(tracked(daemon)[p.pid] >= known[p.pid] * 0.99 for p in pair),
          "pages were forgotten")
    for target in (*pair, late):
        target.intact()


def who_has_gone_leaves_heirs(t):
    """Two equal processes are started again one after the other: whichever of
    them its pages were known by, those that come meet who is left."""
    left = t.target("dup", "--size", "64", "--id", "0")
    here = t.target("dup", "--size", "64", "--id", "1")
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    wait_for(lambda: daemon.status()["pages_saved"] > 4000 and
             daemon.status()["state"] == "resting", 60, "the merge")
    for i in range(2, 5):
        left.finish()
        left, here = here, t.target("dup", "--size", "64", "--id", str(i))
        wait_for(lambda: here.ksm_stat()["ksm_merging_pages"] > 4000, 60,
                 f"the merge of number {i}")
    for target in (left, here):
        target.intact()


def what_is_new_displaces_what_rests(t):
    """With an index that one process of 192 MiB fills, and a second that found
    no room: what was at rest for long gives way to newcomers, who do not take
    turns with those that were there before them."""
    old = [t.target("dup", "--size", "192", "--id", str(i), "--seed", "7",
                    "--dup", "0") for i in range(2)]
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%",
                               "memory_limit = 1M"))

    def full():
        return [w["sentence"] for w in daemon.status()["warnings"]
                if w["name"] == "memory-limit"]
    wait_for(full, 30, "the index's end")
    time.sleep(45)              # regions of hot processes do not give way
    pair = [t.target("dup", "--size", "128", "--id", str(i)) for i in range(2)]
    wait_for(lambda: all(p.ksm_stat()["ksm_merging_pages"] >= 8192 * 0.95
                         for p in pair), 60, "the merge of what is new")
    print(f"# {full()[0]}")
    for target in (*old, *pair):
        target.intact()


def wait_rest(daemon, *targets):
    """Until it knows these and no others, and has nothing to do."""
    wait_for(lambda: tracked(daemon).keys() == {p.pid for p in targets} and
             daemon.status()["state"] == "resting", 60, "its rest")


def who_has_gone_takes_no_memory(t):
    """What was kept of their pages goes back to the kernel."""
    small = t.target("dup", "--size", "8", "--seed", "3")
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    wait_rest(daemon, small)
    before = resident_kb(daemon)
    large = [t.target("dup", "--size", "512", "--id", str(i), "--dup", "0")
             for i in range(2)]
    wait_rest(daemon, small, *large)
    wait_for(lambda: sum(tracked(daemon).values()) >= 2 * 512 * 256, 60,
             "the first look at all")
    most = resident_kb(daemon)
    for target in large:
        target.finish()
    wait_rest(daemon, small)
    # its trimming is some seconds away
    wait_for(lambda: resident_kb(daemon) - before < (most - before) / 4, 30,
             "its memory's return")
    print(f"# {before} kB resident, {most} kB with 1 GiB more, then "
          f"{resident_kb(daemon)} kB", flush=True)
    check(most - before > 3000, "it has kept nothing?")
    small.intact()


def many_mappings_leave_no_memory(t):
    """Who has had many of them, and many at once: the reading threads have
    allocated what was kept of each."""
    small = t.target("dup", "--size", "8", "--seed", "3")
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    before, most = None, 0
    for _ in range(2):
        wait_rest(daemon, small)
        before = before or resident_kb(daemon)
        crowd = [t.target("splinters", "--early", "50000", "--later", "50000",
                          "--seed", str(i)) for i in range(4)]
        wait_for(lambda: {p.pid for p in crowd} <= {
            pid for pid, n in tracked(daemon).items() if n >= 50000}, 60,
            "the first look at all")
        most = max(most, resident_kb(daemon))
        for target in crowd:
            target.stop()
    wait_for(lambda: tracked(daemon).keys() == {small.pid}, 60, "their end")
    try:
        wait_for(lambda: resident_kb(daemon) - before < 8000, 30,
                 "its memory's return")
    finally:
        print(f"# {before} kB resident, {most} kB with 200,000 mappings more, "
              f"then {resident_kb(daemon)} kB", flush=True)
    small.intact()


def resident_kb(daemon):
    text = Path(f"/proc/{daemon.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def a_vast_mapping_costs_nothing(t):
    """32 TiB reserved, one page touched."""
    with contextlib.suppress(FileNotFoundError):
        if Path("/proc/sys/vm/overcommit_memory").read_text() == "2\n":
            harness.skip("this machine does not overcommit")
    vast = [t.target("vast", "--size", "1") for _ in range(2)]
    start = time.monotonic()
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    wait_for(lambda: all(tracked(daemon).get(v.pid, 0) >= 256 for v in vast),
             30, "the first look at both")
    seconds = time.monotonic() - start
    cpu_first = daemon.status()["cpu_usec"]["daemon"] / 1e6
    rounds_are_over(daemon, ROUNDS)
    cpu = daemon.status()["cpu_usec"]["daemon"] / 1e6
    warnings = [w for w in daemon.status()["warnings"]
                if w["name"] == "sparse"]
    print(f"# first look at two of 32 TiB: {seconds:.2f} s, {cpu_first:.2f} s "
          f"of CPU; {(cpu - cpu_first) / ROUNDS:.2f} s of CPU for each round "
          f"more (aim: below {VAST_SECONDS} s for each)", flush=True)
    if warnings:
        print(f"# {warnings[0]['sentence']}")
    most = VAST_SECONDS * harness.SLOW
    check(cpu_first < 2 * most, f"{cpu_first:.2f} s of CPU")
    check(cpu - cpu_first < ROUNDS * most, f"{cpu:.2f} s of CPU")
    for v in vast:
        v.finish()


if __name__ == "__main__":
    harness.run(observing_changes_nothing, rounds_after_a_merge_break_nothing,
                what_rests_is_not_read_again, a_newcomer_meets_what_rests,
                who_has_gone_leaves_heirs,
                what_is_new_displaces_what_rests,
                who_has_gone_takes_no_memory,
                many_mappings_leave_no_memory, a_vast_mapping_costs_nothing)
