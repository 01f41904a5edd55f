# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that holds memory of a known kind; started by plan.py.

	content.py NAME KIND MIB [ID]

KIND is one of
	unique		nothing is equal to anything
	inside		the same MiB again and again
	fork		unique, and shared with a child
	volatile	equal for every ID, but half of it is written all the time
	hidden		equal for every ID, not to be dumped
Prints "ready", and ends with its input.
"""

import ctypes
import mmap
import os
import random
import select
import signal
import sys

PAGE = mmap.PAGESIZE
MIB = 1 << 20
PR_SET_PDEATHSIG = 1


def memory(mib):
    m = mmap.mmap(-1, mib * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    m.madvise(mmap.MADV_NOHUGEPAGE)
    return m


def fill(m, mib, seed):
    source = random.Random(seed)
    for i in range(mib):
        m[i * MIB:(i + 1) * MIB] = source.randbytes(MIB)


def ended(seconds=None):
    return select.select([sys.stdin], [], [], seconds)[0]


def rewrite(m, first, number, tag):
    """Make each page from @first on another one, in every process."""
    for at in range(first, len(m), PAGE):
        m[at:at + 16] = (number << 64 | tag).to_bytes(16, "little")


def main():
    name, kind, mib, tag = (sys.argv[1:] + ["0"])[:4]
    mib, tag = int(mib), int(tag)
    with open("/proc/self/comm", "wb") as f:
        f.write(name.encode().decode("unicode_escape").encode("latin-1"))
    m = memory(mib)
    if kind == "inside":
        block = random.Random(os.getpid()).randbytes(MIB)
        for i in range(mib):
            m[i * MIB:(i + 1) * MIB] = block
    else:
        fill(m, mib, 1 if kind in ("volatile", "hidden") else os.getpid())
    if kind == "hidden":
        m.madvise(mmap.MADV_DONTDUMP)
    if kind == "fork" and os.fork() == 0:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 9)
        while True:
            signal.pause()
    number = 0
    if kind == "volatile":
        rewrite(m, len(m) // 2, number, tag)
    print("ready", flush=True)
    while kind == "volatile" and not ended(0.1):
        number += 1
        rewrite(m, len(m) // 2, number, 0)
    ended()


if __name__ == "__main__":
    main()
