#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""decide is pure: no I/O, no clock, nothing that outlives a call.

Read off its objects: which functions they call from outside their layer, and
whether they own memory that can be written to.
"""

import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KSMD_PLUS_BUILD", TOP / "build"))

# Whatever decide may call: memory, strings, sorting, arithmetic. What the
# compiler puts in by itself begins with an underscore, but for the few below.
MAY_CALL = {
    "malloc", "calloc", "realloc", "reallocarray", "free", "abort",
    "memcpy", "memmove", "memset", "memcmp", "memchr", "memrchr",
    "strcmp", "strncmp", "strlen", "strnlen", "strdup", "strndup", "strchr",
    "strrchr", "strcasecmp", "strstr", "stpcpy", "snprintf", "fnmatch",
    "qsort", "qsort_r", "bsearch",
    "sqrt", "log", "log1p", "log2", "exp", "exp2", "expm1", "pow", "round",
    "lround", "llround", "ceil", "floor", "fmin", "fmax", "fabs",
}
MAY_CALL_RESERVED = {
    "__assert_fail", "__stack_chk_fail", "__snprintf_chk", "__memcpy_chk",
    "__errno_location", "_GLOBAL_OFFSET_TABLE_", "__popcountdi2",
}
WRITABLE = "BbDdCGgSs"


def symbols(archive):
    """(type, name) of every symbol of the archive's members."""
    text = subprocess.run(["nm", "-P", str(archive)], check=True,
                          capture_output=True, text=True).stdout
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and not line.endswith(":"):
            yield words[1], words[0]


def report(title, found):
    if found:
        print(f"not ok {title} # {' '.join(sorted(found))}")
    else:
        print(f"ok {title}")
    return bool(found)


def main():
    archive = BUILD / "libdecide.a"
    if not archive.exists():
        print(f"not ok decide # {archive} is not built")
        return 1
    found = list(symbols(archive))
    own = {name for kind, name in found if kind != "U"}
    calls = {name for kind, name in found if kind == "U"} - own
    writable = {name for kind, name in found if kind in WRITABLE}
    failed = report("decide calls only functions of values",
                    calls - MAY_CALL - MAY_CALL_RESERVED)
    failed |= report("decide owns no variables", writable)
    return failed


if __name__ == "__main__":
    sys.exit(main())
