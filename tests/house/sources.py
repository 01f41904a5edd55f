#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The house rules that can be checked by reading the files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]

# Where absolute paths begin: the one that opens the roots, and the program
# that people run by hand.
PATH_OWNERS = ("daemon/base/files.c", "daemon/ctl/")
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60


def tracked():
    """The project's files: those that git knows or would add, or all of a
    copy that has no git."""
    if shutil.which("git") and (TOP / ".git").exists():
        names = subprocess.run(
            ["git", "-C", str(TOP), "ls-files", "-co", "--exclude-standard"],
            check=True, capture_output=True, text=True).stdout.splitlines()
    else:
        names = [str(p.relative_to(TOP)) for p in TOP.rglob("*")
                 if p.relative_to(TOP).parts[0] not in ("build", ".git")]
    return sorted(n for n in names if (TOP / n).is_file())


def c_files(names):
    return [n for n in names if n.endswith((".c", ".h"))]


def code_files(names):
    """Files that are instructions, by their name or their first line."""
    for name in names:
        if name.endswith((".c", ".h", ".py", ".sh")) or name == "Makefile":
            yield name
        elif "." not in Path(name).name or name.startswith(".ci/"):
            with open(TOP / name, "rb") as f:
                if f.read(2) == b"#!":
                    yield name


def lines(name):
    return (TOP / name).read_text().splitlines()


def spdx(names):
    for name in code_files(names):
        if not any("SPDX-License-Identifier: GPL-2.0-or-later" in line
                   for line in lines(name)[:2]):
            yield f"{name}: no SPDX line at its head"


def head_comment(names):
    """A module's reason may stand in its header alone; a unit test's is the
    module of the same path."""
    for name in c_files(names):
        header = Path(name).with_suffix(".h")
        if name.startswith("tests/unit/") or \
           name.endswith(".c") and str(header) in names:
            continue
        if not any(line.startswith("/*") for line in lines(name)[1:3]):
            yield f"{name}: no comment at its head says why it exists"


def pragma_once(names):
    for name in c_files(names):
        if name.endswith(".h") and "#pragma once" not in lines(name):
            yield f"{name}: no #pragma once"


def upward_includes(names):
    for name in c_files(names):
        for n, line in enumerate(lines(name), 1):
            if re.match(r'\s*#\s*include\s*["<]\.\./', line):
                yield f"{name}:{n}: includes by a path upwards"


def absolute_paths(names):
    for name in c_files(names):
        if not name.startswith("daemon/") or name.startswith(PATH_OWNERS):
            continue
        for n, line in enumerate(lines(name), 1):
            if re.search(r'"/(proc|sys)[/"]', line):
                yield f"{name}:{n}: an absolute path"


def file_lengths(names):
    for name in c_files(names):
        if name.startswith("tests/"):
            continue
        n = len(lines(name))
        if n > MAX_FILE_LINES:
            yield f"{name}: {n} lines"


def function_lengths(names):
    """A function begins with a { alone in the first column."""
    for name in c_files(names):
        start = None
        for n, line in enumerate(lines(name), 1):
            if line == "{":
                start = n
            elif line == "}" and start:
                if n - start - 1 > MAX_FUNCTION_LINES:
                    yield f"{name}:{start}: {n - start - 1} lines"
                start = None


def whitespace(names):
    for name in code_files(names):
        text = (TOP / name).read_text()
        if text and not text.endswith("\n"):
            yield f"{name}: no newline at its end"
        for n, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip():
                yield f"{name}:{n}: white space at its end"


CHECKS = {
    "every file names its licence": spdx,
    "every module begins with its reason": head_comment,
    "headers are included once": pragma_once,
    "no include by a path upwards": upward_includes,
    "no absolute path to /proc or /sys": absolute_paths,
    f"no module above {MAX_FILE_LINES} lines": file_lengths,
    f"no function above {MAX_FUNCTION_LINES} lines": function_lengths,
    "no white space at line ends": whitespace,
}


def main():
    failed = 0
    names = tracked()
    for title, check in CHECKS.items():
        found = list(check(names))
        for complaint in found:
            print(f"# {complaint}")
        print(f"not ok {title} # {len(found)} found" if found
              else f"ok {title}")
        failed |= bool(found)
    return failed


if __name__ == "__main__":
    sys.exit(main())
