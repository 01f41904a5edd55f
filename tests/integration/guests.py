#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 600
"""Virtual machines, which register their memory themselves, are merged by
pulses that the daemon's evidence brings about. In the configuration as it is
shipped: nobody is named."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))

import frames           # noqa: E402
import guest            # noqa: E402
import harness          # noqa: E402

N = 3
SHARE = 0.95                    # the guests live, so not every page holds still
CONFIG = harness.TOP / "etc/ksmd-plus.conf"
REST_MSEC = 500                 # ksmd sleeps at least this long without cause


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


def check_rests(when):
    knobs = harness.knobs()
    harness.check(knobs["run"] == "0" or
                  int(knobs["sleep_millisecs"]) >= REST_MSEC,
                  f"ksmd is at work {when}: {knobs}")


def ksmd_runs():
    knobs = harness.knobs()
    return (knobs["run"] == "1" and
            int(knobs["sleep_millisecs"]) < REST_MSEC)


def guests_are_merged_in_pulses(t):
    # ksmd at work by itself, as ksmtuned or an administrator leaves it
    harness.restore_knobs({**harness.knobs(), "advisor_mode": "none",
                           "pages_to_scan": "100", "sleep_millisecs": "20",
                           "run": "0"})
    guests = boot(t, range(N))
    harness.check(merged_share(guests) < 0.5, "the guests share from the start")
    harness.ksm_write("run", 1)
    knobs = harness.knobs()
    ksmd = harness.ksmd_pid()
    start = time.monotonic()
    daemon = t.daemon(CONFIG.read_text(), wait=False)
    harness.wait_for(lambda: harness.knobs()["sleep_millisecs"] != "20", 30,
                     "the daemon's first change", pause=0.005)
    check_rests("before there is evidence")
    daemon.wait_ready()
    cpu_before, at = harness.cpu_seconds(ksmd), time.monotonic()
    harness.wait_for(ksmd_runs, 60, "a pulse", pause=0.01)
    print(f"# the first pulse after {time.monotonic() - start:.1f} s, with "
          f"{daemon.status()['promised_pages']} pages promised", flush=True)
    wait_merged(guests)
    harness.wait_for(lambda: daemon.status()["state"] == "resting", 60,
                     "rest after the pulse")
    pulse = ((harness.cpu_seconds(ksmd) - cpu_before) /
             (time.monotonic() - at))
    listed = {row["pid"]: row["mode"] for row in daemon.ctl_json("list")}
    harness.check(all(listed.get(pid) == "managed" for pid in pids(guests)),
                  f"their modes: {listed}")

    # Nothing new: ksmd sleeps, but for the long baseline scan.
    check_rests("after its work is done")
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
    harness.check(harness.knobs() == knobs,
                  f"knobs: {harness.knobs()}, not {knobs}")


if __name__ == "__main__":
    harness.run(guests_are_merged_in_pulses, needs=need_guests)
