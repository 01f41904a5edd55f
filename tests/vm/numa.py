#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 900
"""Merged pages live where they are used: on machines with several memory
nodes, by the kernel's own word for the node of each page."""

import collections
import contextlib
import ctypes
import os
import re
import time
from pathlib import Path

import vm
from vm import harness

PAGES = 10240                   # equal ones in each process
SIZE_MIB = PAGES // 256
PAGE = 4096
WITHIN = 1.0                    # percent
# Emulated, everything takes some fifty times as long; the budget is relative
# to a CPU.
CPU_LIMIT = 2.0
CONFIG = ["[scan]", f"cpu_limit = {CPU_LIMIT:.0%}", "[numa]", "rest = 2s"]
CPU_SHARE = 1 / 20              # of the budget, for all that is tested here
SAVED_SECONDS = 5               # of it may have been saved up, as by budget.h
SYS_MOVE_PAGES = 279
SYS_SET_MEMPOLICY = 238
MPOL_DEFAULT, MPOL_BIND = 0, 2
CGROUP = Path("/sys/fs/cgroup")
# For tests of what is not a matter of so many pages.
FEW_MIB = 8
FEW_DUPLICATES = 80             # percent
FEW_PAGES = FEW_MIB * 256 * FEW_DUPLICATES // 100 - 16  # whole runs
# nuKSM, table III
PRIORITIES = [((-20, -11), (91, 9)), ((-20, -16), (83, 17)),
              ((-20, -20), (50, 50)), ((-16, -20), (17, 83)),
              ((-11, -20), (9, 91))]
# Whose a frame is can be told by the block of 128 MiB that it lies in, unless
# two nodes share it.
NODE_MIB = 384
SHARING_MIB = 320

libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def on_node(node):
    """Whatever is started here stays there: one CPU on each node."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {node})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Sharer:
    """A process with the same pages as the others. It is asked once where
    they are: its answers are writes, and break its own merged pages."""

    def __init__(self, t, number, node=None, size=SIZE_MIB, duplicates=100,
                 more=()):
        with contextlib.nullcontext() if node is None else on_node(node):
            self.target = t.target("dup", "--size", str(size), "--dup",
                                   str(duplicates), "--id", str(number), *more)
        self.pid = self.target.pid
        self.first, self.end = (int(word, 16) for word in
                                self.target.ask("where").split())

    def nodes(self):
        """The node of every page; move_pages() only asks."""
        n = (self.end - self.first) // PAGE
        addresses = (ctypes.c_void_p * n)(*range(self.first, self.end, PAGE))
        status = (ctypes.c_int * n)()
        if libc.syscall(SYS_MOVE_PAGES, self.pid, ctypes.c_ulong(n),
                        addresses, None, status, 0) < 0:
            raise OSError(ctypes.get_errno(), "move_pages")
        return list(status)

    def nodes_in_numa_maps(self):
        """The same, counted by the kernel: {node: pages}."""
        counts = collections.Counter()
        for line in Path(f"/proc/{self.pid}/numa_maps").read_text().split("\n"):
            if line and self.first <= int(line.split()[0], 16) < self.end:
                counts.update({int(node): int(n) for node, n in
                               re.findall(r" N(\d+)=(\d+)", line)})
        return counts

    def pin(self, node):
        os.sched_setaffinity(self.pid, {node})


def n_nodes():
    return len(list(Path("/sys/devices/system/node").glob("node[0-9]*")))


def start(t, nodes):
    return [Sharer(t, number, node) for number, node in enumerate(nodes)]


def wait_merged(sharers, wanted=None):
    wanted = wanted or (len(sharers) - 1) * PAGES
    harness.wait_for(lambda: harness.ksm("pages_sharing") >= wanted, 180,
                     "merging of all pages", pause=0.5)


def shares(sharers, homes):
    """What each has on its node, in percent."""
    return [100 * nodes.count(home) / len(nodes) for nodes, home in
            zip((sharer.nodes() for sharer in sharers), homes)]


def wait_shares(sharers, homes, wanted, seconds=120):
    """Until each has its part on its node, by percent."""
    def there():
        return all(abs(have - want) <= WITHIN for have, want in
                   zip(shares(sharers, homes), wanted))
    try:
        harness.wait_for(there, seconds, f"shares of {wanted}", pause=0.5)
    finally:
        print("# shares:", *(f"{s:.1f}%" for s in shares(sharers, homes)),
              flush=True)


def row_of(daemon, sharer):
    """What `list` says about it."""
    return next(row for row in daemon.ctl_json("list")
                if row["pid"] == sharer.pid)


def numa(daemon):
    return daemon.status()["numa"]


def policy(t, daemon, name):
    daemon.config.write_text(t.config(*CONFIG, f"policy = {name}"))
    daemon.process.send_signal(1)


def scheduled(daemon):
    """Seconds on a CPU, by the scheduler's account of each thread."""
    return sum(int(path.read_text().split()[0]) for path in
               Path(f"/proc/{daemon.pid}/task").glob("*/schedstat")) / 1e9


