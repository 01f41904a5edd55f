#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 900
"""Processes that are after the daemon's time, its memory, or its word.

All at once, under one daemon: checksums that say nothing, mappings without
end, terabytes with a page here and there, processes by the thousand, pages
that are written as soon as they are merged, cgroups that are gone when they
are read. Nobody comes to harm, what the daemon uses stays within its limits,
and ordinary processes beside them are merged all the same.

And processes that are suddenly others: by exec, with the memory left to
somebody else, as another user, or with the number of one that has died.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import harness
from harness import check, wait_for
from strangers import Cgroup

START = time.monotonic()
SECONDS = float(os.environ.get("ABUSE_SECONDS", "6"))
LIMIT = 0.2                     # of one CPU, cpu_limit
BURST = 60                      # s of CPU for beginnings (decide/budget.h)
MEMORY_LIMIT = 0.01             # of all memory, memory_limit
BESIDE = 16 << 20               # of memory, for all that memory_limit is not
TIMES = max(1, int(SECONDS / 6))
SIZE_MIB = "2"
MEMORY_PAGES = 512              # of SIZE_MIB


def say(text):
    print(f"# {time.monotonic() - START:.1f} s: {text}", flush=True)


def calm(t, seed):
    return t.target("blocked", "--size", SIZE_MIB, "--seed", str(seed),
                    "--call", "pause")


def is_merged(target):
    return target.ksm_stat().get("ksm_merging_pages", 0) >= MEMORY_PAGES * 0.95


def listed(daemon):
    """Rows by pid; none where a busy machine keeps the daemon from
    answering."""
    done = daemon.ctl("list", "--json")
    rows = json.loads(done.stdout) if done.returncode == 0 else []
    return {row["pid"]: row for row in rows}


def wait_merged(daemon, targets, what, seconds=240):
    """How long it took until all are merged."""
    start = time.monotonic()
    try:
        wait_for(lambda: all(map(is_merged, targets)), seconds, what)
    except harness.Failed:
        rows = listed(daemon)
        for p in targets:
            print(f"# {what}: {p.ksm_stat()}, {rows.get(p.pid)}", flush=True)
        raise
    return time.monotonic() - start


class Meter:
    """What the daemon, its helpers and ksmd use, from now on."""

    def __init__(self, daemon):
        self.daemon, self.start = daemon, time.monotonic()
        self.ksmd = harness.ksmd_pid()
        self.at_first = self.cpu()
        self.memory = self.peak()

    def processes(self):
        """The daemon and all below it."""
        found, i = [self.daemon.pid], 0
        while i < len(found):
            with contextlib.suppress(OSError):
                found += harness.family_of(found[i])[1:]
            i += 1
        return found

    def cpu(self):
        used = []
        for pids in (self.processes(), [self.ksmd]):
            used.append(0)
            for pid in pids:
                with contextlib.suppress(OSError):
                    used[-1] += harness.cpu_seconds(pid)
        return used

    def peak(self):
        text = Path(f"/proc/{self.daemon.pid}/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) * 1024

    def judge(self, beginnings=BURST):
        passed = time.monotonic() - self.start
        ours, ksmd = (now - then for now, then
                      in zip(self.cpu(), self.at_first))
        grown = self.peak() - self.memory
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        print(f"# {passed:.1f} s: daemon {ours:.2f} s of CPU "
              f"({ours / passed:.1%}, limit {LIMIT:.0%} and {beginnings} s), "
              f"ksmd {ksmd:.2f} s ({ksmd / passed:.1%}), {grown >> 20} MiB of "
              f"memory", flush=True)
        check(ours <= LIMIT * passed + beginnings, "the daemon's CPU")
        check(grown <= MEMORY_LIMIT * total + BESIDE, "the daemon's memory")


class Cgroups:
    """Makes cgroups, puts processes into them, ends and removes both."""

    def __init__(self, t):
        self.n, self.ended = 0, threading.Event()
        self.program = t.folder / "blocked"
        self.groups = [Cgroup(f"ksmd-plus-test-{i}.service") for i in range(4)]
        self.folders = [g.folder for g in self.groups if g.folder]
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while self.folders and not self.ended.wait(0.01):
            folder = self.folders[self.n % len(self.folders)]
            folder.mkdir(exist_ok=True)
            child = subprocess.Popen(
                [str(self.program), "--call", "pause"],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                start_new_session=True)
            with contextlib.suppress(OSError):
                (folder / "cgroup.procs").write_text(str(child.pid))
            self.ended.wait(self.n * 37 % 101 / 200)    # in no order
            child.kill()
            child.wait()
            child.stdin.close()
            with contextlib.suppress(OSError):
                folder.rmdir()
            self.n += 1

    def stop(self):
        self.ended.set()
        self.thread.join()
        for group in self.groups:
            group.stop()


def finish(targets):
    """Everyone's own account, all of them even if one is broken."""
    broken = []
    for p in targets:
        with contextlib.suppress(BrokenPipeError):
            p.process.stdin.close()
    for p in targets:
        try:
            p.finish(120)
        except harness.Failed as e:
            broken.append(f"{Path(p.process.args[3]).name}: {e}")
    for line in broken:
        print(f"# {line}", flush=True)
    check(not broken, "; ".join(broken))


def spenders(t):
    """All that are to cost much, but the collider. Of those with many
    mappings, who has all but a few of them gets no more; one that gets some
    early, two for each range, may miss those when it wants all itself."""
    targets = []
    for name, *args in (("splinters", "--early", "1000", "--spare", "2100"),
                        ("splinters", "--early", "1000", "--spare", "2100"),
                        ("splinters", "--early", "60000", "--spare", "200"),
                        ("splinters", "--early", "65000"),
                        ("vast", "--tib", "2", "--every", "1024",
                         "--register", "yes"),
                        ("vast", "--tib", "32", "--every", "16384"),
                        ("turncoat", "--size", SIZE_MIB),
                        ("fickle", "--size", "16"),
                        ("spawner",)):
        try:
            targets.append(t.target(name, *args))
        except harness.Skip as e:
            print(f"# {e}", flush=True)
    return targets


