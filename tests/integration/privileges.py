#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which rights the daemon, its threads, its injector and that one's keeper
have while they work: exactly those that ksmd-plus(8) names, of what this
machine grants at all. And that what they gave up is not missed."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import harness
from harness import check, wait_for
from tracing import children_of, kill_idle

FILTER = harness.TOP / "daemon/service/filter.c"
MANUAL = harness.TOP / "man/ksmd-plus.8"
# Since Linux 2.2 to 5.8; their numbers are for ever.
NUMBERS = {"CAP_DAC_READ_SEARCH": 2, "CAP_IPC_LOCK": 14, "CAP_SYS_RAWIO": 17,
           "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_SYS_NICE": 23,
           "CAP_SYS_RESOURCE": 24, "CAP_PERFMON": 38, "CAP_BPF": 39}
# Calls of the filter that a life on this machine may do without, and why.
UNSEEN = {
    "another libc calls it, or another kernel makes libc call it":
        "access clock_getres clock_gettime clock_nanosleep epoll_pwait "
        "epoll_pwait2 epoll_wait faccessat faccessat2 fstat futex_time64 "
        "futex_wait futex_wake gettimeofday lseek nanosleep newfstatat "
        "poll ppoll readlink rename renameat2 statx",
    "memory, when it is short or given back; qsort() asks how much there is":
        "brk madvise membarrier mlock mmap mprotect mremap munlock sysinfo",
    "threads, signals and abort()":
        "exit exit_group getpid gettid restart_syscall rseq rt_sigaction "
        "rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield "
        "set_robust_list sigaltstack waitid",
    "what sd-event, sd-bus and sd_notify() do at times, or with a bus":
        "bind connect epoll_create1 eventfd2 fcntl fstatfs getegid geteuid getgid "
        "getgroups getpeername getrandom getsockname getuid memfd_create "
        "name_to_handle_at recvfrom sendmmsg sendto setsockopt shutdown "
        "signalfd4 statfs timerfd_create uname",
    "the ledger, when it is large or the disk is full":
        "dup ftruncate renameat unlink writev",
    "injectors, when a new one is started, and pidfds":
        "dup3 pidfd_open prctl prlimit64 socket socketpair wait4",
    "hints, where BPF can be used, and a DSA":
        "bpf getcpu perf_event_open pwrite64",
    "processes that live in the memory of others": "kcmp",
    "readers share it with the main thread, and may do without":
        "close munmap write",
}


def status(pid, tid=None):
    """The fields of /proc/PID/status that are about rights."""
    path = Path(f"/proc/{pid}/task/{tid}/status" if tid else
                f"/proc/{pid}/status")
    fields = dict(line.split(":\t", 1)
                  for line in path.read_text().splitlines() if ":\t" in line)
    return {name: int(fields[name], 16 if name.startswith("Cap") else 10)
            for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
                         "NoNewPrivs", "Seccomp")}


def documented():
    """{who: set of capabilities as bits}, by the manual's table."""
    table = {}
    for line in re.findall(r"^\.TP\n\.BR (CAP_.*)$", MANUAL.read_text(), re.M):
        names = re.findall(r"CAP_\w+", line)
        for who in re.findall(r"[a-z]+", re.sub(r"CAP_\w+", "", line)):
            for name in names:
                table[who] = table.get(who, 0) | 1 << NUMBERS[name]
    return table


def names_of(bits):
    names = {number: name for name, number in NUMBERS.items()}
    return " ".join(names.get(i, str(i)) for i in range(64) if bits >> i & 1)


def check_sets(what, found, wanted, bound=0, seccomp=None):
    wanted &= status("self")["CapBnd"]      # of a root's rights here
    for name in ("CapEff", "CapPrm"):
        check(found[name] == wanted, f"{name} of {what}: "
              f"{names_of(found[name])}; not {names_of(wanted)}")
    for name in ("CapInh", "CapAmb"):
        check(not found[name], f"{name} of {what}: {names_of(found[name])}")
    check(found["CapBnd"] == bound & status("self")["CapBnd"],
          f"CapBnd of {what}: {names_of(found['CapBnd'])}")
    check(found["NoNewPrivs"] == 1, f"{what} can get new rights")
    if seccomp is not None:
        check(found["Seccomp"] == seccomp,
              f"{what}: seccomp {found['Seccomp']}")


def askers_of(pid):
    return {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()
            if (task / "comm").read_text() == "ksmd-plus-ask\n"}


def pair(t, seed, size=4):
    return [t.target("dup", "--size", str(size), "--seed", str(seed), "--id",
                     str(i)) for i in range(2)]


def merged(targets):
    return all(p.ksm_stat()["ksm_merging_pages"] >= 200 for p in targets)


def n_nodes():
    return len(list(Path("/sys/devices/system/node").glob("node[0-9]*")))


def linked(name):
    """Whether the daemon was built with the library @name."""
    return name in subprocess.run(      # what ldd does
        harness.BUILD / "ksmd-plus", capture_output=True, text=True,
        env={**os.environ, "LD_TRACE_LOADED_OBJECTS": "1"}).stdout


def filtered_as_we_are():
    """What Seccomp is of who has no filter of his own."""
    return 2 if harness.UNDER else status("self")["Seccomp"]


