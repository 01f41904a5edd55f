#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 400
"""Processes that notice when they are disturbed, under the daemon.

Two of each, so that each has duplicates. They are found, read, enrolled and
merged while they do what is hard to interrupt, again and again; then their
marks are taken back under the same fire, and each verifies itself: its
memory, what its calls returned and when, its signals, its threads.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import harness
from harness import check, wait_for

CHURN_SECONDS = 3 if harness.FAST else 12
SIZE_MIB = "2"
MEMORY_PAGES = 512              # of SIZE_MIB


class Kind:
    """One kind of target: how it is started, and what shall become of it.

    @expect: "merged" its memory is merged; a text is the note with which the
    daemon leaves it alone; None: either, by chance, it is only kept intact.
    """

    def __init__(self, name, *args, expect="merged"):
        self.name, self.args, self.expect = name, args, expect
        self.title = " ".join([name, *args[1:]])

    def start(self, t, seed):
        try:
            return t.target(self.name, "--size", SIZE_MIB, "--seed",
                            str(seed), *self.args)
        except harness.Skip as e:
            print(f"# {self.title}: {e}", flush=True)
            return None


def calls():
    """Every call that `blocked` knows."""
    done = subprocess.run([harness.BUILD / "tests/targets/blocked", "--call",
                           "list"], capture_output=True, text=True,
                          check=True)
    return done.stdout.split()


def start_all(t, kinds):
    """[(kind, target)], two of each kind."""
    return [(kind, target) for seed, kind in enumerate(kinds, 1)
            for target in (kind.start(t, seed), kind.start(t, seed)) if target]


def is_merged(target):
    return target.ksm_stat().get("ksm_merging_pages", 0) >= MEMORY_PAGES * 0.95


def rows(daemon):
    return {row["pid"]: row for row in daemon.ctl_json("list")}


def wait_merged(daemon, pairs, seconds=120):
    """Until all that shall be merged is; says who is not."""
    left = [(kind, p) for kind, p in pairs if kind.expect == "merged"]
    deadline = time.monotonic() + seconds * harness.SLOW
    while left and time.monotonic() < deadline:
        left = [(kind, p) for kind, p in left if not is_merged(p)]
        time.sleep(0.1)
    if left:
        listed = rows(daemon)
        for kind, p in left:
            print(f"# {kind.title} (pid {p.pid}): {p.ksm_stat()}, "
                  f"{listed.get(p.pid)}", flush=True)
    check(not left, f"{len(left)} are not merged after {seconds} s: "
          + ", ".join(sorted({kind.title for kind, _ in left})))


def rescan(daemon):
    done = daemon.ctl("rescan")
    check(done.returncode == 0, f"rescan: {done.stderr}"
          f"{daemon.process.poll()}")


def churn(daemon, seconds):
    """Rounds upon rounds, as often as an operator could want them."""
    end = time.monotonic() + seconds
    n = 0
    while time.monotonic() < end:
        rescan(daemon)
        n += 1
        time.sleep(0.2)
    return n


def check_notes(daemon, pairs):
    """Those that are left alone are so for the reason that they have."""
    listed = rows(daemon)
    for kind, p in pairs:
        row = listed.get(p.pid)
        if kind.expect == "merged":
            check(row and row["state"] == "enrolled", f"{kind.title}: {row}")
        elif kind.expect == "unlisted":
            check(row is None, f"{kind.title} is watched: {row}")
        elif kind.expect:
            check(row and kind.expect in row["note"], f"{kind.title}: {row}")
            check(harness.marks(p.pid) == 0, f"{kind.title} was marked")


def finish(pairs):
    """Everyone's own account, all of them even if one is broken."""
    broken = []
    for kind, p in pairs:
        with contextlib.suppress(BrokenPipeError):
            p.process.stdin.close()
    for kind, p in pairs:
        try:
            p.finish()
        except harness.Failed as e:
            broken.append(f"{kind.title}: {e}")
    for line in broken:
        print(f"# {line}", flush=True)
    check(not broken, "; ".join(broken))


def say(daemon, pairs, rescans):
    merged = sum(is_merged(p) for _, p in pairs
                 if Path(f"/proc/{p.pid}/ksm_stat").exists())
    print(f"# {len(pairs)} targets, {merged} of them merged, {rescans} "
          f"rescans, {daemon.status()['pages_saved']} pages saved", flush=True)


def out_of_time(daemon, p):
    """A stop takes two minutes at most, of which a slow guest has seconds: then
    some may be left, if that is said."""
    said = [line for line in daemon.log().splitlines()
            if f"(pid {p.pid}) could not be taken back" in line]
    if said:
        print(f"# {said[0]}", flush=True)
    return said and harness.SLOW > 1


def hostile(t, kinds):
    """Merged, looked at again and again, withdrawn, and intact."""
    endure(t, start_all(t, kinds))


def endure(t, pairs):
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    wait_merged(daemon, pairs)
    rescans = churn(daemon, CHURN_SECONDS)
    say(daemon, pairs, rescans)
    check_notes(daemon, pairs)
    check(daemon.terminate(60) == 0, "the daemon's exit status")
    left = [kind.title for kind, p in pairs
            if kind.expect == "merged" and harness.marks(p.pid) and
            not out_of_time(daemon, p)]
    check(not left, f"marks are left in {left}")
    finish(pairs)


