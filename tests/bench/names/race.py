# SPDX-License-Identifier: GPL-2.0-or-later
"""The race with the OOM killer (nuKSM V-D), scaled down into a cgroup.

A machine that has been up for a while: other programs hold memory in which
there is nothing to merge, and whoever merges has seen all of it. Then two
instances with equal data start in a cgroup, and a job beside them that
allocates at a steady pace. Both instances, as they are, and the whole job do
not fit; merged, they do. Whoever has not merged enough by the time that the
limit is reached loses, and the kernel kills an instance.
"""

import contextlib
import sys
import time
from pathlib import Path

import contenders
import curves
import harness
import measuring
import table

BALLAST = (4, 1024)             # processes of so many MiB
INSTANCE_MIB = 512
JOB_MIB = 640
JOB_MIB_PER_SECOND = 48
# Without a merge it is full when half of the job is done.
LIMIT_MIB = 2 * INSTANCE_MIB + JOB_MIB // 2
AFTER_SECONDS = 2               # that everybody must survive the job
SAMPLE_SECONDS = 0.1

JOB = """
import mmap, sys, time
begin = time.monotonic()
memory = []
for done in range(int(sys.argv[1])):
    memory.append(mmap.mmap(-1, 1 << 20))
    memory[-1].write(bytes([done % 255 + 1]) * (1 << 20))
    for page in range(256):
        memory[-1].seek(page * 4096)
        memory[-1].write((done * 256 + page).to_bytes(8, "little"))
    print(done + 1, flush=True)
    time.sleep(max(0, begin + (done + 1) / int(sys.argv[2]) -
                   time.monotonic()))
sys.stdin.read()
"""


class Cgroup:
    """A memory cgroup of its own, of either version."""

    def __init__(self, limit_mib):
        v1 = Path("/sys/fs/cgroup/memory")
        top = v1 if (v1 / "memory.limit_in_bytes").exists() else \
            Path("/sys/fs/cgroup")
        self.v2 = top != v1
        controls = top / "cgroup.controllers"
        if self.v2 and not (controls.exists() and
                            "memory" in controls.read_text().split()):
            raise harness.Skip("there is no memory cgroup controller here")
        self.path = top / f"ksmd-plus-bench.{time.monotonic_ns()}"
        if self.v2:
            (top / "cgroup.subtree_control").write_text("+memory")
        self.path.mkdir()
        name = "memory.max" if self.v2 else "memory.limit_in_bytes"
        (self.path / name).write_text(str(limit_mib << 20))

    def command(self, *argv):
        """@argv, run in here."""
        return ["sh", "-c", 'echo 0 >"$0"/cgroup.procs; exec "$@"',
                str(self.path), *argv]

    def used_mib(self):
        name = "memory.current" if self.v2 else "memory.usage_in_bytes"
        return int((self.path / name).read_text()) >> 20

    def kills(self):
        name = "memory.events" if self.v2 else "memory.oom_control"
        for line in (self.path / name).read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def remove(self):
        with contextlib.suppress(OSError):
            self.path.rmdir()


def start_ballast(t, register):
    for i in range(BALLAST[0]):
        t.target("dup", "--size", str(BALLAST[1]), "--id", str(i), "--seed",
                 "99", "--dup", "0", "--register", register)


class Race:
    """One contender's."""

    def __init__(self, t, contender):
        self.t, self.contender = t, contender
        self.group = Cgroup(LIMIT_MIB)
        t.stack.callback(self.group.remove)
        self.job = None
        self.allocated = 0
        self.curve = []         # (seconds, MiB used, MiB of the job)

    def instance(self, i):
        program = str(self.t.folder / "dup")
        return self.t.own(harness.Target(self.group.command(
            program, "--size", str(INSTANCE_MIB), "--id", str(i), "--run",
            "256", "--dup", "100", "--register", self.contender.register)))

    def start_job(self):
        self.job = self.t.own(harness.Target(self.group.command(
            sys.executable, "-c", JOB, str(JOB_MIB), str(JOB_MIB_PER_SECOND)),
            ready=None))

    def follow(self):
        """Until the job is done and all have survived it, or one was
        killed."""
        begin, done = time.monotonic(), None
        while not self.group.kills():
            now = time.monotonic() - begin
            with contextlib.suppress(harness.Failed):   # it was killed
                while self.job.has_line():
                    self.allocated = int(self.job.line())
            self.curve.append((round(now, 2), self.group.used_mib(),
                               self.allocated))
            if self.allocated == JOB_MIB:
                done = done or now
                if now >= done + AFTER_SECONDS:
                    return True
            time.sleep(SAMPLE_SECONDS)
        return False


