#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Marks go on by fork, and the flag of a whole process by exec as well.

Who has inherited them gets rid of them like the one that we have marked: when
the daemon ends, when he is not one of its targets, or when he was forked,
renamed or replaced while no daemon was alive.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import harness
from harness import check, wait_for

# Pages of two kinds, all of them twice, and children on demand.
SCRIPT = r"""
import ctypes, mmap, os, signal, sys, time

MERGEABLE, PR_SET_PDEATHSIG = 12, 1
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

def page(i):
    return b"%08d" % (i % 1024) * 512

def is_intact():
    return all(memory[i * 4096:(i + 1) * 4096] == page(i)
               for i in range(len(memory) // 4096))

def child(name):
    # with what it has got, until its turn comes to verify it
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with open("/proc/self/comm", "w") as comm:
        comm.write(name)
    signal.sigwait({signal.SIGUSR1})
    os._exit(0 if is_intact() else 1)

memory = mmap.mmap(-1, 8 << 20, flags=flags)
for i in range(len(memory) // 4096):
    memory[i * 4096:(i + 1) * 4096] = page(i)
own = None
if "--registered" in sys.argv:
    at = int(sys.argv[-1], 16)
    own = libc.mmap(ctypes.c_void_p(at), ctypes.c_size_t(8 << 20), 3,
                    flags | 0x100000, -1, ctypes.c_long(0))
    if own != at or libc.madvise(ctypes.c_void_p(at),
                                 ctypes.c_size_t(8 << 20), MERGEABLE):
        sys.exit("no mapping at that place")
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", flush=True)
for line in sys.stdin:
    word, *args = line.split()
    if word == "fork":
        pid = os.fork()
        if pid == 0:
            child(args[0])
        print(pid, flush=True)
    elif word == "breed":
        pids = []
        for i in range(int(args[0])):
            pids.append(os.fork())
            if pids[-1] == 0:
                child(args[1 + i % 2])
            time.sleep(0.01)
        print(*pids, flush=True)
    elif word == "spawn":
        print(os.spawnvp(os.P_NOWAIT, args[0], args), flush=True)
    elif word == "become":
        os.execv(args[0], args)
    elif word == "end":
        os.kill(int(args[0]), signal.SIGUSR1)
        status = os.waitpid(int(args[0]), 0)[1]
        print("intact" if status == 0 else f"broken {status}", flush=True)
    elif word == "verify":
        print("intact" if is_intact() else "broken", flush=True)
sys.exit(0 if is_intact() else 1)
"""
# The child calls itself so.
OUTCAST = "outcast"


def parents(t):
    """Two of them, that a daemon can merge."""
    program, script = t.folder / "parent", t.folder / "parent.py"
    shutil.copy(os.path.realpath(sys.executable), program)
    script.write_text(SCRIPT)
    return [t.own(harness.Target([str(program), str(script)]))
            for _ in range(2)]


def is_merged(pid):
    return harness.ksm_stat(pid)["ksm_merging_pages"] >= 1900


def at_work(t, mode="selective"):
    """A daemon that has merged two parents, and these."""
    both = parents(t)
    daemon = t.daemon("\n".join([
        "[target outcasts]", f"comm = {OUTCAST}", "mode = exclude",
        t.config(mode=mode)]))
    wait_for(lambda: all(is_merged(p.pid) for p in both), 30, "the merge")
    return daemon, both


def is_whole(pid):
    return harness.ksm_stat(pid)["ksm_merge_any"] == "yes"


HAS_MERGE_ANY = any("ksm_merge_any" in line
                    for line in open("/proc/self/ksm_stat"))


def need_merge_any():
    if not HAS_MERGE_ANY:
        harness.skip("this kernel does not tell who is registered whole")


def check_free(*pids):
    for i, pid in enumerate(pids):
        check(harness.marks(pid) == 0,
              f"marks are left in pid {pid}, number {i + 1} of {len(pids)}")


def end_all(parent, children):
    """Each verifies what it has got, and ends."""
    for pid in children:
        said = parent.ask(f"end {pid}")
        check(said == "intact", f"child {pid}: {said}")


def is_watched(daemon, pid):
    return any(row["pid"] == pid for row in daemon.ctl_json("list"))


def a_fork_gives_back_what_it_got(t):
    """Children, and theirs, whose parent may have ended."""
    daemon, both = at_work(t)
    children = [int(both[0].ask("fork heir")) for _ in range(2)]
    for pid in children:
        check(harness.marks(pid) > 0, "a fork inherits nothing here?")
        wait_for(lambda p=pid: is_watched(daemon, p), 10, "it is watched")
    check(daemon.terminate() == 0, "exit status")
    check_free(*children, *(p.pid for p in both))
    end_all(both[0], children)
    for p in both:
        p.intact()


def who_is_forked_by_one_no_longer_named(t):
    """The parent gets its marks back, and is forked meanwhile."""
    daemon, both = at_work(t)
    both[0].tell("breed 30 heir heir")
    time.sleep(0.1)
    daemon.config.write_text("[target test]\ncomm = nobody\n")
    daemon.process.send_signal(signal.SIGHUP)
    children = [int(word) for word in both[0].line(30).split()]
    everybody = [*children, *(p.pid for p in both)]
    # one after the other, each held for a tenth of the time
    wait_for(lambda: not any(map(harness.marks, everybody)), 60,
             "all marks taken back")
    end_all(both[0], children[::10])
    check(daemon.terminate() == 0, "exit status")
    check(not any(daemon.run_dir.iterdir()), "the ledger is left")


