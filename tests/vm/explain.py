#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 900
"""Reasons of ksmd-plusctl explain that are the whole machine's: in a guest,
where nobody else is concerned. What tests/integration/explain.py shows by
files that lie over those of the kernel is real here.
"""

import os
import subprocess
from pathlib import Path

import vm
from vm import harness

import explaining
from explaining import must_have

SWAP = Path("/disk/swap")
SWAP_MIB = 24


def names_what_is_swapped(t):
    """And what hugetlbfs holds, of which some pages can be had here."""
    SWAP.write_bytes(bytes(SWAP_MIB << 20))
    SWAP.chmod(0o600)
    for command in ("mkswap", "swapon"):
        subprocess.run([command, SWAP], check=True, capture_output=True)
    Path("/proc/sys/vm/nr_hugepages").write_text("2")
    try:
        p = explaining.check_classes(t, "swapped", "hugetlb", "device")
        flags = Path(f"/proc/{p.pid}/smaps").read_text()
        harness.check(" io " in flags, "no VM_IO")
    finally:
        t.close()
        subprocess.run(["swapoff", SWAP], check=True)
        Path("/proc/sys/vm/nr_hugepages").write_text("0")


def names_nodes_that_do_not_merge(t):
    me = os.getpid()
    harness.check("not-across-nodes" not in explaining.host(me), "too early")
    harness.ksm_write("merge_across_nodes", 0)
    must_have(explaining.host(me), "not-across-nodes")


def names_contents_with_many_sharers(t):
    harness.ksm_write("max_page_sharing", 2)
    several = [t.target("dup", "--size", "1", "--dup", "100", "--register",
                        "madvise") for _ in range(5)]
    for name, value in (("pages_to_scan", 5000), ("sleep_millisecs", 10),
                        ("run", 1)):
        harness.ksm_write(name, value)
    harness.wait_for(lambda: harness.ksm("stable_node_chains") >= 256, 60,
                     "a copy for each two")
    must_have(explaining.host(several[0].pid), "max-page-sharing",
              "256 contents", "max_page_sharing is 2")
    for p in several:
        p.stop()
    harness.settle()            # the knob can be put back then


def names_yama(t):
    """There is no way back: the last test of this machine."""
    path = Path("/proc/sys/kernel/yama/ptrace_scope")
    if not path.exists():
        harness.skip("this kernel has no Yama")
    path.write_text("3")
    p = t.target("dup", "--size", "1")
    must_have(explaining.host(p.pid), "yama")
    daemon = t.daemon()
    explaining.wait_reason(daemon, p.pid, "permission")


if __name__ == "__main__":
    vm.run(names_what_is_swapped, names_nodes_that_do_not_merge,
           names_contents_with_many_sharers, names_yama,
           machines=[vm.Machine("6.12", nodes=2, disk_mib=64)])