def blocked_calls(t):
    """Each in a call that must not return."""
    hostile(t, [Kind("blocked", "--call", call) for call in calls()])


def filters_and_oddities(t):
    """Who is under a filter himself cannot suspend those of others."""
    sandboxed = "seccomp filter" if harness.UNDER else "merged"
    hostile(t, [
        *(Kind("sandbox", "--action", a, expect=sandboxed)
          for a in ("kill", "errno", "trap")),
        Kind("timed"), Kind("novdso"),
        Kind("hidden", expect="unlisted"),
        Kind("leaderless", expect="unlisted"),
        Kind("dispatch", expect="uses syscall user dispatch"),
        Kind("blocked", "--call", "connect", expect="has no thread"),
        Kind("novdso", "--text", "hidden", expect="No system call"),
        Kind("vast"), Kind("family")])


def threads_under_load(t):
    """64 threads that want a CPU, and a quiet process with equal pages. Not
    nice: Linux 6.18.44 lets a task of nice 0 wait 23 s for a CPU beside 130
    threads of nice 10, and 2 s beside as many of nice 0."""
    endure(t, [(kind, kind.start(t, 1))
               for kind in (Kind("threads"), Kind("timed"))])


def signals_and_changes_under_load(t):
    hostile(t, [Kind("ticker"), Kind("rseq"), Kind("mapper"), Kind("forker")])


def hard_to_catch(t):
    """A process that is another all the time, one whose memory its child
    has, and one of another width; whether they are caught is chance."""
    hostile(t, [Kind("execer", expect=None), Kind("vforker", expect=None),
                Kind("vforker", "--msec", "1", expect=None),
                Kind("bits32", expect=None), Kind("forker")])


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def stopped_and_traced(t):
    """A stopped process stays stopped, a debugger keeps its process; both
    are merged once that is over."""
    stopped = [(Kind("blocked", "--call", "pause"),
                t.target("blocked", "--size", SIZE_MIB, "--call", "pause"))
               for _ in range(2)]
    traced = [(Kind("blocked", "--call", "futex"),
               t.target("blocked", "--size", SIZE_MIB, "--seed", "2",
                        "--call", "futex")) for _ in range(2)]
    for _, p in stopped:
        os.kill(p.pid, signal.SIGSTOP)
    debuggers = [t.own(Debugger(p.pid)) for _, p in traced]
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))

    def noted():
        listed = rows(daemon)
        return (all("is stopped" in listed.get(p.pid, {}).get("note", "")
                    for _, p in stopped) and
                all("is traced" in listed.get(p.pid, {}).get("note", "")
                    for _, p in traced))
    wait_for(noted, 30, "the reasons why they are left alone")
    churn(daemon, CHURN_SECONDS / 4)
    for _, p in stopped:
        check(state(p.pid) == "T", f"a stopped process is {state(p.pid)}")
    for (_, p), debugger in zip(traced, debuggers):
        check(debugger.traces(p.pid), "the debugger has lost its process")
    check(not any(harness.marks(p.pid) for _, p in stopped + traced),
          "marks where none could be made")
    for _, p in stopped:
        os.kill(p.pid, signal.SIGCONT)
    for debugger in debuggers:
        debugger.stop()
    rescan(daemon)
    wait_merged(daemon, stopped + traced)
    check(daemon.terminate(60) == 0, "the daemon's exit status")
    finish(stopped + traced)


class Debugger:
    """gdb, attached, with its process running."""

    def __init__(self, pid):
        try:
            self.process = subprocess.Popen(
                ["gdb", "-q", "-nx", "-p", str(pid), "-ex", "set pagination "
                 "off", "-ex", "continue"], stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True)
        except FileNotFoundError:
            harness.skip("gdb is not installed")
        wait_for(lambda: self.traces(pid) and state(pid) != "t", 60,
                 "gdb's attach")

    def traces(self, pid):
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("TracerPid:")[1].split()[0]) == \
            self.process.pid

    def stop(self):
        """Interrupt what it debugs, and let go of it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(b"detach\nquit\n")
                self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def exits_in_the_middle(t):
    """Processes that come and go while they are found, read and enrolled."""
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    end = time.monotonic() + CHURN_SECONDS
    n = 0
    while time.monotonic() < end:
        pair = [t.target("dup", "--size", "8", "--run", "4", "--id", str(i))
                for i in range(2)]
        n += len(pair)
        time.sleep(n * 37 % 101 / 100)      # 0 to 1 s, in no order
        for i, p in enumerate(pair):
            if i or n % 3:
                p.finish()
            else:
                p.stop()                    # SIGKILL
    print(f"# {n} processes came and went", flush=True)
    wait_for(lambda: not rows(daemon), 20, "forgetting them all")
    check(daemon.terminate() == 0, "the daemon's exit status")


if __name__ == "__main__":
    harness.run(blocked_calls, filters_and_oddities, threads_under_load,
                signals_and_changes_under_load, hard_to_catch,
                stopped_and_traced, exits_in_the_middle)
