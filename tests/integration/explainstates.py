# SPDX-License-Identifier: GPL-2.0-or-later
"""Reasons that only the daemon knows: each with a process in that state.

Targets with the same --seed and --size have all their pages in common, so that
each of them is to be enrolled.
"""

import contextlib
import os
import shutil
import subprocess

import harness
import huge
from explaining import (EXCUSED, daemon_host, daemon_reasons, excuse,
                        must_have, named, reasons, wait_reason)
from harness import check, wait_for

SAME = ("--seed", "7", "--size", "1")
WITHOUT = harness.BUILD / "tests/targets/without"
FAST = ("[scan]", "cpu_limit = 100%")


@contextlib.contextmanager
def whoever_can(*names):
    """What a target says that is not possible here is an excuse."""
    try:
        yield
    except harness.Skip as e:
        excuse(e, *names)


def child_of(p):
    """What it has forked beside the child that reads its input."""
    return wait_for(lambda: harness.family_of(p.pid)[2:], 30, "its child")[0]


def target(t, reason, name, *args):
    with whoever_can(reason):
        return t.target(name, *SAME, *args)


def meets(t, daemon, reason, *args):
    """Who is nearly always in that state: each may be met in another moment,
    and is merged then."""
    def told():
        found = daemon_reasons(daemon, p.pid)
        over = found.get("merged", {"pages": 0})["pages"] > 128
        return found if over or reason in found else None

    for _ in range(20):
        p = target(t, reason, *args)
        if not p:
            return
        found = wait_for(told, 60, reason)
        p.stop()
        if reason in found:
            break
    must_have(found, reason)


def names_what_the_injector_meets(t):
    """It is asked for again and again, by then the trouble may be over: what
    was the last is told."""
    met = {"user-dispatch": ("dispatch",),
           "no-thread": ("blocked", "--call", "connect"),
           "not-stopping": ("vforker", "--msec", "600000"),
           "no-syscall-insn": ("novdso", "--text", "hidden")}
    met = {name: target(t, name, *args) for name, args in met.items()}
    plain = t.target("blocked", *SAME, "--call", "pause")
    daemon = t.daemon(t.config(*FAST))
    for name, p in met.items():
        if p:
            wait_reason(daemon, p.pid, name)
            check(harness.marks(p.pid) == 0, f"{name}, and it was marked")
    wait_reason(daemon, child_of(met["not-stopping"]), "shared-mm")
    meets(t, daemon, "signal", "ticker", "--switches", "yes")
    meets(t, daemon, "rseq", "rseq", "--spin", "4000000000")
    found = daemon_reasons(daemon, plain.pid)
    check(not {*met, "signal", "rseq"} & set(found), f"{sorted(found)}")


def injector_by(t, script):
    """The daemon beside an injector that is started by this script."""
    folder = t.folder / "bin"
    folder.mkdir()
    program = shutil.copy(harness.BUILD / "ksmd-plus", folder / "ksmd-plus")
    injector = folder / "ksmd-plus-injector"
    injector.write_text(f"#!/bin/sh\nexec {script} "
                        f"{harness.BUILD / 'ksmd-plus-injector'} \"$@\"\n")
    injector.chmod(0o755)
    daemon = harness.Daemon(t.folder, t.config(*FAST), program=program)
    t.stack.callback(daemon.terminate)
    t.daemons.append(daemon)
    return daemon.wait_ready()


def names_what_an_injector_may_not(t):
    """One that may not trace root's processes, as under a security module."""
    pair = [t.target("blocked", *SAME, "--call", "pause") for _ in range(2)]
    daemon = injector_by(t, f"{WITHOUT} ptrace")
    wait_reason(daemon, pair[0].pid, "permission")


def names_what_the_kernel_refuses(t):
    """A daemon that believes that there is room for more mappings."""
    more = t.folder / "more"
    more.write_text("1000000\n")
    full = None
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        excuse("no mount namespace can be made", "refused")
    else:
        with whoever_can("refused"):
            full = t.target("crowded", *SAME)
    if not full:
        harness.skip(EXCUSED["refused"])
    t.target("blocked", *SAME, "--call", "pause")
    daemon = t.daemon(t.config(*FAST), under=(
        "unshare", "-m", "sh", "-ec",
        f"mount --bind {more} /proc/sys/vm/max_map_count; "
        'exec "$@"', "sh"))
    row = wait_reason(daemon, full.pid, "refused")
    check(row["detail"] == os.strerror(11), f"{row}")