def what_costs_much(t):
    collider = t.target("collider", "--size", SIZE_MIB, "--seed", "7")
    daemon = t.daemon(t.config("[scan]", f"cpu_limit = {LIMIT:.0%}"))
    meter = Meter(daemon)
    wait_for(lambda: collider.pid in listed(daemon), 60, "the first")
    first = calm(t, 7)
    time.sleep(4)               # it is settled beside those that collide
    hostile = [collider, *spenders(t)]
    cgroups = t.own(Cgroups(t))
    say("all are started")
    second = calm(t, 7)
    took = wait_merged(daemon, [first, second], "twins beside a collider")
    pair = [calm(t, 8), calm(t, 8)]
    took_pair = wait_merged(daemon, pair, "twins beside all of them")
    time.sleep(SECONDS)
    meter.judge()
    print(f"# merged beside them after {took:.1f} and {took_pair:.1f} s; "
          f"{cgroups.n} cgroups came and went", flush=True)
    cgroups.stop()
    check(daemon.terminate(60) == 0, daemon.log()[-1000:])
    say("the daemon has ended")
    finish([*hostile, first, second, *pair])


def set_user_id(t):
    """Two that are root again with each exec."""
    t.folder.chmod(0o755)
    program = t.folder / "setuid"
    shutil.copy(harness.BUILD / "tests/targets/execer", program)
    program.chmod(0o4755)
    try:
        return [t.own(harness.Target([str(program), "--nobody", "yes"]))
                for _ in range(2)]
    except harness.Skip as e:
        print(f"# {e}", flush=True)
        return []


class Reborn(harness.Target):
    """Another process with the number of one that has died. Its memory has
    twins nowhere; the pages of its program and its libraries do."""

    def __init__(self, t, pid, seed):
        program, samepid = t.folder / "blocked", t.folder / "samepid"
        if not samepid.exists():
            shutil.copy(harness.BUILD / "tests/targets/samepid", samepid)
        super().__init__([str(samepid), str(pid), str(program), "--size",
                          SIZE_MIB, "--seed", str(seed), "--call", "pause"],
                         ready=None)
        t.own(self)
        self.number = pid
        try:
            word, *memory = self.line(60).split()
        except harness.Failed:
            if self.process.poll() == 77:
                harness.skip("no process can be given a number here")
            raise
        check(word == "memory" and self.line(60) == "ready", "the target")
        self.start, self.end = (int(x, 16) for x in memory)

    def is_marked(self):
        start = end = 0
        with open(f"/proc/{self.number}/smaps") as smaps:
            for line in smaps:
                word = line.split()[0]
                if "-" in word and not word.endswith(":"):
                    start, end = (int(x, 16) for x in word.split("-"))
                elif word == "VmFlags:" and " mg" in line and \
                        start < self.end and end > self.start:
                    return True
        return False


def another_program_in_its_place(t):
    """By exec: those left in the old memory are not the new program."""
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    changing = [*(t.target("molter", "--size", SIZE_MIB, "--seed", "3")
                  for _ in range(2)),
                *(t.target("molter", "--size", SIZE_MIB, "--seed", "3",
                           "--msec", "5000") for _ in range(2)),
                *set_user_id(t),
                *(t.target("execer", "--size", SIZE_MIB, "--msec", "700")
                  for _ in range(2))]
    for p in changing[:4]:
        check(p.line(60) == "molted", "no exec")
    for _ in range(int(max(SECONDS, 6) / 2)):
        check(daemon.ctl("rescan").returncode == 0, "rescan")
        time.sleep(2)
    check(daemon.terminate(60) == 0, daemon.log()[-1000:])
    finish(changing)


def another_process_of_its_number(t):
    """Nothing is done to it for what the last one of its number was, neither
    by this daemon nor by the next one."""
    twin = calm(t, 5)
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    others = []
    for i in range(TIMES):
        p = calm(t, 5)
        wait_merged(daemon, [twin, p], "two twins")
        p.stop()
        others.append(Reborn(t, p.pid, 1000 + i))
        say(f"pid {p.pid} is another process")
    p = calm(t, 5)
    wait_merged(daemon, [twin, p], "two twins")
    daemon.kill()
    check(f" {p.pid} " in (daemon.run_dir / "ledger").read_text(),
          "the ledger does not know it")
    p.stop()
    others.append(Reborn(t, p.pid, 2000))
    say("the daemon is another process, too")
    daemon.start()
    daemon.wait_ready()
    check(daemon.ctl("rescan").returncode == 0, "rescan")
    wait_for(lambda: {p.number for p in others} <= set(listed(daemon)), 60,
             "them all")
    time.sleep(3)
    for p in others:
        check(not p.is_marked(), f"process {p.number} was marked")
    check(daemon.terminate(60) == 0, daemon.log()[-1000:])
    for p in others:
        check(f"pid {p.number}" not in daemon.log(), daemon.log()[-1000:])
        os.kill(p.number, signal.SIGTERM)
        p.stop()
    finish([twin])
    print(f"# {len(others)} numbers came round again", flush=True)


def at_length():
    if "ABUSE_SECONDS" not in os.environ:
        harness.skip("takes some minutes: set ABUSE_SECONDS, to 6 or more")
    harness.need_ksm()


if __name__ == "__main__":
    harness.run(another_process_of_its_number, another_program_in_its_place,
                what_costs_much, needs=at_length)
