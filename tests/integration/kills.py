#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 600
"""The daemon, its injector and its keeper are killed at random instants.

More than twenty kinds of programs are alive all the while, all of which notice:
those of tests/targets, and real ones (programs.py) whose clients never stop
asking. All of them are named in the configuration and have duplicates that
come and go, so that every daemon has something to enrol and to merge.

Some daemons are told to end, and they or their injectors are killed while they
take their marks back.

The injector is killed at random instants and, by choice, while it holds a
thread. At the instants at which the thread's registers are not its own the
kernel gives it no way out (tracing.py): these are counted and passed over, and
so are those at which a call may still be broken off; contract/inject-window and
contract/tracee are about them. At every other instant nobody may notice.

KILLS=N is how many; with 1000 and more a virtual machine is there, too.
SEED=N repeats a run's choices.
"""

import collections
import contextlib
import os
import random
import signal
import time

import harness
import programs
import tracing
from harness import check, wait_for

KILLS = int(os.environ.get("KILLS", "60"))
LIFE_SECONDS = (0, 0.2)         # of most daemons
SAID_EACH = 500                 # kills
LONG = 12                       # one of so many marks something first,
FIRST_SECONDS = 10              # for which this is time enough,
WORK_SECONDS = (0, 0.2)         # and may live a little longer
AIM_SECONDS = 0.4               # how long a hold is waited for
HOLD_SECONDS = 0.0004           # the time of most holds
SEED = int(os.environ.get("SEED", "20240607"))
WITH_GUEST = KILLS >= 1000      # an emulated boot takes long

STEADY = (("sandbox", "--action", "kill"), ("sandbox", "--action", "trap"),
          ("blocked", "--call", "epoll_wait"), ("blocked", "--call", "semop"),
          ("blocked", "--call", "futex-timeout"),
          ("blocked", "--call", "recv-timeout"), ("timed",), ("ticker",),
          ("mapper",), ("forker",), ("rseq",))
ALONE = (("threads",), ("dispatch",), ("vforker",))

# How a daemon's life ends: who is killed, one after another, and how often.
# Told to end, it has injectors at work until all marks are taken back.
DAEMON, INJECTOR, KEEPER = "daemon", "injector", "keeper"
TOLD = "told to end"
ENDS = (((DAEMON,),), 18), (((INJECTOR,), (DAEMON,)), 18), \
       (((KEEPER,), (DAEMON,)), 3), (((KEEPER,), (INJECTOR,), (DAEMON,)), 3), \
       (((DAEMON, INJECTOR),), 12), (((DAEMON, INJECTOR, KEEPER),), 6), \
       (((TOLD,), (INJECTOR,), (INJECTOR,)), 2), (((TOLD,), (DAEMON,)), 1)


class Dups:
    """Pairs of processes with duplicates, of which one is new now and then:
    what is merged once leaves nothing to kill."""

    def __init__(self, t):
        self.t = t
        self.pairs = [self.pair(n) for n in range(2)]
        self.n = 2

    def pair(self, n):
        return [self.t.target("dup", "--size", "4", "--run", str(1 + n % 4),
                              "--dup", "50", "--seed", str(n), "--id", str(i))
                for i in range(2)]

    def renew(self):
        for p in self.pairs.pop(0):
            p.intact()
            p.finish()
        self.pairs.append(self.pair(self.n))
        self.n += 1

    def finish(self):
        for pair in self.pairs:
            for p in pair:
                p.intact()
                p.finish()


