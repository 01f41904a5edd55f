#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 600
"""Virtual machines, which register their memory themselves, are merged by
pulses that the daemon's evidence brings about."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))

import frames           # noqa: E402
import guest            # noqa: E402
import harness          # noqa: E402

N = 3
SHARE = 0.95                    # the guests live, so not every page holds still
CONFIG = """\
[target guests]
comm = {name}?
mode = managed
[target others]
comm = *
mode = exclude
"""


def need_guests():
    harness.need_ksm()
    why = guest.missing()
    if why:
        harness.skip(why)
    try:
        guest.kernel()
    except guest.Unavailable as e:
        harness.skip(str(e))


def boot(t, numbers):
    guests = [t.own(guest.Guest(f"{t.folder.name[-8:]}{i}")) for i in numbers]
    harness.wait_for(lambda: all([g.ready() for g in guests]), 180,
                     "the guests' start")
    return guests


def pids(guests):
    return [g.process.pid for g in guests]


def merged_share(guests):
    """Of the registered pages that one frame for all equal ones would save,
    the part that is saved now; by page tables and contents."""
    pages, in_frames = frames.saved(registered=pids(guests))
    more = frames.possible(registered=pids(guests))
    saved = pages - in_frames
    print(f"# {saved} pages saved, {more} more are possible", flush=True)
    return saved / (saved + more)


def wait_merged(guests):
    harness.wait_for(lambda: merged_share(guests) >= SHARE, 120,
                     f"merging of {SHARE:.0%}", pause=2)


def guests_are_merged_in_pulses(t):
    guests = boot(t, range(N))
    harness.check(merged_share(guests) < 0.5, "the guests share from the start")
    ksmd = harness.ksmd_pid()
    daemon = t.daemon(CONFIG.format(name=t.folder.name[-8:]))
    cpu_before, at = harness.cpu_seconds(ksmd), time.monotonic()
    wait_merged(guests)
    harness.wait_for(lambda: daemon.status()["state"] == "resting", 60,
                     "rest after the pulse")
    pulse = ((harness.cpu_seconds(ksmd) - cpu_before) /
             (time.monotonic() - at))

    # Nothing new: ksmd sleeps, but for the long baseline scan.
    cpu_before, at = harness.cpu_seconds(ksmd), time.monotonic()
    time.sleep(5)
    rest = (harness.cpu_seconds(ksmd) - cpu_before) / (time.monotonic() - at)
    print(f"# ksmd: {pulse:.1%} of a CPU while merging, {rest:.1%} after")
    harness.check(rest < pulse / 4, "ksmd does not rest after the pulse")

    # A new guest is evidence: another pulse.
    guests += boot(t, [N])
    wait_merged(guests)
    for g in guests:
        harness.check(g.ready(), "a guest died")
    harness.check(daemon.terminate() == 0, "the daemon's exit status")


if __name__ == "__main__":
    harness.run(guests_are_merged_in_pulses, needs=need_guests)
