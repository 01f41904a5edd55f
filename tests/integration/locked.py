#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes whose memory map is locked for as long as they like.

Nobody who asks the kernel about their memory gets an answer, and nobody can be
got out of asking: ps hangs on them, too. The daemon must leave them alone, go
on with all others, answer, and end as ever; and when they let go of the lock
it must take them up again. (tests/targets/locked.c)
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import harness
from harness import check, wait_for

PAGES = 500                     # merged, of each of the others
MANY = 20                       # more than there are threads to ask
SAID = "is locked: it is left alone"


def start(t):
    """One that can lock its map; while it does, it cannot be killed."""
    target = t.target("locked", "--size", "4")
    t.stack.callback(target.process.stdin.close)
    return target


def waits(pid):
    """For the page, without an end; what its wchan is, kernels differ in."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "D"


def lock(targets):
    for p in targets:
        os.kill(p.pid, signal.SIGUSR1)
    wait_for(lambda: all(waits(p.pid) for p in targets), 20, "the locks")


def pair(t, number):
    return [t.target("dup", "--size", "16", "--id", str(number * 2 + i))
            for i in range(2)]


def merged(targets):
    return all(p.ksm_stat()["ksm_merging_pages"] >= PAGES for p in targets)


def answers(daemon):
    begun = time.monotonic()
    rows = daemon.ctl_json("list")
    daemon.status()
    check(time.monotonic() - begun < 5 * harness.SLOW,
          f"two answers took {time.monotonic() - begun:.1f} s")
    return {row["pid"] for row in rows}


def times_said(daemon, target):
    return daemon.log().count(f"(pid {target.pid}) {SAID}")


def tracked(daemon, targets):
    pages = {row["pid"]: row["tracked_pages"]
             for row in daemon.ctl_json("list")}
    return all(pages.get(p.pid, 0) > PAGES for p in targets)


def unlock(targets):
    """They verify themselves, and end."""
    for p in targets:
        p.finish()


def end(daemon, others, locked, saved):
    check(daemon.terminate(60) == 0, "the daemon's exit status")
    check(harness.knobs() == saved, "knobs are left")
    check(not any(harness.marks(p.pid) for p in others), "marks are left")
    for p in others:
        p.intact()
    unlock(locked)


def all_are_asked():
    """Whether what is to be known of every process takes its lock."""
    return "ksm_mergeable" in Path("/proc/self/ksm_stat").read_text()


def locked_before_they_are_found(t):
    locked = [start(t) for _ in range(3)]
    lock(locked)
    others = pair(t, 1)
    daemon = t.daemon(t.config())
    wait_for(lambda: merged(others), 60, "the others' merge")
    more = pair(t, 2)
    wait_for(lambda: merged(more), 60, "the merge of who comes later")
    check(not answers(daemon) & {p.pid for p in locked},
          "who does not answer is listed")
    said = [times_said(daemon, p) for p in locked]
    check(said == [1] * len(locked), f"it is said so many times: {said}")
    asked = [["explain", str(locked[0].pid)]]
    if all_are_asked():
        asked.append(["plan", str(others[0].pid)])
    for words in asked:
        done = daemon.ctl(*words)
        check("is locked" in done.stderr, f"{words}: {done.stderr}")
    last = locked.pop()
    os.kill(last.pid, signal.SIGSTOP)       # comes when the lock is free
    end(daemon, others + more, locked, t.saved)
    os.kill(last.pid, signal.SIGCONT)
    unlock([last])


def locked_while_they_are_read(t):
    """Their mappings are read at each pass, and some readers do not return;
    with no marks, since ksmd has no way around who has some."""
    daemon = t.daemon(t.config(mode="observe"))
    locked = [start(t) for _ in range(3)]
    wait_for(lambda: {p.pid for p in locked} <= answers(daemon), 30,
             "finding them")
    others = pair(t, 1)
    wait_for(lambda: tracked(daemon, others), 60, "reading the others")
    time.sleep(8)                   # what is young is asked about each second
    lock(locked)
    check(daemon.ctl("rescan").returncode == 0, "rescan")
    more = pair(t, 2)
    wait_for(lambda: tracked(daemon, more), 60, "reading who comes later")
    answers(daemon)
    wait_for(lambda: all(times_said(daemon, p) for p in locked), 60,
             "a word of them")
    notes = {row["pid"]: row["note"] for row in daemon.ctl_json("list")}
    check(all("lock of its memory map" in notes[p.pid] for p in locked),
          f"map-locked is not the reason: {notes}")
    unlock(locked[:1])
    locked[0] = start(t)
    end(daemon, others + more, locked, t.saved)


def container(t):
    """The pid of somebody in a user namespace of its own."""
    try:
        keeper = subprocess.Popen(["unshare", "--user", "--map-root-user",
                                   "sh", "-c", "echo; exec sleep 3600"],
                                  stdout=subprocess.PIPE)
    except FileNotFoundError:
        harness.skip("no unshare")
    t.stack.callback(keeper.wait)
    t.stack.callback(keeper.kill)
    if not keeper.stdout.readline():
        harness.skip("no user namespaces")
    return keeper.pid


def start_in(t, pid, name, *args):
    """A target in the user namespace of @pid."""
    program = t.folder / name
    if not program.exists():
        shutil.copy(harness.BUILD / "tests/targets" / name, program)
    target = t.own(harness.Target(
        ["nsenter", "--target", str(pid), "--user", "--preserve-credentials",
         str(program), *args]))
    t.stack.callback(target.process.stdin.close)
    return target


def nobody_locks_out_the_others(t):
    """A container with more of them than there are threads to ask."""
    pid = container(t)
    locked = [start_in(t, pid, "locked", "--size", "1") for _ in range(MANY)]
    lock(locked)
    daemon = t.daemon(t.config())
    others = pair(t, 1)
    wait_for(lambda: merged(others), 60, "the others' merge")
    check(not answers(daemon) & {p.pid for p in locked},
          "who does not answer is listed")
    check(sum(times_said(daemon, p) for p in locked) < MANY / 2,
          "all of them are asked")
    check("is not asked for: those of too many others" in daemon.log(),
          "nothing is said of those that are not asked")
    unlock(locked[:10])
    locked = locked[10:]
    more = pair(t, 2)
    wait_for(lambda: merged(more), 60, "the merge of who comes later")
    end(daemon, others + more, locked, t.saved)


def who_is_not_asked_gets_all_back(t):
    """In a container with too many that do not answer."""
    pid = container(t)
    inside = [start_in(t, pid, "dup", "--size", "16", "--id", str(i))
              for i in range(2)]
    daemon = t.daemon(t.config())
    wait_for(lambda: merged(inside), 60, "the merge")
    # none of these is to be marked: ksmd would wait for it
    check(daemon.ctl("pause").returncode == 0, "pause")
    locked = [start_in(t, pid, "locked", "--size", "1") for _ in range(6)]
    lock(locked)
    check(daemon.ctl("resume").returncode == 0, "resume")
    wait_for(lambda: "is not asked for" in daemon.log(), 60, "a refusal")
    end(daemon, inside, locked, t.saved)


def is_stuck(daemon):
    return "ksmd-stuck" in [w["name"] for w in daemon.status()["warnings"]]


def ksmd_waits_for_a_lock(t):
    """There is no way around who is registered; it is said, the others are
    enrolled, and when the lock is free all that was promised is merged."""
    daemon = t.daemon(t.config())
    locked = [start(t) for _ in range(2)]
    # before the daemon's end, which is to write what ksmd's lock is for
    for p in locked:
        t.stack.callback(p.process.stdin.close)
    wait_for(lambda: all(harness.marks(p.pid) for p in locked), 60, "marks")
    wait_for(lambda: daemon.status()["state"] == "resting", 60, "rest")
    lock(locked[:1])
    others = pair(t, 1)
    wait_for(lambda: is_stuck(daemon), 120, "word of ksmd")
    more = pair(t, 2)
    wait_for(lambda: tracked(daemon, more), 60, "reading who comes later")
    check(not merged(others) and not merged(more), "ksmd goes on")
    check(daemon.status()["promised_pages"] > 0, "nothing is promised")
    unlock(locked[:1])
    wait_for(lambda: merged(others + more), 60, "the merge, after all")
    wait_for(lambda: not is_stuck(daemon), 60, "the end of the warning")
    end(daemon, others + more, locked[1:], t.saved)


if __name__ == "__main__":
    harness.run(locked_before_they_are_found, locked_while_they_are_read,
                nobody_locks_out_the_others, who_is_not_asked_gets_all_back,
                ksmd_waits_for_a_lock)
