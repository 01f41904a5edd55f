# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon's injector is doing at this moment, seen from outside.

Stopped by SIGSTOP, which it cannot block, the injector stays as it is while it
is looked at: so it can be said of the very instant at which it is then killed
whether it held a thread, and whether with registers that were not the
thread's own. That is the window in which the kernel leaves the thread to its
fate if the tracer dies (ksmd-plus(8), NOTES).
"""

import os
import re
import signal
import time
from pathlib import Path

IDLE = "holding nobody"
SEIZED = "attached to a thread that ran on"
HELD = "holding a thread with its own registers"
WINDOW = "holding a thread with ours"
UNKNOWN = "holding a thread that had yet to stop"
BROKEN_OFF = "holding a thread whose call may not be repaired yet"
GONE = "gone"
# The injector's death is nobody else's end then.
HARMLESS = (IDLE, SEIZED, HELD)

# Calls that a stop breaks off with EINTR, until the injector, which is awake
# some 20 us later, has told the kernel to make them again (x86-64): receiving,
# accepting and sending with a timeout, signals, semaphores, epoll, io_uring.
EINTR_CALLS = {"43", "44", "45", "46", "47", "65", "128", "208", "220", "232",
               "281", "288", "299", "333", "426", "441"}
SYSCALL = b"\x0f\x05"
VDSO_BYTES = 32768
STOP_SECONDS = 10
TRACEE_SECONDS = 0.3    # until a thread that was let go is at its next stop


def children_of(pid):
    """{comm: pid} of the children of @pid; {} where it is gone."""
    found = {}
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                comm = Path(f"/proc/{child}/comm").read_text().strip()
                found[comm] = int(child)
    except OSError:
        pass
    return found


def injector_of(daemon):
    return children_of(daemon.pid).get("ksmd-plus-injec")


def injectors_of(pid):
    """Of the daemon @pid, which may have several; the dead that it has not
    waited for are none."""
    children = [child for task in Path(f"/proc/{pid}/task").iterdir()
                for child in (task / "children").read_text().split()]
    return [int(child) for child in children
            if os.path.exists(f"/proc/{child}/exe") and
            Path(f"/proc/{child}/exe").resolve().name == "ksmd-plus-injector"]


def keeper_of(daemon):
    return children_of(daemon.pid).get("ksmd-plus-keep")


def start_time(pid):
    """Together with the pid, that process and no other; None: it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def state_of(path):
    """One letter, of /proc/PID or of a thread; "X" where it is gone."""
    try:
        return Path(path, "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def tracer_of(path):
    try:
        status = Path(path, "status").read_text(errors="replace")
    except OSError:
        return 0
    return int(status.split("TracerPid:")[1].split()[0])


def at_work(injector):
    """Whether it has a tracing thread, which lives for one attempt."""
    try:
        return os.stat(f"/proc/{injector}/task").st_nlink > 3
    except OSError:
        return False


def vdso_of(pid):
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith("[vdso]"):
            return int(line.split("-")[0], 16)
    return None


def _find_call():
    """How far into the vdso, the same for all, the injector's place is."""
    with open("/proc/self/mem", "rb", 0) as mem:
        mem.seek(vdso_of("self"))
        data = b""
        while len(data) < VDSO_BYTES:
            try:
                data += mem.read(4096)
            except OSError:
                break
    return data.index(SYSCALL)


CALL = _find_call() if os.uname().machine == "x86_64" else None


def tracee_of(tracers):
    """/proc/PID/task/TID of the thread that one of @tracers is attached to."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            threads = os.listdir(f"/proc/{entry.name}/task")
        except OSError:
            continue
        for tid in threads:
            path = f"/proc/{entry.name}/task/{tid}"
            if tracer_of(path) in tracers:
                return path
    return None


def moment_of(tracee):
    """One of the constants above, of the thread at @tracee."""
    deadline = time.monotonic() + TRACEE_SECONDS
    while state_of(tracee) != "t":
        if time.monotonic() > deadline:
            # asleep in a call of its own it has not been told to stop yet
            return {"S": SEIZED, "X": GONE}.get(state_of(tracee), UNKNOWN)
        time.sleep(0.001)
    try:
        words = Path(tracee, "syscall").read_text().split()
        vdso = vdso_of(re.match(r"/proc/(\d+)/", tracee)[1])
    except OSError:
        return GONE
    if words == ["running"] or vdso is None:
        return UNKNOWN
    at = int(words[-1], 16) - vdso - CALL
    if at in (0, len(SYSCALL)):
        return WINDOW
    return BROKEN_OFF if words[0] in EINTR_CALLS else HELD


def stop(injector):
    """Stop all its threads. False if it is gone."""
    try:
        os.kill(injector, signal.SIGSTOP)
    except ProcessLookupError:
        return False
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            states = {state_of(f"/proc/{injector}/task/{tid}")
                      for tid in os.listdir(f"/proc/{injector}/task")}
        except OSError:
            return False
        states.discard("X")
        if states == {"T"}:
            return True
        if not states or states <= {"Z"}:
            return False
        time.sleep(0.0005)
    raise TimeoutError(f"pid {injector} does not stop: {states}")


def moment(injector):
    """What it, stopped, was doing."""
    try:
        tracers = {int(tid) for tid in os.listdir(f"/proc/{injector}/task")}
    except OSError:
        return GONE
    if len(tracers) == 1:
        return IDLE
    tracee = tracee_of(tracers)
    return moment_of(tracee) if tracee else IDLE


def go_on(injector):
    try:
        os.kill(injector, signal.SIGCONT)
    except ProcessLookupError:
        pass


def stop_at(injector, moments):
    """Stop it if this is one of @moments. False: it was another, and it goes
    on, or it was gone."""
    if not stop(injector):
        return False
    if moment(injector) in moments:
        return True
    go_on(injector)
    return False


def kill(injector, moments=HARMLESS):
    """End it if this is one of @moments. False: it was another, and it goes on,
    or it was gone."""
    stopped = stop_at(injector, moments)
    if stopped:
        os.kill(injector, signal.SIGKILL)
    return stopped


def kill_idle(injector):
    """End it while it holds nobody, soon."""
    while not kill(injector, (IDLE,)):
        if start_time(injector) is None:
            raise ProcessLookupError(f"pid {injector} has ended by itself")
        time.sleep(0.001)
