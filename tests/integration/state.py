#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon writes down survives: a runtime directory that is full or
cannot be written, and a ledger that ends at any byte."""

import contextlib
import subprocess

import harness
from harness import check, wait_for

UNUSUAL = {"advisor_mode": "none", "smart_scan": "0", "use_zero_pages": "1",
           "pages_to_scan": "123", "sleep_millisecs": "37", "run": "1"}
POSITIONS = 60 if harness.FAST else 400


def unusual_knobs():
    harness.restore_knobs({**harness.knobs(), **UNUSUAL})
    return harness.knobs()


def pair(t, seed=1, run=16):
    return [t.target("dup", "--size", "4", "--run", str(run), "--seed",
                     str(seed), "--id", str(i)) for i in range(2)]


def merged(targets):
    return all(p.ksm_stat()["ksm_merging_pages"] >= 230 for p in targets)


def restore(daemon):
    return subprocess.run([*daemon.argv, "--restore"], env=daemon.env,
                          capture_output=True, text=True, timeout=60)


def told_by(text):
    """{knob: (original, the last two that were written)} by whole lines."""
    told = {}
    for line in text[:text.rfind("\n") + 1].splitlines():
        word, *rest = line.split()
        if word == "knob":
            told[rest[0]] = (rest[1], [])
        elif word == "wrote":
            told[rest[0]][1].append(rest[1])
        elif word == "restored":
            told.pop(rest[0], None)
    return {name: (original, wrote[-2:])
            for name, (original, wrote) in told.items()}


def a_ledger_cut_at_every_byte(t):
    """What whole lines name is put back, and nothing else is touched."""
    before = unusual_knobs()
    targets = pair(t)
    daemon = t.daemon(t.config("[merge]", "max_ranges = 4"))
    wait_for(lambda: any(map(harness.marks, (p.pid for p in targets))), 30,
             "its marks")
    daemon.kill()
    ledger = daemon.run_dir / "ledger"
    text, left = ledger.read_text(), harness.knobs()
    check(left != before, "the daemon has changed nothing")
    check(told_by(text), f"the ledger names no knob: {text}")
    step = max(1, len(text) // POSITIONS)
    cuts = sorted({*range(0, len(text) + 1, step),
                   *(i + d for i, c in enumerate(text) if c == "\n"
                     for d in (0, 1)), len(text)})
    n_restored = 0
    for cut in cuts:
        harness.restore_knobs(left)
        ledger.write_text(text[:cut])
        done = restore(daemon)
        check(done.returncode == 0, f"cut at {cut}: {done.stderr}")
        now = harness.knobs()
        told = told_by(text[:cut])
        for name in UNUSUAL.keys() & now.keys():
            want = left[name]
            if name in told and left[name] in told[name][1]:
                want = told[name][0]
                n_restored += want != left[name]
            check(now[name] == want, f"cut at {cut} of {len(text)}: {name} "
                  f"is {now[name]}, not {want}")
    print(f"# {len(cuts)} cuts of {len(text)} bytes, {n_restored} knobs put "
          f"back", flush=True)
    check(n_restored > 0, "no cut left anything to put back")
    check({n: harness.knobs()[n] for n in UNUSUAL.keys() & before.keys()} ==
          {n: before[n] for n in UNUSUAL.keys() & before.keys()},
          "the whole ledger did not put back everything")
    for p in targets:
        p.intact()


@contextlib.contextmanager
def small_disk(t, size):
    """The runtime directory becomes a file system of @size bytes."""
    folder = t.folder / "run"
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}",
                           "none", folder], capture_output=True, text=True)
    if done.returncode:
        harness.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with contextlib.suppress(OSError), open(folder / "filler", "wb") as f:
        while True:
            f.write(bytes(4096))
            f.flush()


def marked_is_written_down(daemon, targets):
    """No mark of which the ledger does not know."""
    text = (daemon.run_dir / "ledger").read_text()
    for p in targets:
        check(not harness.marks(p.pid) or f"enrol {p.pid} " in text,
              f"pid {p.pid} has marks that the ledger does not know")


def a_disk_that_is_full(t):
    """At the start, at work, and when it is killed there."""
    before = unusual_knobs()
    with small_disk(t, 16384) as folder:
        daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
        try:
            fill(folder)
            targets = pair(t, run=1)
            wait_for(lambda: daemon.ctl("rescan").returncode == 0 and
                     "enrol " in (folder / "ledger").read_text(), 30,
                     "as much as there is room for")
            for _ in range(5):
                daemon.ctl("rescan")
                marked_is_written_down(daemon, targets)
            (folder / "filler").unlink()
            wait_for(lambda: daemon.ctl("rescan").returncode == 0 and
                     merged(targets), 60, "merging with room again", 0.5)
            fill(folder)
            daemon.kill()
            done = restore(daemon)
            check(done.returncode == 0, f"--restore: {done.stderr}")
            check(harness.knobs() == before, f"{harness.knobs()}")
            daemon.start()
            daemon.wait_ready()
            check(daemon.terminate(60) == 0, "exit status")
        finally:
            daemon.terminate(60)
    check(harness.knobs() == before, f"{harness.knobs()}, not {before}")
    for p in targets:
        check(harness.marks(p.pid) == 0, "marks are left")
        p.finish()


def a_directory_that_cannot_be_written(t):
    """--restore puts back all the same; a daemon does not begin."""
    before = unusual_knobs()
    with small_disk(t, 1 << 20) as folder:
        targets = pair(t)
        daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
        wait_for(lambda: merged(targets), 30, "the merge")
        daemon.kill()
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        changed = harness.knobs()
        check(changed != before, "nothing to put back")
        done = restore(daemon)
        check(done.returncode == 0, f"--restore: {done.stderr}")
        check(harness.knobs() == before, f"{harness.knobs()}")
        daemon.start()
        check(daemon.process.wait(30) == 1, "it begins where it cannot write")
        check("ledger" in daemon.log(), daemon.log())
        check(harness.knobs() == before, "it has changed knobs")
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
        daemon.start()
        daemon.wait_ready()
        check(daemon.terminate(60) == 0, "exit status")
    for p in targets:
        check(harness.marks(p.pid) == 0, "marks are left")
        p.finish()


if __name__ == "__main__":
    harness.run(a_ledger_cut_at_every_byte, a_disk_that_is_full,
                a_directory_that_cannot_be_written)
