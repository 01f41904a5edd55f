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

What came out is kept in matrix.json in the build directory, test by test: who
was interrupted goes on where it was, what failed is tried again, and the
table is of all that was ever tried. Several kernels can be run at a time. A
result counts for the programs and the script that gave it; of others it is
shown, with a ~, and tried again.
MATRIX_AGAIN=1 forgets everything that is asked for; after MATRIX_SECONDS=N
nothing more is begun, for those who share the machine.
"""

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import harness

HERE = Path(__file__).resolve().parent
WITHOUT = harness.BUILD / "tests/targets/without"
KEPT = harness.BUILD / "matrix.json"
RUNNING = "running"
GUESTS = ("6.1", "6.12")
GUEST_MIB = 3072
GUEST_SLOW = 20                 # emulated, that is
GUEST_SECONDS = 6 * 3600
# What tests want there, besides what every guest has.
GUEST_FILES = ("etc", "man", "daemon/base/reasons.c",
               "tests/unit/sense/vmas.c")
GUEST_PROGRAMS = ("cat", "cp", "grep", "mount", "nsenter", "prlimit", "sleep",
                  "true", "umount", "unshare")
NOTHING = "-"
NOT_HERE = 77

# By a filter, which takes "seccomp" away as well.
FILTERED = {"pagemap-scan", "process-madvise", "bpf", "seccomp"}
FEATURES = (NOTHING, "pagemap-scan", "process-madvise", "bpf", "seccomp",
            "psi", "kcore", "kpageflags", "ksm-files",
            "pagemap-scan,bpf,psi,kpageflags,ksm-files")
PROGRAMS = ("restore", "reading", "merge", "ctl", "huge", "refusals",
            "hostile", "kills", "plan", "explain", "doctor", "accounts",
            "state", "launch", "metrics", "hints", "privileges", "privacy",
            "watchdog", "attack",
            "heirs", "locked")
LEFT_OUT = {
    "abuse": "takes minutes (ABUSE_SECONDS)",
    "bus": "wants dbus-daemon and polkit; libsystemd is not the kernel",
    "disks": "wants the machines of guests.py",
    "dsa": "wants a device; without one it is about an imitation",
    "examples": "is about the manual pages",
    "faults": "takes hours (make faults)",
    "guests": "boots guests, which in a guest are too slow",
    "matrix": "is this",
    "soak": "takes hours (make soak)",
    "strangers": "is about what is printed",
    "stressors": "takes minutes (make stress)",
    "top": "wants tmux; what it shows is ksmd-plusctl's",
}
# In CI: what each feature is for, once.
QUICK = {
    "pagemap-scan": {"restore": ("sigterm_puts_everything_back",),
                     "huge": ("little_is_not_worth_a_huge_page",)},
    "ksm-files": {"restore": ("foreign_writers_are_respected",)},
    "pagemap-scan,bpf,psi,kpageflags,ksm-files": {
        "reading": ("a_vast_mapping_costs_nothing",)},
}
LINE = re.compile(r"^(not )?ok (.*?)(?: # (SKIP )?(.*))?$")
CELL = "# cell "


@functools.cache
def version_of(program):
    """Changes with our programs, the test's script and its harness."""
    digest = hashlib.sha256()
    for path in (harness.BUILD / "ksmd-plus",
                 harness.BUILD / "ksmd-plus-injector",
                 harness.BUILD / "ksmd-plusctl", HERE / f"{program}.py",
                 HERE / "harness.py"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@dataclasses.dataclass
class Cell:
    """What became of one program."""
    tests: dict = dataclasses.field(default_factory=dict)   # name: [what, why]
    version: str = ""
    whole: bool = False         # all of its tests were tried
    there: bool = True          # the feature that was to be taken away

    def count(self, what):
        return sum(verdict == what for verdict, _ in self.tests.values())

    def failed(self):
        return [f"{name}: {why}" for name, (what, why) in self.tests.items()
                if what == "failed"]

    def is_done(self, program, tests):
        """Whether nothing of @tests, none for all, is to be tried again."""
        names = {name.replace("_", " ") for name in tests}
        return self.version == version_of(program) and not self.failed() and \
            (self.whole or bool(names) and names <= self.tests.keys())

    def join(self, older):
        """What @older knows and this does not."""
        if older and older.version == self.version:
            self.whole |= older.whole
            self.tests = {**older.tests, **self.tests}
        return self

    def text(self, program):
        if not self.there:
            return "."
        failed, skipped = self.count("failed"), self.count("skipped")
        old = "" if self.version == version_of(program) else "~"
        if failed:
            return f"{old}{failed} FAILED"
        return f"{old}{self.count('passed')}" + \
            (f"+{skipped}" if skipped else "")


class Results:
    """{(kernel, feature, program): Cell}, as a file between two runs. Others,
    of another kernel, may write to it, too."""

    def __init__(self, path):
        self.path, self.cells = path, {}
        self._read()

    def _read(self):
        if self.path and self.path.exists():
            self.cells = {tuple(key.split(" ")): Cell(**value) for key, value
                          in json.loads(self.path.read_text()).items()}

    def _write(self):
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({" ".join(k): dataclasses.asdict(c)
                                   for k, c in self.cells.items()}))
        new.rename(self.path)

    def take(self, key, cell):
        if not self.path:
            self.cells[key] = cell
            return
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            self.cells[key] = cell.join(self.cells.get(key))
            self._write()

    def missing(self, kernel, plan):
        """What of @plan is still to be done."""
        left = {}
        for feature, programs in plan.items():
            for program, tests in programs.items():
                cell = self.cells.get((kernel, feature, program))
                if "MATRIX_AGAIN" in os.environ or not cell or \
                   not cell.is_done(program, tests):
                    left.setdefault(feature, {})[program] = tests
        return left


