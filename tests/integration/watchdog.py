#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""systemd's watchdog is fed while the daemon gets on, and only then. This is
systemd's side: $NOTIFY_SOCKET and $WATCHDOG_USEC."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import harness
from harness import check, skip, wait_for

INTERVAL = 2                    # seconds; a unit has 60
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


class Watchdog:
    """The socket that the daemon tells."""

    def __init__(self, t, *lines):
        harness.need_ksm()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told = threading.Event()
        t.stack.callback(self.close)
        path = t.folder / "notify"
        self.socket.bind(str(path))
        self.listener = threading.Thread(target=self.listen)
        self.listener.start()
        self.targets = [self.target(t, i) for i in range(2)]
        self.daemon = t.daemon(t.config("[scan]", "threads = 1", *lines),
                               env={"NOTIFY_SOCKET": str(path),
                                    "WATCHDOG_USEC": str(INTERVAL * 10**6)})

    def target(self, t, number):
        return t.target("dup", "--id", str(number), "--size", "16")

    def listen(self):
        """All the time: who tells it waits where ten are not taken yet."""
        while said := self.socket.recv(65536):
            if b"WATCHDOG=1" in said:
                self.told.set()

    def close(self):
        self.socket.shutdown(socket.SHUT_RD)
        self.listener.join()
        self.socket.close()

    def fed(self, seconds):
        """Whether it is told that all is well in that time."""
        fed = self.told.wait(seconds)
        self.told.clear()
        return fed

    def starves(self, what):
        """It stops being told, and the log says because of what."""
        wait_for(lambda: f"{what} is waited for" in self.daemon.log(), 120,
                 f"word of {what}")
        self.told.clear()
        check(not self.fed(INTERVAL), f"fed in spite of {what}")
        check(self.daemon.status()["state"], "the loop turns and says nothing")

    def recovers(self):
        check(self.fed(120), "not fed again")
        for target in self.targets:
            target.intact()


def fed_while_it_gets_on(t, dog):
    wait_for(lambda: dog.daemon.status()["pages_saved"] > 500, 60, "savings")
    dog.told.clear()
    for _ in range(3):
        check(dog.fed(60), "not fed")
    check("No progress" not in dog.daemon.log(), dog.daemon.log())


def ptrace(request, tid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                            ctypes.c_void_p]
    if libc.ptrace(request, tid, None, None):
        raise OSError(ctypes.get_errno(), f"ptrace of {tid}")


def a_worker_that_does_not_end_starves_it(t, dog):
    tasks = Path(f"/proc/{dog.daemon.pid}/task")
    # neither the loop nor who asks; spares are workers, too
    workers = [int(task.name) for task in tasks.iterdir()
               if int(task.name) != dog.daemon.pid and
               (task / "comm").read_text() != "ksmd-plus-ask\n"]
    check(workers, "it has no worker")
    # at rest, when none of them has a lock of the daemon's
    wait_for(lambda: dog.daemon.status()["state"] == "resting", 120, "rest")
    with contextlib.ExitStack() as held:
        for tid in workers:     # as in the middle of a job that hangs
            try:
                ptrace(SEIZE, tid)
            except PermissionError:
                skip("nothing may be traced here")
            held.callback(ptrace, DETACH, tid)
            ptrace(INTERRUPT, tid)
            os.waitpid(tid, WALL)
        rescan = dog.daemon.ctl("rescan")
        check(rescan.returncode == 0, f"rescan: {rescan.stderr}")
        dog.starves("the job of worker 0")
    dog.recovers()


def an_injector_that_does_not_answer_starves_it(t, dog):
    injector = next(pid for pid in harness.family_of(dog.daemon.pid)[1:]
                    if "injector" in Path(f"/proc/{pid}/cmdline").read_text())
    os.kill(injector, signal.SIGSTOP)
    try:
        dog.targets += [dog.target(t, i) for i in range(2, 4)]
        dog.starves("an answer of the injector")
    finally:
        os.kill(injector, signal.SIGCONT)
    dog.recovers()


def slow_and_asleep_are_not_stuck(t):
    dog = Watchdog(t, "cpu_limit = 2%")
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"])
            for _ in range(8)]
    try:
        for _ in range(3):
            check(dog.daemon.ctl("rescan").returncode == 0, "rescan")
            dog.told.clear()
            check(dog.fed(60), "not fed beside a load")
        os.kill(dog.daemon.pid, signal.SIGSTOP)     # as a host stops a guest
        time.sleep(2 * INTERVAL)
        dog.told.clear()
        os.kill(dog.daemon.pid, signal.SIGCONT)
        check(dog.fed(60), "not fed after a sleep")
    finally:
        for process in busy:
            process.kill()
            process.wait()
    check("No progress" not in dog.daemon.log(), dog.daemon.log())


def fed_while_all_parts_get_on(t):
    dog = Watchdog(t)
    fed_while_it_gets_on(t, dog)
    an_injector_that_does_not_answer_starves_it(t, dog)
    a_worker_that_does_not_end_starves_it(t, dog)


harness.run(fed_while_all_parts_get_on, slow_and_asleep_are_not_stuck)
