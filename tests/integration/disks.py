#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 900
"""Two virtual machines that read the same from their disks: the pages of
their memory that were filled are merged soon, however qemu reads."""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))

import disks            # noqa: E402
import frames           # noqa: E402
import guests           # noqa: E402
import harness          # noqa: E402
import hints            # noqa: E402
import kernels          # noqa: E402

# (aio, cache): of qemu's, with the page cache of this machine and without.
WAYS = (("threads", "writeback"), ("threads", "none"), ("native", "none"),
        ("native", "directsync"), ("io_uring", "writeback"),
        ("io_uring", "none"))
PIECE = 64                      # pages
PIECES = 2
GAP = 64                        # between two pieces
SHARE = 0.9                     # of pages that must be merged and hinted
# Seconds; not the aim, which the bench judges: what is so little and comes so
# often spends the credit of small pulses, and may wait for half a minute each.
SOON = 180


def make_disk(path):
    path.write_bytes(os.urandom(PIECES * (PIECE + GAP) * frames.PAGE))
    return path


def places(pid, pages):
    """page number of guest memory for each of @pages, where it is there."""
    wanted = {page[:16]: i for i, page in enumerate(pages)}
    found = {}
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for run in frames.pages(pid, registered=True):
            for number, _ in run:
                head = os.pread(memory.fileno(), 16, number * frames.PAGE)
                if head in wanted:
                    found[wanted[head]] = number
    return found


def frame(pid, number):
    return hints.frames(pid, number * frames.PAGE, 1)[0]


def merge_seconds(pair, way, path, first):
    """From the second guest's read of a piece until nearly all is merged."""
    with open(path, "rb") as f:
        f.seek(first * frames.PAGE)
        pages = [f.read(frames.PAGE) for _ in range(PIECE)]
    for g in pair:
        harness.check(g.ask(f"{way} {first} {PIECE}") == "done", "a read")
    begin = time.monotonic()
    one, two = (places(g.pid, pages) for g in pair)
    both = one.keys() & two.keys()
    harness.check(len(both) >= SHARE * PIECE,
                  f"{len(both)} of {PIECE} pages found in both guests")

    def merged():
        same = sum(frame(pair[0].pid, one[i]) == frame(pair[1].pid, two[i])
                   for i in both)
        return same >= SHARE * len(both)
    harness.wait_for(merged, SOON, f"merging of what {WAYS[way]} has read")
    return time.monotonic() - begin


def boot(t, paths):
    kernel = kernels.get()
    root = disks.initramfs(kernel, t.folder)
    drives = [disks.Disk(path, *way) for path, way in zip(paths, WAYS)]
    return [t.own(harness.Target(
        disks.command(kernel, root, f"{t.folder.name[-8:]}{i}", drives)))
        for i in range(2)]


def what_two_guests_read_is_merged(t):
    # O_DIRECT is not possible on every file system that is used for /tmp.
    folder = t.stack.enter_context(tempfile.TemporaryDirectory(
        prefix="ksmd-plus-disks.", dir="/var/tmp"))
    paths = [make_disk(Path(folder, f"{aio}-{cache}")) for aio, cache in WAYS]
    pair = boot(t, paths)
    daemon = t.daemon((harness.TOP / "etc/ksmd-plus.conf").read_text())
    harness.wait_for(lambda: len(daemon.ctl_json("list")) >= 2, 60,
                     "knowing the guests")
    hints.rest(daemon)
    hints.need_hook(daemon)
    for way, path in enumerate(paths):
        took = [merge_seconds(pair, way, path, i * (PIECE + GAP))
                for i in range(PIECES)]
        print(f"# {' '.join(WAYS[way])}: "
              f"{', '.join(f'{s:.1f}' for s in took)} s", flush=True)
    harness.check(daemon.terminate() == 0, "the daemon's exit status")
    # That each way was seen; the search would find so little soon, too.
    said = re.search(r"Hints so far: (\d+) taken, .* pairs", daemon.log())
    harness.check(said, "no account of hints in the log")
    print(f"# {said[0]}")
    harness.check(int(said[1]) >= SHARE * 2 * len(WAYS) * PIECES * PIECE,
                  f"too few hints: {said[0]}")


if __name__ == "__main__":
    harness.run(what_two_guests_read_is_merged, needs=guests.need_guests)
