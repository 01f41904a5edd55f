#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark can be started, and its manual names all that it measures."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1] / "bench"
MAX_LINES = 500


def main():
    done = subprocess.run([BENCH / "bench.py", "--list"], text=True,
                          capture_output=True)
    names = done.stdout.split()
    if done.returncode or not names:
        why = (done.stderr.strip().splitlines() or ["no names"])[-1]
        print(f"not ok the benchmark has names # {why}")
        return 1
    print(f"ok the benchmark has {len(names)} names")
    text = (BENCH / "README.md").read_text()
    untold = [name for name in names if f"`{name}`" not in text]
    print(f"not ok README.md tells of each # not of {', '.join(untold)}"
          if untold else "ok README.md tells of each")
    long = [path.name for path in BENCH.rglob("*.py")
            if len(path.read_text().splitlines()) > MAX_LINES]
    print(f"not ok no file above {MAX_LINES} lines # {', '.join(long)}"
          if long else f"ok no file above {MAX_LINES} lines")
    return int(bool(untold or long))


if __name__ == "__main__":
    sys.exit(main())
