# SPDX-License-Identifier: GPL-2.0-or-later
"""Which failures have been tried, and which are to come. A campaign is put
down after every life and taken up again by another process, as long as the
programs are the same. faults.py tells the whole."""

import collections
import dataclasses
import hashlib
import json
import os
import random
import time

import harness
from faultlife import LIBRARY, PROGRAMS
from faultsites import Fault
from harness import check

# A failure that has not come to pass in so many lives is not tried again.
TRIES = 3

# An answer that is no failure, and that the kernel never gives: that of the
# dead for the living. Who believes it forgets the process, rightly.
LIES = {("pread", "END", "process_is_gone")}


def build():
    """Places are offsets: other programs have others."""
    digest = hashlib.sha256()
    for path in (*(harness.BUILD / program for program in PROGRAMS), LIBRARY):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Campaign:
    def __init__(self, only, seed, together=12, verbose=False, path=None):
        """@only: a compiled expression of program:function:error; @path:
        where it is put down, or None."""
        self.only = only
        self.seed = seed
        self.rng = random.Random(seed)
        self.together = together
        self.verbose = verbose
        self.path = path
        self.world = None
        self.known, self.places, self.lies = set(), set(), set()
        self.queue = []
        self.tries = collections.Counter()
        self.count = collections.Counter()
        self.findings = []
        self.seconds = 0.0
        self.n_lives = 0
        if path and path.exists():
            self.take_up()

    # --- between processes ---------------------------------------------------

    def put_down(self):
        if not self.path:
            return
        known = sorted(self.known, key=lambda f: (f.program, f.key, f.kind))
        number = {fault: n for n, fault in enumerate(known)}
        state = {
            "build": build(), "seed": self.seed, "only": self.only.pattern,
            "known": [dataclasses.astuple(f) for f in known],
            "queue": [number[f] for f in self.queue],
            "tries": [[number[f], n] for f, n in self.tries.items()],
            "count": self.count, "findings": self.findings,
            "seconds": self.seconds, "lives": self.n_lives,
        }
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(state))
        os.replace(new, self.path)

    def take_up(self):
        state = json.loads(self.path.read_text())
        if (state["build"], state["only"]) != (build(), self.only.pattern):
            print("# a new campaign: the programs or FAULTS_ONLY are others")
            return
        known = [Fault(*fault[:4], tuple(fault[4]), *fault[5:])
                 for fault in state["known"]]
        self.known = set(known)
        self.places = {fault.place() for fault in known}
        self.queue = [known[n] for n in state["queue"]]
        self.tries.update({known[n]: tries for n, tries in state["tries"]})
        self.count.update(state["count"])
        self.findings = state["findings"]
        self.seconds = state["seconds"]
        self.n_lives = state["lives"]

    def finished(self):
        return bool(self.known) and not self.queue

    # --- one process ---------------------------------------------------------

    def learn(self):
        new = []
        for sites in self.world.sites:
            for fault in sites.seen():
                self.places.add(fault.place())
                if fault not in self.known and self.only.search(
                        f"{fault.program}:{fault.call}:{fault.word}") and \
                        not self.is_lie(fault):
                    self.known.add(fault)
                    new.append(fault)
        new.sort(key=lambda f: (f.program, f.key, f.kind))
        self.rng.shuffle(new)
        self.queue += new

    def is_lie(self, fault):
        if fault not in self.lies and \
                (fault.call, fault.word) in {lie[:2] for lie in LIES} and \
                (fault.call, fault.word, fault.function()) in LIES:
            self.lies.add(fault)
        return fault in self.lies

    def take(self):
        """The next plan: each place once; what has not come to pass twice
        comes alone."""
        plan, places = [], set()
        if self.tries[self.queue[0]] >= TRIES - 1:
            return [self.queue.pop(0)]
        for fault in self.queue[:]:
            if len(plan) == self.together:
                break
            if fault.place() not in places and \
                    self.tries[fault] < TRIES - 1:
                places.add(fault.place())
                plan.append(fault)
                self.queue.remove(fault)
        return plan

    def run(self, world, seconds):
        self.world = world
        began = time.monotonic()
        if not self.known:
            life = self.live([])
            check(not life.bad, f"without any failure: {life.bad}")
            self.learn()
        while self.queue and time.monotonic() < began + seconds:
            start = time.monotonic()
            self.step(self.take())
            self.seconds += time.monotonic() - start
            self.put_down()

    def live(self, plan):
        self.n_lives += 1
        return self.world.live(plan)

    def step(self, plan):
        start = time.monotonic()
        life = self.live(plan)
        self.learn()
        if self.verbose:
            print(f"# {len(self.queue)} left; {len(life.fired)} of "
                  f"{len(plan)}, {life.survived} {life.bad} "
                  f"{time.monotonic() - start:.1f} s {life.phases}",
                  flush=True)
            if life.bad:
                print("# with", *life.fired, sep="\n# ... ", flush=True)
                print(*life.last_words, sep="\n# ... ", flush=True)
        if life.bad and len(life.fired) > 1:
            self.blame(life)
        else:
            self.judge(life)
        for fault in plan:
            if fault not in life.fired:
                self.tries[fault] += life.survived
                if self.tries[fault] < TRIES:
                    self.queue.append(fault)
                else:
                    self.count["not met again"] += 1

    def judge(self, life):
        n = len(life.fired)
        self.count["injected"] += n
        if life.bad:
            self.find("", life)
        elif life.survived:
            self.count["survived"] += n
        elif n:
            self.count["survived"] += n - 1
            self.count["aborted by a library" if life.aborted else
                       "clean exits"] += 1
            if self.verbose:
                print(f"# exit after {life.fired[-1]}", flush=True)
        self.count["restored late"] += bool(n and not life.restored)
        self.count["marks left to the next"] += bool(n and life.left)
        if self.verbose and not life.bad and (not life.restored or life.left):
            print(f"# late {life.restored} {life.left}: "
                  f"{', '.join(map(str, life.fired))}", flush=True)

    def find(self, how, life):
        text = (f"{how}{', '.join(map(str, life.fired))}: "
                f"{' '.join(life.bad.split())}")
        self.findings.append(text)
        print(f"# FOUND {text}", flush=True)
        for line in life.last_words:
            print(f"# log: {line}", flush=True)

    def blame(self, life):
        """Its failures in halves, and the halves of what is bad again."""
        middle, bad = len(life.fired) // 2, False
        for half in (life.fired[:middle], life.fired[middle:]):
            one = self.live(half)
            bad |= bool(one.bad)
            if one.bad and len(one.fired) > 1:
                self.blame(one)
            else:
                self.judge(one)
            self.queue += [f for f in half if f not in one.fired]
        if not bad and "come true" not in life.bad:
            self.find("together ", life)    # each alone is survived in time

    def report(self):
        names = ("injected", "survived", "clean exits",
                 "aborted by a library", "restored late",
                 "marks left to the next", "not met again")
        figures = ", ".join(f"{self.count[name]} {name}" for name in names)
        print(f"# {len(self.places)} places, {len(self.known)} failures at "
              f"them: {figures}, {len(self.findings)} bad, {len(self.queue)} "
              f"not tried; {self.n_lives} lives, {self.seconds:.0f} s",
              flush=True)
