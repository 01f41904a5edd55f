#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 3600
"""Programs that do what is rarely done, and verify that it was done right.

stress-ng exercises the kernel's interfaces one by one: odd stacks, signals in
signals, mappings that move, processes that trace, fork, exec and end by the
thousand. Each of its stressors runs for some seconds in mode selective, and
verifies itself. One that fails is repeated without a daemon: if it fails there
as well, that is the machine's affair.

	STRESSORS=all tests/integration/stressors.py	(make stress)
	STRESSORS="brk signest" tests/integration/stressors.py

STRESSOR_SECONDS is how long each runs (2).
"""

import os
import re
import shutil
import subprocess

import harness
from harness import check

CHOSEN = os.environ.get("STRESSORS", "")
SECONDS = os.environ.get("STRESSOR_SECONDS", "2")
# Memory, signals, processes, calls that wait, arithmetic. What would change
# the machine itself (clocks, CPUs, sysctls) or exhaust it is not among them.
ALL = """
access affinity aio aiol bad-altstack bigheap branch brk chroot clone context
cyclic daemon dekker enosys env epoll eventfd exec exit-group far-branch fault
fifo flock fork full futex get getrandom goto hrtimers icache io-uring itimer
judy kcmp landlock lease list locka longjmp madvise malloc mcontend membarrier
memfd memrate memthrash mergesort mincore misaligned mlock mmap mmapaddr
mmapfixed mmapfork mmaphuge mmapmany mprotect mq mremap msg msync munmap mutex
nanosleep nice nop numa opcode pagemove personality peterson pidfd pipe pkey
poll procfs ptrace randlist regs remap resched resources ring-pipe rmap
schedpolicy seccomp secretmem sem sem-sysv session shellsort shm shm-sysv
sigabrt sigchld sigfd sigfpe sigio signal signest sigpending sigpipe sigq sigrt
sigsegv sigsuspend sigtrap skiplist sleep sock sockpair sparsematrix stack
stackmmap str switch syscall sysinfo tee timer timerfd tlb-shootdown touch tree
udp unshare userfaultfd usersyscall vdso vecmath vfork vforkmany vm vm-addr
vm-rw vm-segv vm-splice wait yield zero zlib zombie
"""
MISSING = re.compile(r"No stress workers invoked")
FAILED = re.compile(r"stress-ng: (?:fail|error):.*|.*unsuccessful run.*")


def stress(t, name):
    """(exit status, why it is not to be had, what it complains of)"""
    folder = t.folder / "stress"
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["stress-ng", f"--{name}", "2", "--timeout", SECONDS, "--verify",
         "--vm-bytes", "96M"], capture_output=True, errors="replace",
        text=True, cwd=folder, timeout=120 * harness.SLOW, check=False)
    text = done.stdout + done.stderr
    bad = FAILED.findall(text)
    return done.returncode, bool(MISSING.search(text)), bad[:3]


def nothing_fails_that_does_not_fail_alone(t):
    names = ALL.split() if CHOSEN == "all" else CHOSEN.split()
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%", "[target stress]",
                               "comm = stress-ng*", "mode = selective"))
    passed, missing, suspects = [], [], {}
    for name in names:
        status, is_missing, bad = stress(t, name)
        check(daemon.process.poll() is None,
              f"the daemon ended beside {name}: {daemon.log()[-1000:]}")
        if is_missing:
            missing.append(name)
        elif status or bad:
            suspects[name] = (status, bad)
        else:
            passed.append(name)
        print(f"# {name}: {status} {' '.join(bad)}", flush=True)
    peak = daemon.status()["pages_peak"]
    check(daemon.terminate(60) == 0, "the daemon's exit status")
    alone = {name: stress(t, name) for name in suspects}
    harmed = [name for name in suspects if not alone[name][0] and
              not alone[name][2]]
    print(f"# {len(passed)} stressors passed, {len(suspects) - len(harmed)} "
          f"fail alone as well ({' '.join(set(suspects) - set(harmed))}), "
          f"{len(missing)} are not to be had, {len(harmed)} failed beside the "
          f"daemon; {peak} pages saved at most", flush=True)
    check(not harmed, f"fail beside the daemon: {harmed}")
    check(passed and (peak > 0 or len(names) < 20), "nothing was merged")


def need_stress():
    harness.need_ksm()
    if not CHOSEN:
        harness.skip("takes ten minutes: STRESSORS=all (make stress)")
    if not shutil.which("stress-ng"):
        harness.skip("stress-ng is not installed")


if __name__ == "__main__":
    harness.run(nothing_fails_that_does_not_fail_alone, needs=need_stress)