class Targets:
    """All who must not notice."""

    def __init__(self, t):
        os.setpriority(os.PRIO_PROCESS, 0, 19)  # they compute all the time
        self.steady = [t.target(*args, "--size", "2", "--seed", str(n))
                       for n, args in enumerate(STEADY)]
        self.steady += [self.started(t, args) for args in ALONE]
        os.setpriority(os.PRIO_PROCESS, 0, 0)
        self.steady = [p for p in self.steady if p]
        self.programs, kinds = [], len(STEADY) + len(ALONE) + 1
        for make in programs.ALL:
            name = make.__name__.lower()
            if name == "qemu" and not WITH_GUEST:
                continue
            try:
                self.programs.append(make(t))
                kinds += 1
            except programs.Missing as why:
                print(f"# without {name}: {why}", flush=True)
        self.dups = Dups(t)
        print(f"# {kinds} kinds of targets", flush=True)

    @staticmethod
    def started(t, args):
        try:
            return t.target(*args, "--size", "2")
        except harness.Skip:
            return None

    def check_alive(self):
        """Quick; finish() has the rest."""
        for p in self.steady + self.programs:
            if not isinstance(p, harness.Target):
                p.alive()
            elif p.process.poll() is not None:
                raise harness.Failed(f"{' '.join(p.process.args[3:])}: "
                                     f"{p.last_words()}")

    def finish(self):
        for p in self.steady:
            path = f"/proc/{p.pid}"
            check(tracing.tracer_of(path) == 0, f"pid {p.pid} is traced")
            check(tracing.state_of(path) in "SRD",
                  f"pid {p.pid}: {tracing.state_of(path)}")
        for p in self.steady:
            p.process.stdin.close()
        for p in self.programs:
            p.intact()
            p.finish()
        for p in self.steady:
            p.finish()
        self.dups.finish()


class Storm:
    """One daemon after another; counts what it has done."""

    def __init__(self, daemon, rng):
        self.daemon = daemon
        self.rng = rng
        self.kills = collections.Counter()      # of whom
        self.moments = collections.Counter()    # what the injector did
        self.n = 0                              # instants
        self.lives = 0
        self.stages = collections.Counter()
        self.injectors = []                     # (pid, start time)
        self.before = set()                     # lines of the ledger

    def look(self, injector, aimed):
        """Stop the injector at a good moment: what that was."""
        if aimed:
            deadline = time.monotonic() + AIM_SECONDS
            while not tracing.at_work(injector) and \
                    time.monotonic() < deadline:
                pass
            end = time.monotonic() + self.rng.uniform(0, HOLD_SECONDS)
            while time.monotonic() < end:
                pass
        if not tracing.stop(injector):
            return tracing.GONE
        return tracing.moment(injector)

    def catch(self, injector, aimed):
        """The injector, stopped where its death is nobody's; None: gone."""
        while True:
            moment = self.look(injector, aimed)
            self.moments[moment] += 1
            if moment == tracing.GONE:
                return None
            if moment in tracing.HARMLESS:
                self.last = moment
                return injector
            tracing.go_on(injector)
            time.sleep(self.rng.uniform(0, 0.002))

    def strike(self, whom, aimed=False):
        """Kill all of @whom at once. False: not all of them were there."""
        pids, self.last = {DAEMON: self.daemon.pid}, None
        if whom == (TOLD,):
            self.daemon.process.terminate()
            self.stages[TOLD] += 1
            return True
        if INJECTOR in whom:
            pids[INJECTOR] = tracing.injector_of(self.daemon)
        if KEEPER in whom:
            pids[KEEPER] = tracing.keeper_of(self.daemon)
        if not all(pids.get(who) for who in whom):
            return False
        if INJECTOR in whom and \
                not self.catch(pids[INJECTOR], aimed):
            return False
        for who in self.rng.sample(whom, len(whom)):
            # a keeper ends by itself when its daemon does
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[who], signal.SIGKILL)
        self.kills[" and ".join(whom)] += 1
        if self.last:
            self.stages[f"injectors killed {self.last}"] += 1
        self.n += 1
        return True

    def life(self, long):
        """Start a daemon and kill what belongs to it."""
        daemon, rng = self.daemon, self.rng
        aimed = False
        daemon.start()
        if long:
            self.wait_for_work()
            aimed = rng.random() < 0.8
        if not aimed:
            time.sleep(rng.uniform(*(WORK_SECONDS if long else LIFE_SECONDS)))
        injector = tracing.injector_of(daemon)
        if injector:
            self.injectors.append((injector, tracing.start_time(injector)))
        check(daemon.process.poll() is None,
              f"it ended by itself: {daemon.log()[-500:]}")
        end = rng.choices(*zip(*ENDS))[0]
        for whom in end:
            if injector and tracing.at_work(injector):
                self.stages["injections in flight"] += 1
            if not self.strike(whom, aimed) and DAEMON in whom:
                self.strike((DAEMON,))
            time.sleep(rng.uniform(0, 0.02))
        status = daemon.process.wait(60)
        # told before it can be, it ends as any process does
        check(status in (0, -signal.SIGTERM) or (DAEMON,) in end or
              end[0] != (TOLD,),
              f"told to end, it ended with {status}: {daemon.log()[-500:]}")
        self.account()

    def marked(self):
        """The lines of the ledger that tell of memory that was marked."""
        path = self.daemon.run_dir / "ledger"
        lines = path.read_text().splitlines() if path.exists() else ()
        return {line for line in lines if line.startswith("enrol ")}

    def wait_for_work(self):
        """Until a thread is about to be held, or something has been marked;
        not for ever, because there may be nothing to do."""
        deadline = time.monotonic() + FIRST_SECONDS * harness.SLOW
        injector, n = None, 0
        while time.monotonic() < deadline:
            n += 1
            if n % 50 == 1:
                injector = tracing.injector_of(self.daemon)
                if self.marked() - self.before:
                    return
            if tracing.at_work(injector):
                return
            time.sleep(0.0001)

    def account(self):
        """What a daemon that was killed leaves to the next."""
        new = self.marked() - self.before
        self.lives += 1
        self.stages["had marked something"] += bool(new)
        self.stages["processes marked"] += len(new)
        self.before |= new

    def report(self, seconds):
        print(f"# {self.n} kills of {self.lives} daemons in {seconds:.0f} s "
              f"(seed {SEED})")
        for title, counter in (("killed", self.kills),
                               ("seen", self.moments), ("", self.stages)):
            for what, count in sorted(counter.items()):
                print(f"#\t{count} {title} {what}")
        print(end="", flush=True)