def words(name, default):
    return tuple(os.environ.get(name, "").split()) or default


def wanted_plan():
    """{feature: {program: tests, none for all}}"""
    if "MATRIX" not in os.environ:
        return QUICK
    programs = {}
    for word in words("MATRIX_PROGRAMS", PROGRAMS):
        name, _, tests = word.partition(":")
        programs[name] = tuple(filter(None, tests.split(",")))
    return {feature: programs
            for feature in words("MATRIX_FEATURES", FEATURES)}


def command(feature, program, tests):
    """What runs @program, and with which environment."""
    argv = [str(HERE / f"{program}.py"), *tests]
    env = {**os.environ, "TEST_FAST": "1", "TEST_LOCKED": "1"}
    features = [] if feature == NOTHING else feature.split(",")
    calls = ",".join(f for f in features if f in FILTERED)
    files = ",".join(f for f in features if f not in FILTERED)
    if calls:
        env["TEST_UNDER"] = f"{WITHOUT} {calls}"
    if files:
        argv = [str(WITHOUT), files, *argv]
    return argv, env


def lines_of(process):
    """What it says; it does not outlive us."""
    try:
        yield from process.stdout
    finally:
        if process.poll() is None:
            process.terminate()     # and it ends what it has started
        process.wait()


def run_program(feature, program, tests):
    """One cell; what failed is shown with all that was said before it."""
    argv, env = command(feature, program, tests)
    cell, said = Cell(version=version_of(program)), []
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=env,
                               stdout=subprocess.PIPE, errors="replace",
                               stderr=subprocess.STDOUT, text=True)
    with contextlib.closing(lines_of(process)) as lines:
        for line in lines:
            line = line.rstrip("\n")
            said.append(line)
            match = LINE.match(line)
            if not match:
                continue
            cell.tests[match[2]] = ("failed" if match[1] else
                                    "skipped" if match[3] else "passed",
                                    match[4] or "")
            for old in said[-40:] if match[1] else [line]:
                print(f"# | {old}", flush=True)
            said = []
    status = process.returncode
    cell.there = status != NOT_HERE or cell.count("passed") > 0
    cell.whole = not tests
    if status not in (0, NOT_HERE) and not cell.failed():
        cell.tests["the program"] = ("failed",
                                     f"exit status {status}: {said[-3:]}")
    return cell


def run_plan(kernel, plan, results):
    """All of @plan on this machine, which may be a guest."""
    end = time.monotonic() + float(os.environ.get("MATRIX_SECONDS", "inf"))
    for feature, programs in plan.items():
        for program, tests in programs.items():
            if time.monotonic() > end:
                return
            cell = run_program(feature, program, tests)
            key = (kernel, feature, program)
            results.take(key, cell)
            if "MATRIX_PLAN" in os.environ:
                print(CELL + json.dumps([key, dataclasses.asdict(cell)]),
                      flush=True)
            without = "" if feature == NOTHING else f" without {feature}"
            name = f"{kernel}{without}: {program}"
            if not cell.there:
                print(f"ok {name} # SKIP it cannot be taken away here",
                      flush=True)
            elif cell.failed():
                print(f"not ok {name} # {'; '.join(cell.failed())}",
                      flush=True)
            else:
                print(f"ok {name}", flush=True)