def names_what_becomes_of_pages(t):
    plain = [t.target("dup", "--size", "16", "--dup", "50", "--id", str(i),
                      "--volatile", "10") for i in range(2)]
    pinned = [t.target("classes", *SAME, "--pinned", "yes") for _ in range(2)]
    fickle = t.target("fickle", "--size", "2", "--always", "yes")
    daemon = t.daemon(t.config(*FAST))

    def pages(p, name):
        return daemon_reasons(daemon, p.pid).get(name, {"pages": 0})["pages"]

    wait_reason(daemon, plain[0].pid, "merged")
    wait_for(lambda: pages(plain[0], "merged") >= 0.45 * 4096, 30,
             "all merged")
    wait_reason(daemon, plain[0].pid, "no-twin")
    wait_for(lambda: pages(fickle, "volatile") >= 256, 60, "what changes")
    named("volatile")
    wait_for(lambda: pages(pinned[0], "extra-references") >= 200, 60,
             "all that is held")
    named("extra-references")
    check(not pages(plain[0], "extra-references"), "of another")
    check(pages(fickle, "merged") < 64, "what changes is merged")


def names_what_waits(t):
    """Candidates for a moment: with each pair that comes. Then somebody else
    stops ksmd, and what is registered has to wait; then the search is paused.
    """
    harness.ksm_write("run", "0")       # so that it is the daemon who starts it
    daemon = t.daemon(t.config(*FAST))

    def pair(seed):
        return [t.target("dup", "--size", "4", "--dup", "100", "--seed",
                         str(seed), "--id", str(i)).pid for i in range(2)]

    def candidates_of(pid):
        def state():
            found = daemon_reasons(daemon, pid)
            return found if {"candidates", "merged"} & set(found) else None
        return wait_for(state, 60, "its being found", 0.01)

    for seed in range(10, 20):
        first = pair(seed)[0]
        if "candidates" in (found := candidates_of(first)):
            break
    must_have(found, "candidates")
    # before that the daemon has started nothing that could be stopped
    wait_for(lambda: "merged" in daemon_reasons(daemon, first), 60, "a merge")
    wait_for(lambda: daemon.status()["state"] == "resting", 60, "rest")
    harness.ksm_write("run", "0")
    stopped = pair(20)[0]
    wait_for(lambda: daemon_reasons(daemon, stopped).get(
        "waits-for-pulse", {"pages": 0})["pages"] > 900, 60, "all that waits")
    found = wait_for(lambda: (h := daemon_host(daemon, stopped)) and
                     "other-manager" in h and h, 30, "other-manager")
    # it is not said that somebody holds the pages
    check(daemon_reasons(daemon, stopped).get(
        "extra-references", {"pages": 0})["pages"] < 64, "held by somebody")
    must_have(daemon_reasons(daemon, stopped), "waits-for-pulse")
    must_have(found, "other-manager", "run")
    must_have(found, "ksm-stopped")
    wait_for(lambda: daemon.ctl("pause").returncode == 0, 5, "pause")
    late = pair(30)[0]
    must_have(daemon_reasons(daemon, late), "not-looked-at")
    must_have(daemon_host(daemon, late), "paused")
    wait_for(lambda: daemon.ctl("resume").returncode == 0, 5, "resume")
    wait_for(lambda: "not-looked-at" not in daemon_reasons(daemon, late), 60,
             "a look at it")


def names_what_does_not_fit(t):
    big = t.target("dup", "--size", "320", "--dup", "0")
    daemon = t.daemon(t.config("[scan]", "memory_limit = 1M",
                               "cpu_limit = 100%"))
    wait_reason(daemon, big.pid, "index-full")


def names_what_huge_pages_hold_back(t):
    try:
        huge.need_huge_pages()
    except harness.Skip as e:
        excuse(e, "huge-held", "khugepaged")
        raise
    with huge.huge_pages():
        registered = t.target("dup", "--size", "16", "--register", "madvise")
        must_have(reasons(registered.pid), "khugepaged", "max_ptes_shared")
        registered.stop()
        pair = [t.target("dup", "--size", "16", "--dup", "4", "--run", "1",
                         "--id", str(i)) for i in range(2)]
        daemon = t.daemon(t.config(*FAST))
        wait_reason(daemon, pair[0].pid, "huge-held")


def names_duplicates_that_are_not_enrolled(t):
    targets = [t.target("dup", "--size", "8", "--dup", "50", "--id", str(i))
               for i in range(2)]
    daemon = t.daemon(t.config(*FAST, mode="observe"))
    row = wait_reason(daemon, targets[0].pid, "not-enrolled")
    check(row["pages"] > 0, f"{row}")
    must_have(daemon_reasons(daemon, targets[0].pid), "observed")
    check(harness.marks(targets[0].pid) == 0, "observe has changed something")


TESTS = (names_what_becomes_of_pages, names_what_waits,
         names_what_the_injector_meets, names_what_an_injector_may_not,
         names_what_the_kernel_refuses, names_duplicates_that_are_not_enrolled,
         names_what_does_not_fit, names_what_huge_pages_hold_back)