def race(t, contender):
    """(whether it was won, MiB that the job had got, curve)."""
    measuring.cold()
    contender.prepare(t)
    start_ballast(t, contender.register)
    contender.start(t, Everybody())
    contender.see_all(t)
    runner = Race(t, contender)
    instances = [runner.instance(i) for i in range(2)]
    runner.start_job()
    won = runner.follow()
    if won:
        for instance in instances:
            instance.intact()
    contender.stop()
    return won, runner.allocated, runner.curve


class Everybody:
    """Stands for the workload: everybody that this test starts."""

    def config(self, t):
        return t.config()


def see_all_at_once():
    """What a machine's ksmd has seen long ago: three scans, at full pace."""
    before = harness.ksm("full_scans")
    measuring.write_knobs({"advisor_mode": "none", **contenders.FULL_PACE})
    harness.wait_for(lambda: harness.ksm("full_scans") >= before + 3, 180,
                     "three scans of everything")
    measuring.write_knobs({"smart_scan": 1})


class Tuned(contenders.Tuned):
    def see_all(self, t):
        see_all_at_once()
        measuring.write_knobs(self.values)


class Advisor(contenders.Advisor):
    """With the kernel's own setting, 200 s."""

    def see_all(self, t):
        see_all_at_once()
        measuring.write_knobs({"sleep_millisecs": 20})
        harness.ksm_write("advisor_mode", "scan-time")
        self.retire(200, 500)


class Ours(contenders.Ours):
    def see_all(self, t):
        self.daemon.wait_ready()
        contenders.wait_rest(self.daemon)


def row(contender, done):
    wins = sum(won for won, _, _ in done)
    got = sorted(mib for _, mib, _ in done)[len(done) // 2]
    result = f"{wins} of {len(done)}"
    why = "" if wins == len(done) else \
        f"an instance was killed when the job had {got} of {JOB_MIB} MiB"
    measure = f"won by {contender.title}"
    if contender.key != "ours":
        return table.info(measure, result, why)
    return table.Row(measure, f"{len(done)} of {len(done)}", result,
                     table.MISSED if why else table.MET, why)


def oom_race(bench):
    needs = (BALLAST[0] * BALLAST[1] + LIMIT_MIB + 1024) * measuring.MIB
    if measuring.available_bytes() < needs:
        raise harness.Skip(f"needs {needs >> 30} GiB of free memory")
    series = {}
    for make in (Tuned, Advisor, Ours):
        contender = make()
        why = contender.missing()
        if why:
            bench.row(table.skipped(contender.title, why))
            continue
        done = []
        for turn in range(bench.runs):
            bench.progress(f"race: {contender.title}, {turn + 1} of "
                           f"{bench.runs} ...")
            done.append(bench.locked(race, make()))
        bench.progress("")
        bench.row(row(contender, done))
        won, _, curve = done[0]
        series[contender.key] = (contender.title, won, curve)
    bench.numbers["curves"] = series
    if not curves.missing():
        path = harness.BUILD / "bench/race.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        curves.draw_race(path, f"Two equal instances of {INSTANCE_MIB} MiB and "
                         f"a job of {JOB_MIB} MiB", series, LIMIT_MIB)
        bench.drawn.append(path)


BENCHMARKS = {"race": (260, oom_race)}