def killed_at_random_instants(t):
    if tracing.CALL is None:
        harness.skip("what the injector does is read for x86-64 only")
    rng = random.Random(SEED)
    knobs = {**harness.knobs(), "run": "1", "sleep_millisecs": "37",
             "pages_to_scan": "123"}
    harness.restore_knobs(knobs)
    knobs = harness.knobs()
    targets = Targets(t)
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 200%", "[target storm]",
                               f"comm = {programs.COMM}", "mode = selective"))
    daemon.kill()
    storm, start, turn = Storm(daemon, rng), time.monotonic(), 0
    try:
        while storm.n < KILLS:
            turn += 1
            if turn % LONG == 0:
                targets.dups.renew()
                targets.check_alive()
            before = storm.n
            storm.life(turn % LONG == 0)
            if storm.n // SAID_EACH > before // SAID_EACH:
                print(f"# {storm.n} kills so far", flush=True)
    finally:
        storm.report(time.monotonic() - start)
    check(storm.stages["had marked something"] > storm.lives / LONG / 4,
          "hardly one was killed at work")

    left = [i for i in storm.injectors if i[1]]
    check(len(left) > storm.lives / 4, "no injector was seen")
    wait_for(lambda: all(tracing.start_time(pid) != start
                         for pid, start in left), 20,
             "the end of all injectors")
    check_restores(daemon, knobs)
    targets.finish()
    print(f"# {storm.n} kills, 0 targets harmed", flush=True)


def check_restores(daemon, knobs):
    """A last daemon, ended in peace."""
    daemon.start()
    daemon.wait_ready()
    check(daemon.terminate(60) == 0, "the last daemon's exit status")
    now = harness.knobs()
    for name in sorted(now):
        check(now[name] == knobs[name],
              f"{name} is {now[name]}, it was {knobs[name]}")


if __name__ == "__main__":
    harness.run(killed_at_random_instants)