class Spending:
    """What the daemon spends from here on, on everything."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.at = time.monotonic()
        self.cpu, self.own = scheduled(daemon), numa(daemon)["cpu_usec"]

    def check(self):
        seconds = time.monotonic() - self.at
        cpu = scheduled(self.daemon) - self.cpu
        own = (numa(self.daemon)["cpu_usec"] - self.own) / 1e6
        limit = CPU_SHARE * CPU_LIMIT * (seconds + SAVED_SECONDS)
        print(f"# placing took {own:.2f} s of CPU of {limit:.2f} s in "
              f"{seconds:.0f} s, the daemon {cpu:.2f} s", flush=True)
        harness.check(own <= limit, f"{own:.2f} s of CPU, not {limit:.2f}")
        harness.check(0 < own <= cpu, f"{own:.2f} s of {cpu:.2f} s")


def finish(sharers, daemon, cow):
    wanted = (len(sharers) - 1) * PAGES
    harness.check(harness.cow_ksm() == cow,
                  f"{harness.cow_ksm() - cow} merged pages were broken")
    harness.check(harness.ksm("pages_sharing") >= wanted,
                  f"{harness.ksm('pages_sharing')} pages are shared still, "
                  f"not {wanted}")
    harness.check(daemon.terminate() == 0, "the daemon's exit status")
    for sharer in sharers:
        sharer.target.intact()
        sharer.target.finish()


def follows(sharers, homes, wanted, daemon):
    """Processes have moved: their pages are there within two rounds, by the
    daemon's account of each, since looking from here takes some itself."""
    before = len(daemon.log())
    for sharer, home in zip(sharers, homes):
        sharer.pin(home)
    wait_shares(sharers, homes, wanted)
    to_move = [int(n) for n in re.findall(
        r"Placing: .* (\d+) pages to move", daemon.log()[before:])]
    moved = [i for i, n in enumerate(to_move) if n]
    harness.check(moved and moved[-1] < 2, f"pages to move by round: {to_move}")


def report(sharers, daemon):
    """What status and list say once each has half."""
    harness.wait_for(lambda: numa(daemon)["fairness"] >= 0.98, 60,
                     "a report of fairness", pause=0.5)
    harness.check(numa(daemon)["policy"] == "fair", numa(daemon))
    for node, sharer in enumerate(sharers):
        row = row_of(daemon, sharer)
        counts = collections.Counter(sharer.nodes())
        harness.check(counts == sharer.nodes_in_numa_maps(), counts)
        harness.check(row["nodes"] == str(node), row)
        harness.check(row["merged_pages"] >= PAGES, row)
        harness.check(abs(row["merged_pages_local"] / row["merged_pages"] -
                          1 / len(sharers)) < 0.02, row)


def merged_pages_live_where_they_are_used(t):
    n = n_nodes()
    nodes = range(n)
    sharers = start(t, nodes)
    daemon = t.daemon(t.config(*CONFIG, "policy = off"), args=("--debug",))
    wait_merged(sharers)
    # as nuKSM found it: they are where they were found first
    before = sharers[0].nodes()
    plain = shares(sharers, nodes)
    print("# plain KSM:", *(f"{s:.1f}%" for s in plain))
    harness.check(max(plain) > 100 / n + 10, "plain KSM is fair")
    cow = harness.cow_ksm()
    spending = Spending(daemon)
    policy(t, daemon, "fair")
    wait_shares(sharers, nodes, [100 / n] * n)
    report(sharers, daemon)
    # no more than had to, and nothing moves when nothing changes
    said = numa(daemon)
    moved = said["pages_moved"]
    least = sum(max(0, before.count(node) - PAGES / n) for node in nodes)
    harness.check(abs(moved - least) < PAGES / 50, f"{moved} moves, {least}")
    harness.wait_for(lambda: numa(daemon)["rounds"] > said["rounds"], 60,
                     "another round", pause=0.5)
    harness.check(numa(daemon)["pages_moved"] == moved, "moves at rest")
    if n == 2:
        follows(sharers, (1, 1), (100, 100), daemon)
        follows(sharers, (0, 1), (50, 50), daemon)
        policy(t, daemon, "priority")
        for nice, wanted in PRIORITIES:
            for sharer, value in zip(sharers, nice):
                os.setpriority(os.PRIO_PROCESS, sharer.pid, value)
            wait_shares(sharers, nodes, wanted)
    spending.check()
    finish(sharers, daemon, cow)


def few(t, number, node=None, more=()):
    return Sharer(t, number, node, FEW_MIB, FEW_DUPLICATES, more)


