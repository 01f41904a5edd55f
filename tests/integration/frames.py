# SPDX-License-Identifier: GPL-2.0-or-later
"""An account of processes' memory that owes nothing to the daemon.

Which anonymous pages are present, in how many page frames they lie, and how
many frames would be saved if all equal pages were one: by pagemap and by
reading every page through /proc/PID/mem, which disturbs no sharing.
"""

import contextlib
import ctypes
import mmap
import re
from array import array
from collections import Counter

PAGE = mmap.PAGESIZE
PRESENT = 1 << 63
FILE = 1 << 61                  # of a file, or shared memory
PFN = (1 << 55) - 1
ZERO = hash(bytes(PAGE))
STEP = 512                      # pages that are looked at together

# What KSM never merges, by the kernel's own rule or by ours.
NEVER = re.compile(r"^VmFlags:.* (sh|ms|io|pf|dd|wf|lo|ht|mm) ", re.M)
REGISTERED = re.compile(r"^VmFlags:.* mg ", re.M)
RANGE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)$", re.M)


def mappings(pid, registered):
    """(first page, one past the last) of what could be merged, or only of
    what is registered with KSM."""
    with open(f"/proc/{pid}/smaps") as f:
        text = f.read()
    heads = list(RANGE.finditer(text))
    ends = [m.start() for m in heads[1:]] + [len(text)]
    for head, end in zip(heads, ends):
        if head[3].startswith(("[stack", "[v")) or \
           NEVER.search(text, head.end(), end) or \
           registered and not REGISTERED.search(text, head.end(), end):
            continue
        yield int(head[1], 16) // PAGE, int(head[2], 16) // PAGE


def pages(pid, registered=False):
    """(page number, frame number) of every anonymous page that is present,
    in lists of neighbours from one mapping."""
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for first, end in mappings(pid, registered):
            for start in range(first, end, STEP):
                n = min(STEP, end - start)
                pagemap.seek(start * 8)
                entries = array("Q")
                entries.frombytes(pagemap.read(n * 8))
                found = [(start + i, e & PFN) for i, e in enumerate(entries)
                         if e & PRESENT and not e & FILE]
                if found:
                    yield found


def saved(whole=(), registered=()):
    """Anonymous pages present in the processes @whole and in what the
    processes @registered have registered, and distinct frames that they lie
    in; the zero page, which is nobody's, is not a frame."""
    counts = Counter()
    for pid, only in each(whole, registered):
        for found in pages(pid, only):
            counts.update(frame for _, frame in found)
    zero = zero_frame()
    return sum(counts.values()), len(counts) - (zero in counts)


def mapped(pids):
    """The frames of what the processes have registered, but for the zero
    page."""
    found = {frame for pid in pids for neighbours in pages(pid, True)
             for _, frame in neighbours}
    return found - {zero_frame()}


def each(whole, registered):
    yield from ((pid, False) for pid in whole)
    yield from ((pid, True) for pid in registered)


def zero_frame():
    """The frame of the kernel's zero page: what an untouched page reads."""
    with mmap.mmap(-1, PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as m:
        m.read(1)
        address = address_of(m)
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            pagemap.seek(address // PAGE * 8)
            entry = array("Q")
            entry.frombytes(pagemap.read(8))
    return entry[0] & PFN


def address_of(mapping):
    # A private mapping is writable, which from_buffer() asks for.
    view = ctypes.c_char.from_buffer(mapping)
    address = ctypes.addressof(view)
    del view
    return address


def possible(whole=(), registered=()):
    """How many frames would be saved if all equal pages shared one; zero
    pages need none at all. Pages that share a frame already count once."""
    counts = Counter()
    seen = set()
    for pid, only in each(whole, registered):
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for found in pages(pid, only):
                fresh = [page for page, frame in found
                         if not (frame in seen or seen.add(frame))]
                counts.update(hashes(memory, fresh))
    zero = counts.pop(ZERO, 0)
    return sum(counts.values()) - len(counts) + zero


def hashes(memory, numbers):
    """One 64-bit hash for each page; pages that vanished are left out."""
    at = 0
    while at < len(numbers):
        n = 1
        while at + n < len(numbers) and numbers[at + n] == numbers[at] + n:
            n += 1
        data = b""
        with contextlib.suppress(OSError):
            memory.seek(numbers[at] * PAGE)
            data = memory.read(n * PAGE)
        for offset in range(0, len(data) - PAGE + 1, PAGE):
            yield hash(data[offset:offset + PAGE])
        at += n
