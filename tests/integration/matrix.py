#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The same tests without what this kernel offers, and on Debian's kernels.

Every fast path has a fallback. Here each is forced: the programs of this
folder run unchanged, under tests/targets/without, which takes one feature away
(by a seccomp filter, or a mount of its own). A filter is for our programs
alone: targets under one could not be enrolled, for there is no suspending it
by who is under one, too. At the end stands a table of
kernels, features and programs: how many tests have passed.

In CI a small part of it runs, on the running kernel. MATRIX=running is all of
it on this kernel, MATRIX=6.1 and 6.12 are guests with that kernel, MATRIX=all
is everything, for some hours (make matrix). MATRIX_FEATURES and
MATRIX_PROGRAMS, lists of words, are for a part of that; restore:NAME,NAME is
two tests of one program.
"""

import dataclasses
import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import harness

HERE = Path(__file__).resolve().parent
WITHOUT = harness.BUILD / "tests/targets/without"
RUNNING = "running"
GUESTS = ("6.1", "6.12")
GUEST_MIB = 3072
GUEST_SLOW = 20                 # emulated, that is
GUEST_SECONDS = 6 * 3600
NOTHING = "-"
NOT_HERE = 77

# By a filter, which takes "seccomp" away as well.
FILTERED = {"pagemap-scan", "process-madvise", "bpf", "seccomp"}
FEATURES = (NOTHING, "pagemap-scan", "process-madvise", "bpf", "seccomp",
            "psi", "kcore", "kpageflags", "ksm-files",
            "pagemap-scan,bpf,psi,kpageflags,ksm-files")
PROGRAMS = ("restore", "reading", "merge", "ctl", "huge", "refusals",
            "hostile", "kills")
# In CI: what each feature is for, once.
QUICK = {
    "pagemap-scan": {"restore": ("sigterm_puts_everything_back",)},
    "ksm-files": {"restore": ("foreign_writers_are_respected",)},
    "pagemap-scan,bpf,psi,kpageflags,ksm-files": {
        "reading": ("a_vast_mapping_costs_nothing",)},
}
LINE = re.compile(r"^(not )?ok (.*?)(?: # (SKIP )?(.*))?$")


@dataclasses.dataclass
class Cell:
    """What became of one program."""
    passed: int = 0
    skipped: int = 0
    failed: list = dataclasses.field(default_factory=list)
    there: bool = True          # the feature that was to be taken away

    def text(self):
        if not self.there:
            return "."
        if self.failed:
            return f"{len(self.failed)} FAILED"
        return f"{self.passed}" + (f"+{self.skipped}" if self.skipped else "")


def words(name, default):
    return tuple(os.environ.get(name, "").split()) or default


def plan():
    """{feature: {program: tests, none for all}}"""
    if "MATRIX" not in os.environ:
        return QUICK
    programs = {}
    for word in words("MATRIX_PROGRAMS", PROGRAMS):
        name, _, tests = word.partition(":")
        programs[name] = tuple(filter(None, tests.split(",")))
    return {feature: programs
            for feature in words("MATRIX_FEATURES", FEATURES)}


def run_program(feature, program, tests):
    """One cell; what failed is shown with all that was said before it."""
    argv = [str(HERE / f"{program}.py"), *tests]
    env = {**os.environ, "TEST_FAST": "1", "TEST_LOCKED": "1"}
    features = [] if feature == NOTHING else feature.split(",")
    calls = ",".join(f for f in features if f in FILTERED)
    files = ",".join(f for f in features if f not in FILTERED)
    if calls:
        env["TEST_UNDER"] = f"{WITHOUT} {calls}"
    if files:
        argv = [str(WITHOUT), files, *argv]
    cell, said = Cell(), []
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=env,
                               stdout=subprocess.PIPE, errors="replace",
                               stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        line = line.rstrip("\n")
        said.append(line)
        match = LINE.match(line)
        if not match:
            continue
        if match[1]:
            cell.failed.append(f"{match[2]}: {match[4]}")
        elif match[3]:
            cell.skipped += 1
        else:
            cell.passed += 1
        for old in said[-40:] if match[1] else [line]:
            print(f"# | {old}", flush=True)
        said = []
    status = process.wait()
    cell.there = status != NOT_HERE or cell.passed > 0
    if status not in (0, NOT_HERE) and not cell.failed:
        cell.failed.append(f"exit status {status}: {said[-3:]}")
    return cell


def name_of(kernel, feature, program):
    without = "" if feature == NOTHING else f" without {feature}"
    return f"{kernel}{without}: {program}"


def run_kernel(kernel):
    """All that is planned, here; {(feature, program): Cell}"""
    with open(harness.LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return run_planned(kernel)


def run_planned(kernel):
    cells = {}
    for feature, programs in plan().items():
        for program, tests in programs.items():
            cell = cells[feature, program] = run_program(feature, program,
                                                         tests)
            name = name_of(kernel, feature, program)
            if not cell.there:
                print(f"ok {name} # SKIP it cannot be taken away here",
                      flush=True)
            elif cell.failed:
                print(f"not ok {name} # {'; '.join(cell.failed)}", flush=True)
            else:
                print(f"ok {name} # {cell.passed} passed, {cell.skipped} "
                      f"skipped", flush=True)
    return cells


def run_guest(kernel):
    """The same in a guest: its lines say what became of each program."""
    sys.path.insert(0, str(HERE.parent / "vm"))
    import vm                           # qemu and kernels, only if asked for
    cells = {}
    names = {name_of(kernel, f, p): (f, p)
             for f, programs in plan().items() for p in programs}

    def show(line):
        print(line, flush=True)
        match = LINE.match(line)
        if match and match[2] in names:
            counts = re.match(r"(\d+) passed, (\d+) skipped", match[4] or "")
            cells[names[match[2]]] = Cell(
                *(map(int, counts.groups()) if counts else ()),
                failed=[match[4]] if match[1] else [], there=not match[3])

    env = {name: os.environ[name] for name in
           ("MATRIX_FEATURES", "MATRIX_PROGRAMS") if name in os.environ}
    script = Path(__file__).resolve().relative_to(harness.TOP)
    try:
        ended = vm.boot(
            vm.Machine(kernel, cpus=2, memory_mib=GUEST_MIB),
            [vm.PYTHON, script], seconds=GUEST_SECONDS, show=show,
            env={**env, "MATRIX": kernel, "MATRIX_INSIDE": "1",
                 "TEST_SLOW": str(GUEST_SLOW)})
    except vm.kernels.Unavailable as e:
        print(f"ok {kernel} # SKIP {e}", flush=True)
        return {}
    if ended.status is None:
        print(f"# console: {ended.console[-500:]!r}")
        print(f"not ok {kernel} # it ended before the tests did", flush=True)
        cells[NOTHING, "the guest"] = Cell(failed=["ended"])
    return cells


def show_table(results):
    """Kernels and features down, programs across."""
    programs = list(dict.fromkeys(p for cells in results.values()
                                  for _, p in cells))
    print("#\n# tests passed (+ skipped); . the feature is not there anyway")
    print(f"# {'kernel':<8} {'without':<42}",
          *(f"{p:>9}" for p in programs))
    for kernel, cells in results.items():
        for feature in dict.fromkeys(f for f, _ in cells):
            row = (cells[feature, p].text() if (feature, p) in cells else ""
                   for p in programs)
            print(f"# {kernel:<8} {feature:<42}",
                  *(f"{text:>9}" for text in row), flush=True)


def main():
    wanted = os.environ.get("MATRIX", RUNNING)
    kernels = (RUNNING, *GUESTS) if wanted == "all" else (wanted,)
    if os.environ.get("MATRIX_INSIDE"):
        run_kernel(wanted)
        return
    results = {kernel: run_kernel(kernel) if kernel == RUNNING
               else run_guest(kernel) for kernel in kernels}
    show_table(results)
    sys.exit(any(cell.failed for cells in results.values()
                 for cell in cells.values()))


if __name__ == "__main__":
    main()
