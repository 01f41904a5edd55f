#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 900
"""Hints from reads of files on the kernels that Debian has: what
tests/contract/hints checks of every hook, on a disk that can be read directly;
the daemon at work by the best of them; and a machine locked down."""

import os
import subprocess
from pathlib import Path

import vm
from vm import harness

import hints

LOCKED = "lockdown=confidentiality"


def is_locked():
    return LOCKED in Path("/proc/cmdline").read_text()


def every_hook_tells_the_truth(t):
    if is_locked():
        harness.skip("this machine is locked down")
    done = subprocess.run([harness.BUILD / "tests/contract/hints"],
                          env=dict(os.environ, TMPDIR="/disk"),
                          capture_output=True, text=True)
    bad = [line for line in done.stdout.splitlines()
           if line.startswith("not ok") or "SKIP" in line or
           " here: " in line]
    for line in (done.stdout + done.stderr).splitlines() if bad else ():
        print(f"# {line}")
    harness.check(not bad and done.returncode == 0 and
                  done.stdout.count("\nok ") >= 21, f"{bad}")


def fentry_is_used(t):
    if is_locked():
        harness.skip("this machine is locked down")
    pair, daemon = hints.start(t, size_mib=8)
    hints.need_hook(daemon)
    harness.check(hints.hook(daemon) == "fentry", hints.hook(daemon))
    hints.seconds_to_merge(pair, 0, 16, 1000)
    for target in pair:
        target.intact()


def locked_down_all_else_works(t):
    if not is_locked():
        harness.skip("this machine is not locked down")
    targets = [t.target("dup", "--size", "8", "--id", str(i))
               for i in range(2)]
    wanted = int(targets[0].ask("count").split()[1])
    daemon = t.daemon()
    harness.wait_for(lambda: harness.ksm("pages_sharing") >= wanted, 120,
                     "merging under lockdown")
    harness.wait_for(lambda: hints.hook(daemon).startswith("none ("), 60,
                     "a reason")
    print(f"# {hints.hook(daemon)}")
    for target in targets:
        target.intact()


if __name__ == "__main__":
    vm.run(every_hook_tells_the_truth, fentry_is_used,
           locked_down_all_else_works,
           machines=[vm.Machine("6.1", disk_mib=16),
                     vm.Machine("6.12", disk_mib=16),
                     vm.Machine("6.12", append=LOCKED)])
