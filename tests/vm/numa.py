#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 900
"""Merged pages live where they are used: on machines with several memory
nodes, by the kernel's own word for the node of each page."""

import ctypes
import os
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
CONFIG = ["[scan]", "cpu_limit = 400%", "[numa]"]
SYS_MOVE_PAGES = 279
FOUR = ("each_node_has_its_part", "reports_what_it_did")    # with 4 nodes
# Whole memory blocks of 128 MiB: whose a frame is in one that two nodes share
# is not known, and nothing there is moved.
NODE_MIB = 384

libc = ctypes.CDLL(None, use_errno=True)


def nodes_of(target):
    """The node of every page of a dup target; move_pages() only asks."""
    first, end = (int(word, 16) for word in target.ask("where").split())
    n = (end - first) // PAGE
    addresses = (ctypes.c_void_p * n)(*range(first, end, PAGE))
    status = (ctypes.c_int * n)()
    if libc.syscall(SYS_MOVE_PAGES, target.pid, ctypes.c_ulong(n), addresses,
                    None, status, 0) < 0:
        raise OSError(ctypes.get_errno(), "move_pages")
    return list(status)


def local(target, node):
    """Percent of a target's pages that lie on @node."""
    nodes = nodes_of(target)
    return 100 * nodes.count(node) / len(nodes)


def n_nodes():
    return len(list(Path("/sys/devices/system/node").glob("node[0-9]*")))


def pin(target, node):
    os.sched_setaffinity(target.pid, {node})    # one CPU on each node


def start(t, n, nice=None):
    """@n processes with equal pages, one on each node."""
    targets = []
    for i in range(n):
        target = t.target("dup", "--size", str(SIZE_MIB), "--dup", "100",
                          "--id", str(i))
        pin(target, i)
        if nice:
            os.setpriority(os.PRIO_PROCESS, target.pid, nice[i])
        targets.append(target)
    return targets


def wait_merged(targets):
    wanted = (len(targets) - 1) * PAGES
    harness.wait_for(lambda: harness.ksm("pages_sharing") >= wanted, 180,
                     "merging of all pages", pause=0.5)


def shares(targets, homes):
    return [local(target, home) for target, home in zip(targets, homes)]


def wait_shares(targets, homes, wanted, seconds=120):
    """Until each has its part on its node, by percent."""
    def there():
        return all(abs(have - want) <= WITHIN for have, want in
                   zip(shares(targets, homes), wanted))
    try:
        harness.wait_for(there, seconds, f"shares of {wanted}", pause=1)
    finally:
        print("# shares:", *(f"{s:.1f}%" for s in shares(targets, homes)),
              flush=True)


def finish(targets, daemon):
    wanted = (len(targets) - 1) * PAGES
    harness.check(harness.ksm("pages_sharing") >= wanted,
                  f"{harness.ksm('pages_sharing')} pages are shared still, "
                  f"not {wanted}")
    harness.check(daemon.terminate() == 0, "the daemon's exit status")
    for target in targets:
        target.intact()
        target.finish()


def each_node_has_its_part(t):
    n = n_nodes()
    targets = start(t, n)
    daemon = t.daemon(t.config(*CONFIG, "policy = off"))
    wait_merged(targets)
    # as nuKSM found it: all on the node of one
    print("# plain KSM:", *(f"{s:.1f}%" for s in shares(targets, range(n))))
    harness.check(max(shares(targets, range(n))) > 100 / n + 20,
                  "plain KSM spreads merged pages")
    cow = harness.cow_ksm()
    daemon.config.write_text(t.config(*CONFIG, "policy = fair"))
    daemon.process.send_signal(1)
    wait_shares(targets, range(n), [100 / n] * n)
    # but for what the targets write themselves, to answer
    harness.check(harness.cow_ksm() - cow < PAGES / 100,
                  "merged pages were broken")
    finish(targets, daemon)


def reports_what_it_did(t):
    targets = start(t, 2)
    daemon = t.daemon(t.config(*CONFIG, "policy = fair"))
    wait_merged(targets)
    wait_shares(targets, range(2), [50, 50])
    numa = harness.wait_for(
        lambda: [s for s in [daemon.status()["numa"]]
                 if s["fairness"] >= 0.98 and s["pages_moved"]], 60,
        "a report of fairness", pause=1)[0]
    harness.check(numa["policy"] == "fair", numa)
    # nothing moves when nothing changes
    moved = numa["pages_moved"]
    harness.check(abs(moved - PAGES / 2) < PAGES / 50, f"{moved} moves")
    rows = {row["pid"]: row for row in daemon.ctl_json("list")}
    for node, target in enumerate(targets):
        row = rows[target.pid]
        harness.check(row["nodes"] == str(node), row)
        harness.check(row["merged_pages"] >= PAGES, row)
        harness.check(abs(row["merged_pages_local"] / row["merged_pages"] -
                          0.5) < 0.02, row)
    # a process that moves is followed
    pin(targets[1], 0)
    wait_shares(targets, (0, 0), [100, 100])
    pin(targets[0], 1)
    wait_shares(targets, (1, 0), [50, 50])
    finish(targets, daemon)


def priorities_as_in_table_iii(t):
    rows = [((-20, -11), (91, 9)), ((-20, -16), (83, 17)),
            ((-20, -20), (50, 50)), ((-16, -20), (17, 83)),
            ((-11, -20), (9, 91))]
    targets = start(t, 2, rows[0][0])
    daemon = t.daemon(t.config(*CONFIG, "policy = priority"))
    wait_merged(targets)
    for nice, wanted in rows:
        for target, value in zip(targets, nice):
            os.setpriority(os.PRIO_PROCESS, target.pid, value)
        wait_shares(targets, (0, 1), wanted)
    finish(targets, daemon)


def nodes_of_their_own_are_left_alone(t):
    """With merge_across_nodes=0 each node has its copies."""
    harness.ksm_write("run", 2)
    harness.ksm_write("merge_across_nodes", 0)
    targets = start(t, 2)
    daemon = t.daemon(t.config(*CONFIG, "policy = fair"))
    time.sleep(15)
    numa = daemon.status()["numa"]
    harness.check(numa["pages_moved"] == 0 and
                  "merge_across_nodes" in numa["activity"], numa)
    harness.check(daemon.terminate() == 0, "the daemon's exit status")
    for target in targets:
        target.finish()


if __name__ == "__main__":
    vm.run(each_node_has_its_part, reports_what_it_did,
           priorities_as_in_table_iii, nodes_of_their_own_are_left_alone,
           machines=[vm.Machine(kernel, nodes=nodes, memory_mib=NODE_MIB * nodes,
                                tests=tests)
                     for kernel in ("6.1", "6.12")
                     for nodes, tests in ((2, ()), (4, FOUR))],
           seconds=600)
