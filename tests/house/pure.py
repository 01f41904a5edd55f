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

# Whatever decide may call: memory (mmap of anonymous memory included, for
# tables that grow), strings, sorting, arithmetic.
MAY_CALL = {
    "mmap", "mremap", "munmap", "madvise", "malloc", "calloc", "realloc", "reallocarray",
    "free", "abort",
    "memcpy", "memmove", "memset", "memcmp", "memchr", "memrchr",
    "strcmp", "strncmp", "strlen", "strnlen", "strdup", "strndup", "strchr",
    "strrchr", "strcasecmp", "strstr", "stpcpy", "snprintf", "fnmatch",
    "qsort", "qsort_r", "bsearch",
    "utf8_clean",               # of base, text to text
    "sqrt", "log", "log1p", "log2", "exp", "exp2", "expm1", "pow", "round",
    "lround", "llround", "ceil", "floor", "fmin", "fmax", "fabs",
}
# What the compiler and libc's headers put in by themselves.
MAY_CALL_RESERVED = {
    "__assert_fail", "__stack_chk_fail", "__snprintf_chk", "__memcpy_chk",
    "__errno_location", "_GLOBAL_OFFSET_TABLE_", "__popcountdi2",
    "__udivti3",
}
# Constants that hold pointers are written once, by the loader.
READ_ONLY = ("*UND*", "*ABS*", ".text", ".rodata", ".data.rel.ro", ".eh_frame",
             ".debug", ".note", ".comment")


def symbols(archive):
    """(name, section) of every symbol of the archive's members."""
    text = subprocess.run(["nm", "-f", "sysv", str(archive)], check=True,
                          capture_output=True, text=True).stdout
    for line in text.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 7 and fields[0] != "Name":
            yield fields[0], fields[6]


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
    own = {name for name, section in found if section != "*UND*"}
    calls = {name for name, section in found if section == "*UND*"} - own
    writable = {name for name, section in found
                if not section.startswith(READ_ONLY)}
    failed = report("decide calls only functions of values",
                    calls - MAY_CALL - MAY_CALL_RESERVED)
    failed |= report("decide owns no variables", writable)
    return failed


if __name__ == "__main__":
    sys.exit(main())
