#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon at work on the kernels that Debian has."""

from pathlib import Path

import vm
from vm import harness

N = 3
SIZE_MIB = 8
DUPLICATES = SIZE_MIB * 256 // 4        # of each target, by its default


def the_machine_is_as_tests_want_it(t):
    harness.check(Path("/sys/kernel/btf/vmlinux").exists(), "no BTF")
    for where in ("debug", "tracing"):
        harness.check(any(Path("/sys/kernel", where).iterdir()),
                      f"no {where} filesystem")
    mounts = Path("/proc/mounts").read_text()
    for kind in ("bpf", "cgroup2", "ext4"):
        harness.check(f" {kind} rw" in mounts, f"no {kind} is mounted")
    for node in range(2):
        folder = Path(f"/sys/devices/system/node/node{node}")
        harness.check((folder / "cpulist").read_text() == f"{node}\n",
                      f"the CPUs of node {node}")
        harness.check("MemTotal" in (folder / "meminfo").read_text(),
                      f"the memory of node {node}")


def finds_and_merges_duplicates(t):
    targets = [t.target("dup", "--size", str(SIZE_MIB), "--id", str(i))
               for i in range(N)]
    daemon = t.daemon(t.config())
    harness.wait_for(
        lambda: harness.ksm("pages_sharing") >= (N - 1) * DUPLICATES, 120,
        "merging of all duplicates")
    harness.check(daemon.terminate() == 0, "the daemon's exit status")
    for target in targets:
        target.intact()
        target.finish()


if __name__ == "__main__":
    vm.run(the_machine_is_as_tests_want_it, finds_and_merges_duplicates,
           machines=[vm.Machine(kernel, nodes=2, disk_mib=16)
                     for kernel in ("6.1", "6.12")])