def each_has_what_the_manual_names(t):
    targets = pair(t, 1)
    daemon = t.daemon()
    wait_for(lambda: merged(targets), 60, "a merge")
    table, filtered = documented(), 2 if linked("libseccomp") else None
    if not linked("libbpf"):
        table["main"] &= ~(1 << NUMBERS["CAP_BPF"] |
                           1 << NUMBERS["CAP_PERFMON"])
    check_sets("the main thread", status(daemon.pid), table["main"],
               seccomp=filtered)
    tids = [int(task.name) for task in
            Path(f"/proc/{daemon.pid}/task").iterdir()]
    askers = askers_of(daemon.pid)
    check(askers, "nobody asks")
    for tid in askers:
        check_sets("an asker", status(daemon.pid, tid), table["asker"],
                   seccomp=filtered)
    found = [status(daemon.pid, tid) for tid in tids
             if tid not in askers | {daemon.pid}]
    movers = [s for s in found if s["CapEff"]]
    check(len(movers) == (n_nodes() > 1), f"{len(movers)} movers")
    check(len(found) > len(movers), "there is no reader")
    for thread in found:
        check_sets("a mover" if thread["CapEff"] else "a reader", thread,
                   table["mover"] if thread["CapEff"] else 0,
                   seccomp=filtered)
    children = children_of(daemon.pid)
    keeper = table["injector"] | table["keeper"]
    check(sorted(children) == ["ksmd-plus-injec", "ksmd-plus-keep"],
          f"children: {children}")
    check_sets("the injector", status(children["ksmd-plus-injec"]),
               table["injector"], keeper, seccomp=filtered_as_we_are())
    check_sets("the keeper", status(children["ksmd-plus-keep"]), keeper,
               keeper, seccomp=filtered_as_we_are())


def a_new_injector_has_the_same(t):
    """The keeper starts it; the daemon itself could not."""
    first = pair(t, 1)
    daemon = t.daemon()
    wait_for(lambda: merged(first), 60, "a merge")
    old = children_of(daemon.pid)["ksmd-plus-injec"]
    kill_idle(old)
    new = wait_for(lambda: {p for name, p in children_of(daemon.pid).items()
                            if name == "ksmd-plus-injec"} - {old}, 60,
                   "a new injector").pop()
    second = pair(t, 2)
    wait_for(lambda: merged(second), 60, "a merge by the new injector")
    table = documented()
    check_sets("the new injector", status(new), table["injector"],
               table["injector"] | table["keeper"],
               seccomp=filtered_as_we_are())
    keeper = children_of(daemon.pid)["ksmd-plus-keep"]
    daemon.kill()
    wait_for(lambda: not any(Path(f"/proc/{p}").exists()
                             for p in (new, keeper)), 60,
             "the end of injector and keeper behind the daemon")


def nothing_of_a_life_is_refused(t):
    """All that a daemon does from a merge to its end, every call watched."""
    if not shutil.which("strace"):
        harness.skip("strace is not installed")
    if not linked("libseccomp"):
        harness.skip("built without seccomp")
    if harness.UNDER:
        harness.skip("what another filter refuses looks the same")
    first = pair(t, 1)
    daemon = t.daemon()
    loop = askers_of(daemon.pid) | {daemon.pid}
    trace = t.folder / "trace"
    strace = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", str(trace), "-p", str(daemon.pid)],
        stderr=subprocess.PIPE)
    t.stack.callback(strace.wait)
    t.stack.callback(strace.terminate)
    wait_for(lambda: status_tracer(daemon.pid), 30, "being traced")
    wait_for(lambda: merged(first), 120, "a merge")
    second = pair(t, 2)
    wait_for(lambda: merged(second), 120, "the second merge")
    for words in (["list"], ["explain", str(first[0].pid)], ["metrics"],
                  ["pause"], ["resume"], ["rescan"]):
        done = daemon.ctl(*words)
        check(done.returncode == 0, f"{words}: {done.stderr}")
    before = daemon.log().count("Configuration reloaded")
    os.kill(daemon.pid, signal.SIGHUP)
    wait_for(lambda: daemon.log().count("Configuration reloaded") > before,
             60, "the reload")
    check(daemon.terminate(120) == 0, "exit status")
    strace.wait(60)
    calls = trace.read_text()
    check("EAGAIN" in calls or "ENOENT" in calls, "nothing was traced")
    refused = {line.split(None, 1)[1] for line in calls.splitlines()
               if " ENOSYS " in line}
    check(not refused, "refused: " + "; ".join(sorted(refused)[:5]))
    check_used(calls, loop)


def check_used(calls, loop):
    """What the filter allows is what was seen here, and what UNSEEN names."""
    seen = {"L": set(), "R": set()}
    for tid, name in re.findall(r"^(\d+) +(\w+)\(", calls, re.M):
        seen["L" if int(tid) in loop else "R"].add(name)
    listed = {name: set(re.findall("[LRM]", roles)) for name, roles in
              re.findall(r'^\t\{ "(\w+)", ([LRM |]+)', FILTER.read_text(),
                         re.M)}
    excused = {name for names in UNSEEN.values() for name in names.split()}
    check(excused <= set(listed), f"not on the list: {excused - set(listed)}")
    for role, who in (("L", "main thread and askers"), ("R", "readers")):
        allowed = {name for name, roles in listed.items() if role in roles}
        left = sorted(allowed - seen[role] - excused)
        print(f"# {who}: {len(allowed)} calls are allowed, "
              f"{len(seen[role])} were seen", flush=True)
        # in a chroot with another libc others may be missed
        if left:
            print(f"# {who}: not seen are {' '.join(left)}", flush=True)
        check(not left or "TEST_FAST" in os.environ,
              f"{who}: nobody needs {' '.join(left)}")


def status_tracer(pid):
    """All its threads are traced."""
    return all("TracerPid:\t0\n" not in (task / "status").read_text()
               for task in Path(f"/proc/{pid}/task").iterdir())


if __name__ == "__main__":
    harness.run(each_has_what_the_manual_names, a_new_injector_has_the_same,
                nothing_of_a_life_is_refused)
