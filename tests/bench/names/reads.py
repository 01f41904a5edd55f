# SPDX-License-Identifier: GPL-2.0-or-later
"""The experiment of XLH and KSM++, scaled down: virtual machines on a host
that is in use, booted one after another, each of which unpacks sources and
builds programs of them from a virtio disk. How much is merged is looked at
each second.

Besides us, with hints and without: ksmd alone at the setting to which it is
usually tuned, given the CPU that we have used, at the time at which we used
it. The host's other memory, in which nothing is equal, has been seen by all
of them before.

Beside it a job that hints cannot help: each machine reads random data of its
own. What is merged comes from what has been booted.
"""

import os
import tempfile
import time
from pathlib import Path

import building
import contenders
import curves
import disks
import frames
import guest
import harness
import kernels
import measuring
import table
from workloads import Real

N_GUESTS = 3
BALLAST = (2, 1024)             # processes of so many MiB
RANDOM_MIB = 64                 # of the disk that only one machine has
# From the first machine's start. With hints it takes as long as the machines
# do and some seconds more; then everybody is looked at for so long.
SECONDS_MAX = 90
MORE_SECONDS = 8
GAIN_AIM = 4                    # of the area of ksmd alone
NEEDS = (BALLAST[0] * BALLAST[1] + N_GUESTS * building.MEMORY_MIB +
         1024) * measuring.MIB
SEEN_SCANS = 3
PACE_SECONDS = 0.1              # between looks at what ksmd may use
TITLES = {
    "build": f"{N_GUESTS} virtual machines, one after another: each unpacks "
             "sources and builds programs",
    "random": f"{N_GUESTS} virtual machines, one after another: each reads "
              f"{RANDOM_MIB} MiB of its own"}

HINTS = "[hints]\nenabled = yes\n"
NO_HINTS = "[hints]\nenabled = no\n"


class Machines(Real):
    """@paths: the disk of each; @root: its initramfs."""

    def __init__(self, kernel, root, paths):
        super().__init__()
        self.kernel, self.root, self.paths = kernel, root, paths
        self.machines = []
        self.finished = 0

    def start(self, t):
        self.test, self.name = t, t.folder.name[-8:]
        for i in range(BALLAST[0]):
            t.target("dup", "--size", str(BALLAST[1]), "--id", str(i),
                     "--seed", "99", "--dup", "0", "--register", "prctl")

    def advance(self):
        """The next one is booted when the last has done its job."""
        while self.machines and self.machines[-1].has_line():
            said = self.machines[-1].line()
            harness.check(said in ("ready", "done"), f"a machine {said}")
            self.finished += said == "done"
        if self.finished == len(self.machines) < len(self.paths):
            name = f"{self.name}{self.finished}"
            self.machines.append(self.test.own(harness.Target(
                disks.command(self.kernel, self.root, name,
                              [disks.Disk(str(self.paths[self.finished]))],
                              building.MEMORY_MIB), ready=None)))

    def pids(self):
        return ((), [machine.pid for machine in self.machines])

    def merged(self):
        pages, in_frames = frames.saved(*self.pids())
        return pages - in_frames

    def is_over(self):
        return self.finished == len(self.paths)

    def check(self):
        for machine in self.machines:
            harness.check(machine.process.poll() is None, "a machine died")


class Ours(contenders.Ours):
    key, title, hints = "ours", "ksmd-plus", HINTS

    def go(self, t, workload):
        self.daemon = t.daemon(t.config(
            self.hints, "[target machines]", f"comm = {workload.name}*",
            "mode = selective"))

    def see_all(self):
        contenders.wait_rest(self.daemon)

    def pace(self, now):
        """It keeps its own."""


class Without(Ours):
    key, title, hints = "nohints", "ksmd-plus without hints", NO_HINTS


class Equal(contenders.Tuned):
    """ksmd with as much CPU as a curve tells, and never more."""
    title = "tuned ksmd, the same CPU"

    def __init__(self, curve):
        super().__init__()
        self.budget = curve

    def see_all(self):
        scans = harness.ksm("full_scans")
        measuring.write_knobs(contenders.FULL_PACE)
        harness.wait_for(lambda: harness.ksm("full_scans") >=
                         scans + SEEN_SCANS, 120, "seeing all once")
        harness.ksm_write("run", 0)
        measuring.write_knobs({**measuring.DEFAULTS, **self.values})

    def pace(self, now):
        have = max((cpu for at, _, cpu in self.budget if at <= now),
                   default=0.0)
        harness.ksm_write("run", int(sum(self.cpu()) < have))


def area(curve):
    """MiB-seconds below it."""
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2
               for a, b in zip(curve, curve[1:])) / measuring.PAGES_PER_MIB


