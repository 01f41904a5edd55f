# SPDX-License-Identifier: GPL-2.0-or-later
"""What must hold at every moment of a daemon's life, looked at once a second.

	watching = Invariants(daemon, lambda: {pid: is_ours_to_mark})
	watching.start()
	...
	watching.check()                # harness.Failed: what did not hold
"""

import collections
import contextlib
import json
import os
import re
import threading
import time
from pathlib import Path

import harness
from harness import check

MAX_RANGES = 1024               # [merge] max_ranges, as it is shipped
HELD_LOOKS = 10                 # a thread is held for a millisecond
MUTE_SECONDS = 60
BURST_SECONDS = 60              # of CPU, for beginnings (decide/budget.h)
WINDOW_SECONDS = 60
FDS_EACH = 5                    # pidfd, directory, mem, pagemap, smaps
FDS_BESIDE = 100
MANY_LOOKS = 3                  # in a row: jobs about who has gone end soon


def status_number(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def descriptors(pid):
    """What each descriptor of @pid is of."""
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(path)


class Invariants(threading.Thread):
    """@targets: {pid: True where marks are the daemon's, and no one's own}"""

    def __init__(self, daemon, targets, cpu_limit):
        super().__init__(daemon=True)
        self.daemon_, self.targets, self.cpu_limit = daemon, targets, cpu_limit
        self.ending = threading.Event()
        self.failure = None
        self.looks = 0
        self.answered = time.monotonic()
        self.traced = collections.Counter()
        self.many = 0           # looks at too many descriptors, in a row
        self.cpu = collections.deque()          # (when, seconds used)
        self.threads = status_number(daemon.pid, "Threads")

    def run(self):
        while not self.ending.wait(1):
            try:
                self.look()
                self.looks += 1
            except harness.Failed as e:
                self.failure = f"after {self.looks} s: {e}"
                return
            except (OSError, IndexError, ValueError, TypeError):
                continue        # somebody has ended between two lines

    def check(self):
        check(self.failure is None, self.failure)

    def stop(self):
        self.ending.set()
        self.join(60 * harness.SLOW)

    def look(self):
        for check_one in (self.check_targets, self.check_cpu,
                          self.check_status):
            check_one()

    def check_targets(self):
        """Nobody is held for long, or has more marks than he may have, or
        one that the ledger does not know: it comes before the mark."""
        for pid, is_ours in self.targets().items():
            self.traced[pid] = self.traced[pid] + 1 \
                if status_number(pid, "TracerPid") else 0
            check(self.traced[pid] < HELD_LOOKS,
                  f"pid {pid} is traced for {HELD_LOOKS} s")
            if not is_ours:
                continue
            marks = harness.marks(pid)
            check(marks <= MAX_RANGES, f"pid {pid} has {marks} marked mappings")
            if marks:
                check(re.search(rf"^enrol {pid} ", self.ledger(), re.M) or
                      not harness.marks(pid),
                      f"pid {pid} has marks that the ledger does not know")

    def ledger(self):
        return (self.daemon_.run_dir / "ledger").read_text()

    def check_cpu(self):
        """Of any minute, no more than the limit and what begins may take."""
        now = time.monotonic()
        used = sum(map(harness.cpu_seconds,
                       harness.family_of(self.daemon_.pid)))
        self.cpu.append((now, used))
        while self.cpu[0][0] < now - WINDOW_SECONDS:
            self.cpu.popleft()
        passed, spent = now - self.cpu[0][0], used - self.cpu[0][1]
        check(spent <= self.cpu_limit * passed + BURST_SECONDS,
              f"{spent:.1f} s of CPU in {passed:.0f} s")

    def check_status(self):
        """It answers, within its memory, and has nothing to complain of."""
        done = self.daemon_.ctl("status", "--json")
        check(self.daemon_.process.poll() is None, "the daemon has ended")
        now = time.monotonic()
        if done.returncode:
            check(now < self.answered + MUTE_SECONDS * harness.SLOW,
                  f"no answer for {MUTE_SECONDS} s: {done.stderr}")
            return
        self.answered = now
        status = json.loads(done.stdout)
        bound, pid = status["memory"]["bound"], self.daemon_.pid
        check(status["memory"]["used"] <= bound, f"{status['memory']}")
        check(status_number(pid, "VmRSS") << 10 <= bound,
              f"{status_number(pid, 'VmRSS')} kB resident, {bound} bytes "
              f"stated")
        check(status_number(pid, "Threads") == self.threads,
              f"{status_number(pid, 'Threads')} threads, {self.threads} first")
        self.check_descriptors(pid, sum(target["processes"]
                                        for target in status["targets"]))
        names = [w["name"] for w in status["warnings"]]
        check(not {"knob-foreign", "no-counters", "manager"} & set(names),
              f"warnings: {status['warnings']}")

    def check_descriptors(self, pid, n_processes):
        """Who has just gone may take some more, while jobs are about him."""
        kinds = collections.Counter(
            re.sub(r"\d+", "N", target) for target in descriptors(pid))
        most = FDS_BESIDE + FDS_EACH * n_processes
        self.many = self.many + 1 if kinds.total() > most else 0
        if self.many:
            print(f"# {kinds.total()} descriptors, {most} at most: "
                  f"{kinds.most_common(6)}", flush=True)
        check(self.many < MANY_LOOKS,
              f"{kinds.total()} descriptors, {most} at most, in {MANY_LOOKS} "
              f"looks: {kinds.most_common(6)}")
