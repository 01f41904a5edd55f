#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon learns by reading others' memory stays with it, and not for
longer than it is needed.

Checksums of known pages are looked for in all that the daemon writes and says,
in every form in which a number may stand there; copies of the pages, in its
memory while it rests. Each search first finds what it looks for where it has
to be."""

import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import time
from pathlib import Path

import harness
from harness import check, wait_for

PAGE = 4096
PAGES = 256
SAMPLE = 16
# A number with as many digits is one by chance nowhere.
DIGITS_MIN = 8


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


def crc32c(data, table=crc32c_table()):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def victims(t):
    """Two processes with the same secrets."""
    return [t.target("guess", "--pages", str(PAGES), "--seed", "7")
            for _ in range(2)]


def secrets_of(victim):
    """Its pages, as they are in its memory."""
    start, end = (int(word, 16) for word in victim.ask("where").split())
    with open(f"/proc/{victim.pid}/mem", "rb", 0) as mem:
        return [os.pread(mem.fileno(), PAGE, a)
                for a in range(start, end, PAGE)]


def merged(targets):
    return all(p.ksm_stat()["ksm_merging_pages"] >= PAGES * 0.99
               for p in targets)


def resting_daemon(t, targets, **how):
    daemon = t.daemon(**how)
    wait_for(lambda: merged(targets), 60, "merging the secrets")
    wait_for(lambda: daemon.status()["state"] == "resting", 60, "rest")
    return daemon


def memory_of(pid):
    """What is private to a process, a piece at a time."""
    with open(f"/proc/{pid}/mem", "rb", 0) as mem, \
         open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            words = line.split()
            if not words[1].startswith("rw"):
                continue
            at, end = (int(word, 16) for word in words[0].split("-"))
            while at < end:
                try:
                    piece = os.pread(mem.fileno(), min(end - at, 8 << 20), at)
                except OSError:
                    break
                if not piece:
                    break
                yield piece
                at += len(piece)


def holds(pid, needles):
    """How many of SAMPLE of @needles are somewhere in its memory."""
    wanted = set(needles[::len(needles) // SAMPLE][:SAMPLE])
    return len({needle for piece in memory_of(pid) for needle in wanted
                if needle in piece})


def forms_of(crc):
    """How it may be written."""
    for value in (crc, crc ^ 0xFFFFFFFF):
        swapped = int.from_bytes(value.to_bytes(4, "little"), "big")
        for number in (value, swapped):
            yield from (f"{number:08x}", str(number), str(2**32 - number))


def numbers_in(text):
    """All that may be a number: hexadecimal, of which decimal is a part."""
    return set(re.findall(r"[0-9a-f]{%d,}" % DIGITS_MIN, text.lower()))


def said_by(t, daemon, pid):
    """{where: text} of all that leaves the daemon."""
    for verb in (["status"], ["list"], ["explain", str(pid)], ["metrics"],
                 ["plan", str(pid)], ["doctor"]):
        for json in ([], ["--json"]):
            done = daemon.ctl(*verb, *json)
            if verb != ["metrics"] or not json:
                check(done.stdout, f"{verb}: {done.stderr}")
            yield " ".join(verb + json), done.stdout + done.stderr
    for path in daemon.run_dir.iterdir():
        if path.is_file():
            yield path.name, path.read_bytes().decode("latin-1")
    yield "log", daemon.log()


def no_checksum_is_told(t):
    targets = victims(t)
    daemon = resting_daemon(t, targets, args=["--debug"])
    crcs = [crc32c(page) for page in secrets_of(targets[0])]
    # As it keeps them, beside one another; so we know that they are right.
    pairs = [struct.pack("<II", a, b) for a, b in zip(crcs, crcs[1:])]
    known = holds(daemon.pid, pairs)
    print(f"# {known} of {SAMPLE} pairs of checksums are in its memory")
    check(known > SAMPLE / 2, "the daemon has other checksums than we")
    forms = {form for crc in crcs for form in forms_of(crc)
             if len(form) >= DIGITS_MIN}
    check(numbers_in(f"a 0x{crcs[0]:08X}, ({crcs[1]:010}) b") & forms,
          "a checksum would not be found")
    n = 0
    for where, text in said_by(t, daemon, targets[0].pid):
        found = numbers_in(text) & forms
        check(not found, f"{where} has {found}")
        raw = text.encode("latin-1", "replace")
        check(not any(pair in raw for pair in pairs), f"{where} has bytes")
        n += len(text)
    check((daemon.run_dir / "ledger").stat().st_size > 0, "no ledger")
    print(f"# {len(forms)} forms of {len(crcs)} checksums in none of {n} "
          "characters")


def copies_do_not_outlive_the_reading(t):
    targets = victims(t)
    daemon = resting_daemon(t, targets)
    needles = [page[2048:2112] for page in secrets_of(targets[0])]
    check(holds(targets[1].pid, needles) >= SAMPLE, "copies are not found")
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
    for pid in [daemon.pid, *map(int, children.read_text().split())]:
        # It reads a few pages now and then; what stays, stays.
        for _ in range(5):
            left = holds(pid, needles)
            if not left:
                break
            time.sleep(0.5)
        check(not left, f"pid {pid} still holds {left} pages")


def dumped_core(process):
    """Abort @process; whether the kernel says that it left a core."""
    os.kill(process.pid, signal.SIGABRT)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -os.WTERMSIG(status)
    return os.WCOREDUMP(status)


def no_core_is_left(t):
    limit = ["prlimit", "--core=unlimited"]
    with open(t.folder / "core-control", "w") as out:
        control = subprocess.Popen([*limit, "sleep", "60"], cwd=t.folder,
                                   stdout=out)
    wait_for(lambda: Path(f"/proc/{control.pid}/comm").read_text() ==
             "sleep\n", 30, "sleep")
    seen = dumped_core(control)
    targets = victims(t)
    daemon = resting_daemon(t, targets, under=limit)
    smaps = Path(f"/proc/{daemon.pid}/smaps").read_text()
    check(" dd" in smaps, "nothing is marked not to be dumped")
    filtered = Path(f"/proc/{daemon.pid}/coredump_filter").read_text()
    check(int(filtered, 16) == 0, f"coredump_filter is {filtered}")
    check(not dumped_core(daemon.process), "a core was dumped")
    if not seen:
        harness.skip("nobody dumps core here: only the settings were checked")


def numbers_of(value):
    """All numbers in what JSON was made of, and in its strings."""
    if isinstance(value, dict):
        value = list(value.values()) + list(value.keys())
    if isinstance(value, list):
        for part in value:
            yield from numbers_of(part)
    elif isinstance(value, str):
        for word in re.findall(r"[0-9a-fA-F]+", value):
            yield int(word, 16)
            if word.isdigit():
                yield int(word)
    elif value is not None:
        yield int(value)


def frames_of(victim):
    start, end = (int(word, 16) for word in victim.ask("where").split())
    with open(f"/proc/{victim.pid}/pagemap", "rb", 0) as pagemap:
        words = os.pread(pagemap.fileno(), (end - start) // PAGE * 8,
                         start // PAGE * 8)
    return {word & (1 << 55) - 1
            for word in struct.unpack(f"<{len(words) // 8}Q", words)}


def a_plan_has_sums_only(t):
    """No address, no frame and no page: what it tells of a process is as long
    for four times the pages."""
    targets = victims(t)
    frames = set().union(*map(frames_of, targets)) - {0}
    check(len(frames) > PAGES, "frames are not told here")
    said = {}
    for verb in (["plan"], ["plan", "--sample"]):
        for n, more in ((PAGES, []), (4 * PAGES, ["--pages", str(4 * PAGES)])):
            pair = targets if not more else [
                t.target("guess", *more, "--seed", "7") for _ in range(2)]
            done = subprocess.run(
                [str(harness.BUILD / "ksmd-plusctl"), *verb, "--json",
                 *(str(p.pid) for p in pair)], capture_output=True, text=True)
            check(done.returncode == 0, done.stderr)
            said[n] = list(numbers_of(json.loads(done.stdout)))
            maps = [tuple(int(x, 16) for x in line.split()[0].split("-"))
                    for p in pair for line in
                    Path(f"/proc/{p.pid}/maps").read_text().splitlines()]
            found = [x for x in said[n]
                     if x in frames or any(a <= x < b for a, b in maps)]
            check(not found, f"{verb}: {found} in {done.stdout}")
        check(len(said[PAGES]) == len(said[4 * PAGES]),
              f"{verb}: {len(said[PAGES])} and {len(said[4 * PAGES])} numbers")


def not_dumped(pid):
    """Bytes of memory that no core has."""
    resident = total = 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if words[0] == "Rss:":
            resident = int(words[1]) << 10
        elif words[0] == "VmFlags:" and "dd" in words:
            total += resident
    return total


def a_plan_keeps_its_checksums_from_cores(t):
    """Twelve bytes a page, keyed anew by each plan. There are many pages, so
    that it can be looked at while it works."""
    targets = [t.target("guess", "--pages", str(PAGES * 256), "--seed", "7")
               for _ in range(2)]
    wanted = 2 * PAGES * 256 * 12
    plan = subprocess.Popen(
        [str(harness.BUILD / "ksmd-plusctl"), "plan", "--json",
         *(str(p.pid) for p in targets)], stdout=subprocess.DEVNULL)
    t.stack.callback(plan.wait)
    most = 0
    while plan.poll() is None:
        with contextlib.suppress(OSError):
            most = max(most, not_dumped(plan.pid))
    print(f"# {most} bytes were kept from cores, {wanted} are its checksums",
          flush=True)
    check(most > wanted * 0.9, "they would get into a core")


if __name__ == "__main__":
    harness.run(no_checksum_is_told, copies_do_not_outlive_the_reading,
                no_core_is_left, a_plan_has_sums_only,
                a_plan_keeps_its_checksums_from_cores)