def who_is_not_named_loses_it_at_once(t):
    daemon, both = at_work(t)
    child = int(both[0].ask(f"fork {OUTCAST}"))
    check(harness.marks(child) > 0, "a fork inherits nothing here?")
    wait_for(lambda: harness.marks(child) == 0, 10, "its marks taken back")
    check(not is_watched(daemon, child), "it is watched")
    check(all(is_merged(p.pid) for p in both), "the parents have lost theirs")
    end_all(both[0], [child])
    check(daemon.terminate() == 0, "exit status")
    check_free(*(p.pid for p in both))


def forked_at_the_end(t, mode):
    """Before it, while others are un-marked, and never seen by a round; some of
    them are not named."""
    daemon, both = at_work(t, mode)
    both[0].tell(f"breed 80 heir {OUTCAST}")
    time.sleep(0.4)
    check(daemon.terminate() == 0, "exit status")
    children = [int(word) for word in both[0].line(30).split()]
    check_free(*children, *(p.pid for p in both))
    check(not HAS_MERGE_ANY or not any(map(is_whole, children)),
          "a child is registered whole")
    check(not any(daemon.run_dir.iterdir()), "the ledger is left")
    end_all(both[0], children)
    for p in both:
        p.intact()


def who_is_forked_at_the_end_gives_back_too(t):
    forked_at_the_end(t, "selective")


def who_is_forked_at_the_end_of_a_whole_one(t):
    need_merge_any()
    forked_at_the_end(t, "whole")


def the_flag_does_not_outlive_an_exec(t):
    """That of a whole process is inherited by all that it starts, secret
    keepers among them."""
    need_merge_any()
    daemon, both = at_work(t, mode="whole")
    sleep = shutil.which("sleep")
    other = int(both[0].ask(f"spawn {shutil.which('setpriv')} --pdeathsig "
                            f"KILL {sleep} 1000"))
    check(is_whole(other), "an exec inherits nothing here?")
    wait_for(lambda: not is_whole(other), 10, "the flag taken back")
    both[1].tell(f"become {sleep} 1000")
    wait_for(lambda: os.readlink(f"/proc/{both[1].pid}/exe") !=
             str(t.folder / "parent"), 10, "the exec")
    wait_for(lambda: not is_whole(both[1].pid), 25, "the flag taken back")
    check(is_whole(both[0].pid), "the parent has lost it")
    check(daemon.terminate() == 0, "exit status")
    check(not is_whole(both[0].pid), "the parent still has it")
    check_free(both[0].pid, both[1].pid, other)
    os.kill(other, signal.SIGKILL)
    both[0].intact()
    check(not any(daemon.run_dir.iterdir()), "the ledger is left")


def a_restart_knows_its_heirs(t):
    """... of those that were marked by the last daemon, and whom it did not
    name."""
    daemon, both = at_work(t)
    daemon.kill()
    child = int(both[0].ask("fork heir"))
    daemon.config.write_text("[target test]\ncomm = nobody\n")
    daemon.start()
    daemon.wait_ready()
    for pid in (child, *(p.pid for p in both)):
        wait_for(lambda p=pid: harness.marks(p) == 0, 30, "marks taken back")
    seen = daemon.ctl_json("list")
    check(not seen, f"watched: {seen} {harness.ksm_stat(child)}")
    check_free(child, *(p.pid for p in both))
    check(daemon.terminate() == 0, "exit status")
    check(not any(daemon.run_dir.iterdir()), "the ledger is left")


def another_program_keeps_its_own(t):
    """What stands in the ledger was the last program's; this one has
    registered memory itself, at the same place."""
    daemon, both = at_work(t)
    first = both[0]
    at = max((line for line in Path(f"/proc/{first.pid}/maps").read_text()
              .splitlines() if line.endswith(" 0 ")),
             key=lambda line: -abs(size_of(line) - (8 << 20))).split("-")[0]
    daemon.kill()
    first.tell(f"become {t.folder}/parent {t.folder}/parent.py --registered "
               f"{at}")
    if first.process.poll() is not None or not first.has_line(20):
        harness.skip("the place is taken by then")
    check(first.line() == "ready", "it is not ready")
    daemon.start()
    daemon.wait_ready()
    wait_for(lambda: is_watched(daemon, first.pid), 30, "it is watched")
    check(daemon.terminate() == 0, "exit status")
    check(harness.marks(first.pid) > 0, "its own mark was taken")
    check_free(both[1].pid)


def size_of(line):
    start, end = (int(word, 16) for word in line.split()[0].split("-"))
    return end - start


if __name__ == "__main__":
    harness.run(a_fork_gives_back_what_it_got,
                who_is_forked_at_the_end_gives_back_too,
                who_is_forked_at_the_end_of_a_whole_one,
                who_is_forked_by_one_no_longer_named,
                who_is_not_named_loses_it_at_once,
                the_flag_does_not_outlive_an_exec, a_restart_knows_its_heirs,
                another_program_keeps_its_own)
