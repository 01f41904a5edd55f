#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""C files have the shape of .clang-format.

Only clang-format 14 is asked: other versions lay out a few constructs in
another way, and one shape is the point.
"""

import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
FOLDERS = ("include", "bpf", "daemon", "tests")


def main():
    program = shutil.which("clang-format-14")
    if not program:
        print("ok format # SKIP clang-format 14 is not installed")
        return 0
    files = sorted(p for folder in FOLDERS for suffix in ("c", "h")
                   for p in (TOP / folder).rglob(f"*.{suffix}"))
    failed = 0
    for path in files:
        done = subprocess.run([program, "--dry-run", "-Werror", str(path)],
                              capture_output=True, text=True)
        name = path.relative_to(TOP)
        if done.returncode:
            print(f"not ok {name} # run clang-format-14 -i {name}")
            failed = 1
    if not failed:
        print(f"ok {len(files)} files")
    return failed


if __name__ == "__main__":
    sys.exit(main())
