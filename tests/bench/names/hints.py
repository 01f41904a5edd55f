# SPDX-License-Identifier: GPL-2.0-or-later
"""What hints from reads of files cost and bring.

Use: how long after the second of two processes has read a piece of a file the
two pieces are merged, beside memory of which a round takes long; and what the
search finds without hints in a good while.

Cost: a pread of 4 KiB from the page cache and a system call that reads
nothing, in a process that is watched and in one that is not, beside the same
without a hook. They take turns, so that a slow moment is slow for both.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import time
from pathlib import Path

import harness
import measuring
import table

PAGE = 4096
PFN = (1 << 55) - 1

TIME_AIM = 2.0                  # seconds, at the 95th percentile
SAMPLES = 40
RUN = 16                        # pages of one sample
READER_MIB = 256                # each of two
OTHERS_MIB = 2048               # each of two; nothing of them is equal
TIME_OUT = 60
WITHOUT_SAMPLES = 20
FILE_PAGES = (SAMPLES + WITHOUT_SAMPLES) * RUN
WITHOUT_SECONDS = 30            # how long is looked without hints
# What is written and not known to the daemon, and to spare.
NEEDS = (2 * (READER_MIB + OTHERS_MIB) + 2048) << 20

COST_AIM = 1.03                 # of the same without a hook
TURNS = 1                       # for each run
# The marks of a process stand in the kernel after a turn of the daemon.
HOOKED_SECONDS = 0.6
TRACEFS = "/sys/kernel/tracing"


class Pieces:
    """Two readers among other memory, and a daemon that knows it all."""

    def __init__(self, t):
        measuring.cold()
        path = t.folder / "file"
        path.write_bytes(os.urandom(FILE_PAGES * PAGE))
        self.readers = [
            t.target("reader", "--file", str(path), "--seed", str(seed),
                     "--size", str(READER_MIB), ready=None)
            for seed in (1, 2)]
        others = [t.target("dup", "--size", str(OTHERS_MIB), "--id", str(i),
                           "--dup", "0", ready=None) for i in (1, 2)]
        for reader in self.readers:
            reader.base = int(reader.line(60).split()[1], 16)
        for target in self.readers + others:
            harness.check(target.line(120) == "ready", "a target failed")
        self.daemon = t.daemon(t.config("[hints]", "enabled = no"))
        pages = 2 * (READER_MIB + OTHERS_MIB) << 8
        harness.wait_for(lambda: sum(row["tracked_pages"] for row in
                                     self.daemon.ctl_json("list")) >= pages,
                         180, "knowing all", 0.5)
        harness.wait_for(lambda: self.daemon.status()["state"] == "resting",
                         120, "rest", 0.5)

    def fill(self, i, half):
        """Both read piece @i into a half of their memory; where it is."""
        n = (READER_MIB << 8) // RUN // 2
        at = random.randrange(n * half, n * (half + 1)) * RUN
        for reader in self.readers:
            harness.check(reader.ask(f"fill {i * RUN} {RUN} {at}") == "done",
                          "a reader failed")
        return at

    def hook(self):
        """Have hints from now on."""
        config = self.daemon.config
        config.write_text(config.read_text().replace("enabled = no", ""))
        self.daemon.process.send_signal(signal.SIGHUP)
        harness.wait_for(lambda: settled_hints(self.daemon) != "off", 30,
                         "hints")

    def merged(self, at):
        one, two = (frames(reader, at) for reader in self.readers)
        return one == two

    def intact(self):
        for reader in self.readers:
            reader.intact()


def frames(reader, at):
    with open(f"/proc/{reader.pid}/pagemap", "rb", buffering=0) as f:
        f.seek((reader.base // PAGE + at) * 8)
        data = f.read(RUN * 8)
    return [int.from_bytes(data[i:i + 8], "little") & PFN
            for i in range(0, len(data), 8)]


def settled_hints(daemon):
    """`hints` of its status, once it has tried."""
    def told():
        hints = daemon.status()["hints"]
        waits = "nobody" in hints or hints.startswith("not yet")
        return None if waits else hints
    return harness.wait_for(told, 30, "a word about hints")


def hook_of(daemon):
    """The hook, and why no better one."""
    hints = settled_hints(daemon)
    hook, _, why = hints.partition(" ")
    return hook, why.strip("()")


def pieces_once(t):
    """(the part of pieces that is merged in time without hints, seconds for
    each piece with them, the hook)"""
    pieces = Pieces(t)
    places = [pieces.fill(i, 0) for i in range(WITHOUT_SAMPLES)]
    time.sleep(WITHOUT_SECONDS)
    without = statistics.mean(map(pieces.merged, places))
    pieces.hook()
    hook, why = hook_of(pieces.daemon)
    if hook == "none":
        raise harness.Skip(f"no hook here: {why}")
    took = []
    for i in range(WITHOUT_SAMPLES, WITHOUT_SAMPLES + SAMPLES):
        time.sleep(random.random() / 2)         # at any time of its turns
        at = pieces.fill(i, 1)
        begin = time.monotonic()
        harness.wait_for(lambda: pieces.merged(at), TIME_OUT,
                         "merging of what was read", 0.01)
        took.append(time.monotonic() - begin)
    pieces.intact()
    return without, took, hook


def use(bench):
    without, took, hook = bench.locked(pieces_once)
    p95 = statistics.quantiles(took, n=20)[-1]
    bench.numbers["seconds"] = took
    bench.numbers["share without"] = without
    gib = 2 * (READER_MIB + OTHERS_MIB) / 1024
    bench.row(table.judge(
        "a page that was read is merged after, p95", p95, TIME_AIM,
        lambda s: f"{s:.2f} s"))
    bench.row(table.info(
        "the same, median", f"{statistics.median(took):.2f} s",
        f"{len(took)} reads of {RUN} pages by two processes, among "
        f"{gib:.1f} GiB; hook: {hook}"))
    bench.row(table.info(
        f"merged {WITHOUT_SECONDS} s after, without hints",
        table.percent(without), f"of {WITHOUT_SAMPLES} such reads"))


class Meter(harness.Target):
    """tests/bench/pread: nanoseconds of a pread and of a getppid."""

    def measure(self):
        return [float(word) for word in self.ask("").split()]


@contextlib.contextmanager
def tracefs(wanted):
    """Have tracefs mounted meanwhile, if @wanted and it is not."""
    mounted = wanted and not Path(TRACEFS, "events").exists() and \
        subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACEFS],
                       capture_output=True).returncode == 0
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", TRACEFS], check=True)


def config(t, hints):
    return (f"[hints]\n{hints}\n[target watched]\nexe = {t.folder}/watched\n"
            "[target others]\ncomm = *\nmode = exclude\n")


def hook_to(t, daemon, hints):
    """Configure anew and wait for it: (hook, why no better one)."""
    off = "enabled = no" in hints
    daemon.config.write_text(config(t, hints))
    daemon.process.send_signal(signal.SIGHUP)
    harness.wait_for(lambda: (settled_hints(daemon) == "off") == off, 30,
                     f"hints with {hints}")
    return hook_of(daemon)


def cost_once(t, hook, turns):
    """With @hook or none: ({hooked: [nanoseconds for watched pread, getppid,
    unwatched pread, getppid]}, the hook it was, why no better one)."""
    path = t.folder / "file"
    path.write_bytes(os.urandom(64 * PAGE))
    meters = []
    for name in ("watched", "unwatched"):
        program = t.folder / name
        shutil.copy(harness.BUILD / "tests/bench/pread", program)
        meters.append(t.own(Meter([str(program), str(path)])))
    daemon = t.daemon(config(t, "enabled = no"),
                      env={"KSMD_PLUS_HOOK": hook})
    found = {False: [], True: []}
    for _ in range(turns):
        for hooked in (False, True):
            used, why = hook_to(t, daemon, "hook = tracepoint" if hooked
                                else "enabled = no")
            if hooked and used == "none":
                return None, used, why
            time.sleep(HOOKED_SECONDS)
            found[hooked].append([n for m in meters for n in m.measure()])
    return ({hooked: [statistics.median(column) for column in zip(*rows)]
             for hooked, rows in found.items()}, used, why)


def reason(why, hook):
    """What @why says of one hook; all of it, if nothing by itself."""
    match = re.search(rf"{hook}: ([^;]*)", why)
    return match[1] if match else why


def cost_of(bench, wanted):
    """The rows of one hook."""
    with tracefs(wanted == "tracepoint"):
        nsec, used, why = bench.locked(cost_once, wanted, TURNS * bench.runs)
    if used != wanted:
        bench.row(table.skipped(f"pread, {wanted}", reason(why, wanted)))
        return
    ratios = [on / off for on, off in zip(nsec[True], nsec[False])]
    bench.numbers.setdefault("cost", {})[wanted] = {
        "without": nsec[False], "hooked": nsec[True]}
    for i, who in ((0, "watched"), (2, "unwatched")):
        told = ", ".join(f"{what} {nsec[False][i + j]:.0f} -> "
                         f"{nsec[True][i + j]:.0f} ns" for j, what in
                         enumerate(("pread", "getppid")))
        measure = f"pread 4 KiB, {wanted}, {who}"
        if wanted == "fentry":
            bench.row(table.judge(measure, ratios[i], COST_AIM, table.times,
                                  told))
        else:
            bench.row(table.info(measure, table.times(ratios[i]), told))


def hints(bench):
    if measuring.available_bytes() < NEEDS:
        raise harness.Skip(f"needs {NEEDS >> 30} GiB of free memory")
    for hook in ("fentry", "sys_exit", "tracepoint"):
        cost_of(bench, hook)
    use(bench)


BENCHMARKS = {"hints": (150, hints)}