def follow(workload, contender, seconds):
    """[(seconds, pages merged, CPU seconds)] from the first machine on, for
    @seconds, or until all is done and some more."""
    before, curve = sum(contender.cpu()), []
    begin, end = time.monotonic(), seconds or SECONDS_MAX
    while True:
        now = time.monotonic() - begin
        contender.pace(now)
        if now >= len(curve):           # each second
            curve.append((round(now, 2), workload.merged(),
                          round(sum(contender.cpu()) - before, 4)))
        if now >= end:
            return curve
        if not seconds and workload.is_over():
            end = min(end, now + MORE_SECONDS)
            seconds = end
        workload.advance()
        time.sleep(PACE_SECONDS)


def experience(t, workload, contender, seconds):
    measuring.cold()
    contender.prepare(t)
    workload.start(t)
    contender.start(t, workload)
    contender.see_all()
    curve = follow(workload, contender, seconds)
    workload.check()
    contender.stop()
    return workload.finished, curve


class Job:
    """What the machines of one experiment do."""

    def __init__(self, kernel, folder, name, job, paths):
        self.kernel, self.name, self.paths = kernel, name, paths
        self.root = building.initramfs(kernel, folder, name, job)
        self.seconds = None             # as long as the first one takes

    def run(self, bench, contender):
        bench.progress(f"reads, {self.name}: {contender.title} ...")
        finished, curve = bench.locked(
            experience, Machines(self.kernel, self.root, self.paths),
            contender, self.seconds)
        harness.check(self.seconds or finished == len(self.paths),
                      f"{finished} of {len(self.paths)} machines were done "
                      f"after {SECONDS_MAX} s")
        self.seconds = self.seconds or curve[-1][0]
        bench.progress("")
        print(f"  {self.name}: {contender.title:<26} {area(curve):7.0f} MiB s,"
              f" CPU {curve[-1][2]:5.2f} s, {finished} machines done in "
              f"{curve[-1][0]:.0f} s", flush=True)
        return contender.title, curve


def random_disks(folder):
    for i in range(N_GUESTS):
        path = folder / f"random{i}"
        path.write_bytes(os.urandom(RANDOM_MIB << 20))
        yield path


def told(curve):
    _, pages, cpu = curve[-1]
    mib = pages // measuring.PAGES_PER_MIB
    return f"{mib} MiB at the end, CPU {cpu:.2f} s"


def judge(bench, what, ours, other, aim):
    """A row for the area of @ours, as a multiple of the area of @other."""
    gain = area(ours) / max(area(other), 1)
    why = f"{told(ours)}; the other: {told(other)}"
    bench.row(table.Row(what, f">= {table.times(aim)}", table.times(gain),
                        table.MET if gain >= aim else table.MISSED, why))


def possible(bench):
    why = guest.missing() or building.missing()
    if why:
        raise harness.Skip(why)
    if measuring.available_bytes() < NEEDS:
        raise harness.Skip(f"needs {NEEDS >> 30} GiB of free memory")
    try:
        return kernels.get()
    except kernels.Unavailable as e:
        raise harness.Skip(str(e)) from None


def draw(bench, name, series):
    bench.numbers.setdefault("curves", {})[name] = series
    if curves.missing():
        return
    path = harness.BUILD / "bench" / f"reads-{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    curves.draw(path, TITLES[name], series)
    bench.drawn.append(path)


def reads(bench):
    kernel = possible(bench)
    with tempfile.TemporaryDirectory(prefix="ksmd-plus-reads.",
                                     dir="/var/tmp") as name:
        folder = Path(name)
        image = building.image(folder)
        job = Job(kernel, folder, "build", building.BUILD,
                  [image] * N_GUESTS)
        build = {"ours": job.run(bench, Ours())}
        build["nohints"] = job.run(bench, Without())
        build["tuned"] = job.run(bench, Equal(build["ours"][1]))
        job = Job(kernel, folder, "random", building.READ,
                  list(random_disks(folder)))
        random = {"ours": job.run(bench, Ours()),
                  "nohints": job.run(bench, Without())}
    draw(bench, "build", build)
    draw(bench, "random", random)
    ours = build["ours"][1]
    judge(bench, "area below the merged memory while machines build, of tuned "
          "ksmd's at equal CPU", ours, build["tuned"][1], GAIN_AIM)
    gain = area(ours) / max(area(build["nohints"][1]), 1)
    bench.row(table.info("the same, of ours without hints",
                         table.times(gain), told(build["nohints"][1])))
    judge(bench, "while they read data of their own, of ours without hints",
          random["ours"][1], random["nohints"][1], 1)


BENCHMARKS = {"reads": (240, reads)}
