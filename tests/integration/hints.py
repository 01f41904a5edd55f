#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 600
"""Pages that a read has just filled are merged soon; without hooks all else
works as before."""

import errno
import os
import signal
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


def reader(t, seed, size_mib):
    """Its memory begins at .base."""
    target = t.target("reader", "--file", str(file_of(t)), "--seed", str(seed),
                      "--size", str(size_mib), ready=None)
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


def start(t, *lines, size_mib=SIZE_MIB):
    """Two readers that are known to a daemon, in which nothing is new."""
    pair = [reader(t, seed, size_mib) for seed in (1, 2)]
    daemon = t.daemon(t.config(*lines))
    pages = len(pair) * size_mib * 256
    harness.wait_for(lambda: known(daemon) >= pages, 120, "knowing all")
    rest(daemon)
    return pair, daemon


def hook(daemon):
    return daemon.status()["hints"]


def is_decided(text):
    """It has tried to hook, or will not."""
    return "nobody" not in text and not text.startswith("not yet")


def need_hook(daemon):
    harness.wait_for(lambda: is_decided(hook(daemon)), 30, "a hook")
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


def new_mappings_are_found(t):
    """Nobody knows of these when the hints come."""
    pair, daemon = start(t)
    need_hook(daemon)
    places = [(target.pid, int(target.ask(f"map 512 {RUN}").split()[1], 16))
              for target in pair]
    harness.wait_for(lambda: are_shared(*places, RUN), SOON,
                     "merging of new mappings")


def what_is_over_written_again_is_left_until_it_rests(t):
    """A buffer through which data pass is looked at when that ends; the
    search for others goes on meanwhile."""
    pair, daemon = start(t)
    need_hook(daemon)
    for target in pair:
        target.tell("again 1000000 0 16 64")
    others = [t.target("dup", "--size", "8", "--id", str(i), "--dup", "50")
              for i in range(2)]
    wanted = int(others[0].ask("count").split()[1]) * 0.9
    harness.wait_for(lambda: harness.ksm("pages_sharing") >= wanted, 60,
                     "merging beside a flood of hints")
    for target in pair:
        harness.check(target.line(120) == "done", "fill")
    places = [(target.pid, target.base + 64 * PAGE) for target in pair]
    harness.wait_for(lambda: are_shared(*places, 16), SOON,
                     "merging of a buffer that rests")
    for target in pair:
        target.intact()


def a_reload_hooks_and_unhooks(t):
    pair, daemon = start(t, HINTS, "enabled = no")
    harness.check(hook(daemon) == "off", hook(daemon))
    whole = daemon.config.read_text()
    for text in ("hook = auto", "hook = off", "enabled = no"):
        before = hook(daemon)
        daemon.config.write_text(whole.replace("enabled = no", text))
        daemon.process.send_signal(signal.SIGHUP)
        harness.wait_for(lambda: hook(daemon) != before and
                         is_decided(hook(daemon)), 30, f"{text} in force")
        print(f"# {text}: {hook(daemon)}")
    harness.check(hook(daemon) == "off", hook(daemon))
    for target in pair:
        target.intact()


def without_bpf_all_else_works(t):
    logged = 0
    for number in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL):
        targets = [t.target("dup", "--size", "8", "--id", str(i))
                   for i in range(2)]
        wanted = int(targets[0].ask("count").split()[1])
        daemon = t.daemon(under=[str(harness.BUILD / "tests/targets/refuser"),
                                 str(number)])
        harness.wait_for(lambda: harness.ksm("pages_sharing") >= wanted, 60,
                         "merging without BPF")
        harness.wait_for(lambda: hook(daemon).startswith("none ("), 30,
                         "a reason")
        said = [line for line in daemon.log()[logged:].splitlines()
                if "Hints" in line]
        harness.check(len(said) == 1, f"{len(said)} lines: {said}")
        print(f"# {said[0]}")
        harness.check(daemon.terminate() == 0, "the daemon's exit status")
        logged = len(daemon.log())
        for target in targets:
            target.intact()
            target.stop()
        harness.settle()


if __name__ == "__main__":
    harness.run(what_two_read_is_merged, new_mappings_are_found,
                what_is_over_written_again_is_left_until_it_rests,
                a_reload_hooks_and_unhooks, without_bpf_all_else_works)