def run_locked(plan, results):
    with open(harness.LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run_plan(RUNNING, plan, results)


def guest_files(shutil):
    """{path there: path here}"""
    files = {f"usr/bin/{name}": shutil.which(name) for name in GUEST_PROGRAMS
             if shutil.which(name)}
    for name in GUEST_FILES:
        path = harness.TOP / name
        files |= {f"ksmd-plus/{p.relative_to(harness.TOP)}": p
                  for p in (path.rglob("*") if path.is_dir() else (path,))
                  if p.is_file()}
    return files


def run_guest(kernel, plan, results):
    """@plan in a guest, which tells of each program; False if it ended."""
    sys.path.insert(0, str(HERE.parent / "vm"))
    import vm                           # qemu and kernels, only if asked for

    def show(line):
        if line.startswith(CELL):
            key, cell = json.loads(line[len(CELL):])
            results.take(tuple(key), Cell(**cell))
        else:
            print(line, flush=True)

    script = Path(__file__).resolve().relative_to(harness.TOP)
    try:
        ended = vm.boot(
            vm.Machine(kernel, cpus=2, memory_mib=GUEST_MIB),
            [vm.PYTHON, script], seconds=GUEST_SECONDS, show=show,
            files=guest_files(vm.shutil),
            env={"MATRIX": kernel, "MATRIX_PLAN": json.dumps(plan),
                 "TEST_SLOW": str(GUEST_SLOW)})
    except vm.kernels.Unavailable as e:
        print(f"ok {kernel} # SKIP {e}", flush=True)
        return True
    if ended.status is None:
        ended.show(kernel)
    return ended.status is not None


def show_table(cells):
    """Kernels and features down, programs across; then what was skipped."""
    programs = [p for p in PROGRAMS if any(p == key[2] for key in cells)]
    rows = [(kernel, feature) for kernel in (RUNNING, *GUESTS)
            for feature in dict.fromkeys((*FEATURES, *(k[1] for k in cells)))
            if any((kernel, feature) == key[:2] for key in cells)]
    print("#\n# tests passed (+ skipped); . the feature is not there anyway; "
          "~ of older programs")
    print(f"# {'kernel':<8}{'without':<42}", *(f"{p:>9}" for p in programs))
    for kernel, feature in rows:
        texts = (cells[kernel, feature, p].text(p)
                 if (kernel, feature, p) in cells else "" for p in programs)
        print(f"# {kernel:<8}{feature:<42}", *(f"{text:>9}" for text in texts))
    skipped = {}
    for (kernel, _, program), cell in cells.items():
        for name, (what, why) in cell.tests.items():
            if what == "skipped":
                skipped.setdefault((program, name, why), set()).add(kernel)
    for (program, name, why), kernels in skipped.items():
        print(f"# skipped on {', '.join(sorted(kernels))}: {program}, {name}: "
              f"{why}")
    for program, why in LEFT_OUT.items():
        print(f"# left out: {program}: it {why}")
    counts = {what: sum(cell.count(what) for cell in cells.values())
              for what in ("passed", "skipped", "failed")}
    print(f"# {len({k[0] for k in cells})} kernels, {len(cells)} programs run,"
          f" tests: " + ", ".join(f"{n} {what}" for what, n in counts.items()),
          flush=True)


def nothing_is_forgotten():
    """Every program of this folder is in one of the two lists."""
    there = {path.stem for path in HERE.glob("*.py")
             if os.access(path, os.X_OK)}
    wrong = there ^ {*PROGRAMS, *LEFT_OUT}
    print("not ok" if wrong else "ok", "every program is tried or left out",
          f"# {' '.join(sorted(wrong))}" if wrong else "", flush=True)
    return not wrong


def main():
    if "MATRIX_PLAN" in os.environ:     # in a guest
        run_plan(os.environ["MATRIX"], json.loads(os.environ["MATRIX_PLAN"]),
                 Results(None))
        return
    def stop(number, frame):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    wanted = os.environ.get("MATRIX", RUNNING)
    kernels = (RUNNING, *GUESTS) if wanted == "all" else (wanted,)
    results = Results(KEPT if "MATRIX" in os.environ else None)
    good = nothing_is_forgotten()
    for kernel in kernels:
        plan = results.missing(kernel, wanted_plan())
        if plan and kernel == RUNNING:
            run_locked(plan, results)
        elif plan:
            good &= run_guest(kernel, plan, results)
    show_table(results.cells)
    sys.exit(not good or any(cell.failed()
                             for cell in results.cells.values()))


if __name__ == "__main__":
    main()