def who_sleeps_makes_way_for_who_is_busy(t):
    """Everybody counts until one is known to sleep."""
    sharers = [few(t, 0, 0), few(t, 1, 1, ("--volatile", "10"))]
    daemon = t.daemon(t.config(*CONFIG[:-1], "rest = 1s"))
    wait_merged(sharers, FEW_PAGES)
    harness.wait_for(lambda: [row_of(daemon, sharer).get("activity")
                              for sharer in sharers] == ["asleep", "busy"],
                     120, "one asleep and one busy", pause=0.5)
    # all that is shared; what is not is where it was written first
    wait_shares(sharers[:1], (0,), (100 - FEW_DUPLICATES,))
    busy = sharers[1]
    harness.wait_for(lambda: row_of(daemon, busy)["merged_pages_local"] >=
                     0.99 * FEW_PAGES, 120, "a report of it", pause=0.5)
    harness.check(daemon.terminate() == 0, "the daemon's exit status")
    for sharer in sharers:
        sharer.target.intact()
        sharer.target.finish()


@contextlib.contextmanager
def memory_bound_to(node):
    """As by `numactl --membind`, which leaves CPUs as they are."""
    mask = ctypes.c_ulong(1 << node)
    libc.syscall(SYS_SET_MEMPOLICY, MPOL_BIND, ctypes.byref(mask),
                 ctypes.c_ulong(64))
    try:
        yield
    finally:
        libc.syscall(SYS_SET_MEMPOLICY, MPOL_DEFAULT, None, ctypes.c_ulong(0))


def cpuset(t, sharer, node):
    """As libvirt's <numatune mode="strict">, CPUs left as they are."""
    (CGROUP / "cgroup.subtree_control").write_text("+cpuset")
    folder = CGROUP / "machine-guest.scope"
    folder.mkdir()
    t.stack.callback(folder.rmdir)
    t.stack.callback(sharer.target.stop)
    (folder / "cpuset.mems").write_text(str(node))
    (folder / "cgroup.procs").write_text(str(sharer.pid))


def guests_pinned_by_others_are_recognised(t):
    """By cpuset and by policy: none of them is pinned to a CPU."""
    with memory_bound_to(1):
        bound = few(t, 0)
    sharers = [bound, few(t, 1)]
    cpuset(t, sharers[1], 0)
    daemon = t.daemon(t.config(*CONFIG))
    wait_merged(sharers, FEW_PAGES)
    each = 100 - FEW_DUPLICATES / 2
    wait_shares(sharers, (1, 0), (each, each))
    homes = [row_of(daemon, sharer)["nodes"] for sharer in sharers]
    harness.check(homes == ["1", "0"], homes)
    harness.check(daemon.terminate() == 0, "the daemon's exit status")
    for sharer in sharers:
        sharer.target.intact()


def nodes_of_their_own_are_left_alone(t):
    """With merge_across_nodes=0 each node has its copies, and keeps them."""
    harness.ksm_write("run", 2)
    harness.ksm_write("merge_across_nodes", 0)
    sharers = start(t, (1, 1))
    daemon = t.daemon(t.config(*CONFIG, "policy = fair"))
    wait_merged(sharers, PAGES * 0.95)  # some are of another node, perhaps
    before = [sharer.nodes() for sharer in sharers]
    for sharer in sharers:
        sharer.pin(0)
    time.sleep(5)               # longer than between rounds
    said = numa(daemon)
    harness.check(said["pages_moved"] == 0 and
                  "merge_across_nodes" in said["activity"], said)
    harness.check([sharer.nodes() for sharer in sharers] == before,
                  "they have moved")
    harness.check(daemon.terminate() == 0, "the daemon's exit status")
    for sharer in sharers:
        sharer.target.intact()
        sharer.target.finish()


def machine(kernel, nodes, *more, mib=NODE_MIB):
    tests = (merged_pages_live_where_they_are_used, *more)
    return vm.Machine(kernel, nodes=nodes, memory_mib=mib * nodes,
                      tests=tuple(test.__name__ for test in tests))


# Emulated, a machine with four nodes takes minutes: they are for NUMA_ALL=1.
ALL = os.environ.get("NUMA_ALL") == "1"
MACHINES = [machine("6.1", 2, who_sleeps_makes_way_for_who_is_busy),
            machine("6.12", 2, guests_pinned_by_others_are_recognised,
                    mib=SHARING_MIB),
            machine("6.1", 4),
            machine("6.12", 4, nodes_of_their_own_are_left_alone)]


if __name__ == "__main__":
    vm.run(merged_pages_live_where_they_are_used,
           who_sleeps_makes_way_for_who_is_busy,
           guests_pinned_by_others_are_recognised,
           nodes_of_their_own_are_left_alone,
           machines=MACHINES if ALL else MACHINES[:2],
           seconds=600)
