#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 600
"""Pages that a read has just filled are merged soon; without hooks all else
works as before."""

import os
import statistics
import time

import harness
from frames import PAGE, PFN, PRESENT

HINTS = "[hints]"
SIZE_MIB = 128
FILE_PAGES = 4096
SOON = 30               # seconds; the benchmark measures the aim of 2
SAMPLES = 8
RUN = 16                # pages of one sample


def file_of(t):
    path = t.folder / "file"
    if not path.exists():
        path.write_bytes(os.urandom(FILE_PAGES * PAGE))
    return path


def reader(t, seed):
    """Its memory begins at .base."""
    target = t.target("reader", "--file", str(file_of(t)), "--seed", str(seed),
                      "--size", str(SIZE_MIB), ready=None)
    target.base = int(target.line(60).split()[1], 16)
    harness.check(target.line() == "ready", "the reader is not ready")
    return target


def frames(pid, address, n):
    """The page frames of @n pages."""
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as f:
        f.seek(address // PAGE * 8)
        data = f.read(n * 8)
    entries = [int.from_bytes(data[i:i + 8], "little")
               for i in range(0, len(data), 8)]
    return [e & PFN if e & PRESENT else None for e in entries]


def are_shared(a, b, n):
    """Whether @n pages from two (pid, address) lie in the same frames."""
    return frames(*a, n) == frames(*b, n)


def rest(daemon):
    harness.wait_for(lambda: daemon.status()["state"] == "resting" and
                     "pages known" in daemon.ctl("status").stdout, 120,
                     "rest")


def known(daemon):
    return sum(p["tracked_pages"] for p in daemon.ctl_json("list"))


def start(t, *lines):
    """Two readers that are known to a daemon, in which nothing is new."""
    pair = [reader(t, seed) for seed in (1, 2)]
    daemon = t.daemon(t.config(*lines))
    pages = len(pair) * SIZE_MIB * 256
    harness.wait_for(lambda: known(daemon) >= pages, 120, "knowing all")
    rest(daemon)
    return pair, daemon


def hook(daemon):
    return daemon.status()["hints"]


def need_hook(daemon):
    harness.wait_for(lambda: "nobody" not in hook(daemon), 30, "a hook")
    if hook(daemon).startswith("none"):
        harness.skip(f"no hook here: {hook(daemon)}")


def seconds_to_merge(pair, page, n, at):
    """From the second read of the same pages until all are merged."""
    for target in pair:
        harness.check(target.ask(f"fill {page} {n} {at}") == "done", "fill")
    begin = time.monotonic()
    places = [(target.pid, target.base + at * PAGE) for target in pair]
    harness.wait_for(lambda: are_shared(*places, n), SOON,
                     f"merging of {n} pages at {at}", 0.01)
    return time.monotonic() - begin


def what_two_read_is_merged(t):
    pair, daemon = start(t)
    need_hook(daemon)
    samples = [seconds_to_merge(pair, i * RUN, RUN, 1000 + i * 700)
               for i in range(SAMPLES)]
    print(f"# {hook(daemon)}: {', '.join(f'{s:.2f}' for s in samples)} s; "
          f"median {statistics.median(samples):.2f} s")
    for target in pair:
        target.intact()


if __name__ == "__main__":
    harness.run(what_two_read_is_merged)
