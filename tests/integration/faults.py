#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 600
"""Every call to the system fails once, at every place where it is made.

tests/faults/faults.so stands before each function of boundary.def, in the
daemon and in its injector. Daemons live through a scenario: they begin, find
and merge, answer, reload, pause, and end; the first only records the places
from which calls are made, the others have plans of what shall fail. What is
reached only because something has failed is planned, too, until there is
nothing new. After each life: it did not crash, it said why it ended early,
what it had changed is put back, and no target has noticed anything. And if it
lived on, it still does its work.

A plan holds several failures. When a life ends badly each of them is tried
alone, to learn which it was.

	FAULTS=all tests/integration/faults.py		all (make faults)
	FAULTS=injector tests/integration/faults.py	FAULTS_SECONDS of the
							injector's

Without FAULTS only the lists are checked: not every failure has been tried.

SEED=N chooses another part. FAULTS_ONLY=REGEX: only failures whose
program:function:error it matches.
"""

import collections
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import harness
from faultsites import Sites
from harness import check, wait_for

LIBRARY = harness.BUILD / "tests/faults/faults.so"
PROGRAMS = ("ksmd-plus", "ksmd-plus-injector")
ALL = os.environ.get("FAULTS") == "all"
SECONDS = float(os.environ.get("FAULTS_SECONDS", "25"))
ONLY = re.compile(os.environ.get("FAULTS_ONLY", "" if ALL else "injector:"))
SEED = int(os.environ.get("SEED", time.strftime("%j")))
TOGETHER = int(os.environ.get("FAULTS_TOGETHER", "12"))
PATIENCE = float(os.environ.get("FAULTS_PATIENCE", "30"))
VERBOSE = os.environ.get("FAULTS_VERBOSE") == "1"

# With no memory at the wrong moment it ends the program (252 does).
LIBSYSTEMD = re.compile(r"Assertion '.*' failed at src/(libsystemd|basic)")

# Uses of the system that are not called, but cannot fail as they are used:
# no memory, no descriptor and no permission is asked for.
CANNOT_FAIL = set("""
__assert_fail __ctype_b_loc __cxa_finalize __errno_location sscanf
__libc_start_main __sched_cpucount __sched_cpufree _exit abort
clock_gettime closedir fnmatch free getenv geteuid getopt_long getpid getppid
gettid memchr memcmp memcpy memmove memset munmap pause qsort signal
sigaddset sigemptyset sigfillset sigprocmask snprintf strcasecmp strchr strcmp
strcspn strerror strlen strncmp strrchr strspn strstr strtok_r strtol strtoll
strtoul strtoull sysconf tdestroy tfind umask uname vsnprintf
posix_spawn_file_actions_destroy posix_spawnattr_destroy
posix_spawnattr_setflags posix_spawnattr_setsigdefault
posix_spawnattr_setsigmask
pthread_attr_destroy pthread_attr_init pthread_attr_setstack
pthread_cond_broadcast pthread_cond_destroy pthread_cond_init
pthread_cond_signal pthread_cond_wait pthread_detach pthread_join
pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock
pthread_mutex_unlock pthread_sigmask
XXH3_64bits_withSecret_dispatch crc32_iscsi isal_zero_detect
accfg_device_get_devname accfg_device_get_first accfg_device_get_next
accfg_device_get_state accfg_device_get_type accfg_set_log_fn accfg_unref
accfg_wq_get_devname accfg_wq_get_first accfg_wq_get_next accfg_wq_get_state
accfg_wq_get_type accfg_wq_get_user_dev_path
bpf_link__destroy bpf_object__close bpf_object__next_program
bpf_program__name libbpf_set_print
sd_bus_close_unref sd_bus_error_setf sd_bus_message_get_member
sd_bus_message_is_signal sd_bus_message_unref sd_bus_object_vtable_format
sd_bus_error_free sd_bus_error_is_set sd_bus_error_set sd_bus_is_open
sd_bus_message_get_allow_interactive_authorization sd_bus_message_get_errno
sd_bus_message_get_sender sd_bus_message_is_method_call
sd_bus_message_is_method_error sd_bus_message_ref sd_bus_ref sd_bus_slot_unref
sd_bus_unref seccomp_release seccomp_syscall_resolve_name
explicit_bzero sigaction strnlen
sd_event_exit sd_event_loop sd_event_ref sd_event_source_disable_unref
sd_event_source_set_enabled sd_event_source_set_time sd_event_source_unref
sd_event_unref
""".split())
# Words of ours on their way to a terminal: whoever prints looks away.
CANNOT_FAIL |= {"fprintf", "fputs", "fwrite", "puts"}
# Of a counter that is full, which can then be read.
CANNOT_FAIL |= {"eventfd_write"}


class Life:
    """What became of a daemon."""

    def __init__(self, plan):
        self.plan = plan
        self.fired = []         # of the plan, in their order
        self.bad = ""           # why this life was not as it has to be
        self.survived = False
        self.restored = True    # by its own end, not by --restore
        self.aborted = False    # not by us, but by libsystemd
        self.left = False       # marks, for the next daemon


class Over(Exception):
    """The daemon has ended by itself."""


class World:
    """Targets that outlive daemons, and the daemons."""

    def __init__(self, t):
        self.t = t
        self.sites = [Sites(t.folder, program) for program in PROGRAMS]
        self.knobs = {**harness.knobs(), "run": "1", "sleep_millisecs": "37",
                      "pages_to_scan": "123"}
        harness.restore_knobs(self.knobs)
        self.knobs = harness.knobs()
        self.n = 0
        self.killed = set()
        self.steady = [p for _ in range(2) for p in self.pair()]
        self.fresh = []
        self.daemon = None
        self.config = t.config("[scan]", "cpu_limit = 100%")

    def pair(self):
        self.n += 1
        return [self.t.target("dup", "--size", "2", "--run", "4", "--dup",
                              "50", "--seed", str(self.n), "--id", str(i))
                for i in range(2)]

    def start(self):
        env = {"LD_PRELOAD": str(LIBRARY),
               "FAULTS": str(self.t.folder / "faults")}
        if self.daemon:
            self.daemon.env.update(env)
            self.daemon.log_path.write_bytes(b"")
            self.daemon.start()
        else:
            self.daemon = self.t.daemon(self.config, env=env, wait=False)

    def plan(self, faults):
        self.n_planned = len(faults)
        for sites in self.sites:
            self.killed.update(sites.victims())
            sites.plan(f for f in faults if f.program == sites.program)

    # --- one life ----------------------------------------------------------

    def live(self, plan):
        life = Life(plan)
        self.plan(plan)
        self.start()
        try:
            try:
                self.scenario()
                life.survived = True
            except Over:
                self.ended(life)
            else:
                self.ending(life)
            self.after(life)
        except harness.Failed as e:
            life.bad = str(e)
            self.recover()
        order = {(s.program, key): n for s in self.sites
                 for key, n in s.fired().items()}
        life.fired = sorted((f for f in plan if f.place() in order),
                            key=lambda f: order[f.place()])
        return life

    def until(self, condition, what):
        """True from condition(), or the daemon's own end. An injector that
        has died is started again after 5 s, and may die of each failure."""
        d, start, asked = self.daemon, time.monotonic(), 0
        seconds = PATIENCE + 6 * self.n_planned
        while not condition():
            if d.process.poll() is not None:
                raise Over
            now = time.monotonic() - start
            check(now < seconds, f"{what} did not come true")
            if now > asked + 1:
                asked = now
                self.replace()
                d.ctl("rescan")
            time.sleep(0.02)

    def succeeds(self, *args):
        self.until(lambda: self.daemon.ctl(*args).returncode == 0,
                   f"ksmd-plusctl {args[0]}")

    def merged(self, pairs):
        return all(p.ksm_stat().get("ksm_merging_pages", 0) >= 240
                   for p in pairs if p.process.poll() is None)

    def scenario(self):
        self.succeeds("status")
        self.until(lambda: self.merged(self.steady), "the first merge")
        for verb in ("list", "status"):
            self.succeeds(verb, "--json")
        self.until(lambda: self.daemon.ctl(
            "explain", str(self.steady[0].pid)).returncode == 0, "explain")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.succeeds("pause")
        self.succeeds("resume")
        self.fresh = self.pair()
        self.until(lambda: self.merged(self.fresh), "the second merge")
        self.replace()
        if self.fresh:
            self.fresh.pop(0).finish()
        self.succeeds("status")

    def ended(self, life):
        """It ended by itself: with a reason, and not by a crash."""
        status = self.daemon.process.wait()
        log = self.daemon.log()
        if status == -signal.SIGABRT and LIBSYSTEMD.search(log):
            life.aborted = True
            return
        check(status > 0, f"ended by itself, {status}: {log[-1500:]}")
        check(log.strip(), f"ended with {status}, and said nothing")

    def ending(self, life):
        status = self.daemon.terminate(60)
        check(status >= 0, f"killed by signal {-status} at its end: "
              f"{self.daemon.log()[-1500:]}")
        check(status == 0 or self.daemon.log().strip(),
              f"ended with {status}, and said nothing")

    def after(self, life):
        """Nobody is harmed, and all is as it was."""
        life.restored = harness.knobs() == self.knobs
        life.left = not self.no_marks()
        self.restore()
        now = harness.knobs()
        for name in now:
            check(now[name] == self.knobs[name],
                  f"{name} is {now[name]}, it was {self.knobs[name]}")
        self.check_targets()
        wait_for(lambda: not injectors(), 20, "the end of all injectors")
        if life.left:           # the next daemon takes them back
            self.plan(())
            self.start()
            self.daemon.wait_ready()
            self.until(lambda: self.merged(self.steady), "merging again")
            check(self.daemon.terminate(60) == 0, "the next daemon's status")
            check(self.no_marks(), "marks that nobody takes back")

    def no_marks(self):
        return not any(harness.marks(p.pid) for p in self.steady + self.fresh
                       if p.process.poll() is None)

    def restore(self):
        """As ExecStopPost= does."""
        d = self.daemon
        env = {k: v for k, v in d.env.items() if k != "LD_PRELOAD"}
        done = subprocess.run([*d.argv, "--restore"], env=env, text=True,
                              capture_output=True, timeout=60)
        check(done.returncode == 0, f"--restore: {done.stderr}")

    def check_targets(self):
        self.replace()
        for p in self.steady + self.fresh:
            status = Path(f"/proc/{p.pid}/status").read_text()
            check("TracerPid:\t0\n" in status, f"pid {p.pid} is traced")
            p.intact()
        for p in self.fresh:
            p.finish()
        self.fresh = []

    def replace(self):
        """Those that were killed in the kernel's stead, and nobody else."""
        self.killed.update(pid for s in self.sites for pid in s.victims())
        for p in self.steady + self.fresh:
            if p.process.poll() is None or p not in self.steady + self.fresh:
                continue
            check(p.pid in self.killed and p.process.returncode == -9,
                  f"a target has ended: {p.ended()}")
            if p in self.steady:
                i = self.steady.index(p) & ~1
                for other in self.steady[i:i + 2]:
                    other.stop()
                self.steady[i:i + 2] = self.pair()
            else:
                for other in self.fresh:
                    other.stop()
                self.fresh = []

    def recover(self):
        """After a bad life: new targets, and the old knobs."""
        if self.daemon.process.poll() is None:
            self.daemon.kill()
        wait_for(lambda: not injectors(), 20, "the end of all injectors")
        for p in self.steady + self.fresh:
            p.stop()
        self.fresh = []
        self.steady = [p for _ in range(2) for p in self.pair()]
        for file in self.daemon.run_dir.iterdir():
            file.unlink()
        harness.restore_knobs(self.knobs)


def injectors():
    """Pids of our injectors."""
    ours = str(harness.BUILD / "ksmd-plus-injector")
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe") == ours:
                found.append(int(pid))
        except OSError:
            pass
    return found


class Campaign:
    """Which failures have been, and which are to come."""

    def __init__(self, world):
        self.world = world
        self.rng = random.Random(SEED)
        self.known, self.places = set(), set()
        self.queue = []
        self.tries = collections.Counter()
        self.count = collections.Counter()
        self.findings = []

    def learn(self):
        new = []
        for sites in self.world.sites:
            for fault in sites.seen():
                self.places.add(fault.place())
                if fault not in self.known and ONLY.search(
                        f"{fault.program}:{fault.call}:{fault.word}"):
                    self.known.add(fault)
                    new.append(fault)
        new.sort(key=lambda f: (f.program, f.key, f.kind))
        self.rng.shuffle(new)
        self.queue += new

    def take(self):
        """The next plan: each place once; what has not come to pass twice
        comes alone."""
        plan, places = [], set()
        if self.tries[self.queue[0]] >= 2:
            return [self.queue.pop(0)]
        for fault in self.queue[:]:
            if len(plan) == TOGETHER:
                break
            if fault.place() not in places and self.tries[fault] < 2:
                places.add(fault.place())
                plan.append(fault)
                self.queue.remove(fault)
        return plan

    def run(self, seconds):
        self.world.plan(())
        life = self.world.live([])
        check(not life.bad, f"without any failure: {life.bad}")
        self.learn()
        deadline = time.monotonic() + seconds
        while self.queue and time.monotonic() < deadline:
            self.step(self.take())

    def step(self, plan):
        start = time.monotonic()
        life = self.world.live(plan)
        self.learn()
        if VERBOSE:
            print(f"# {len(self.queue)} left; {len(life.fired)} of "
                  f"{len(plan)}, {life.survived} {life.bad} "
                  f"{time.monotonic() - start:.1f} s", flush=True)
        if life.bad and len(life.fired) > 1:
            self.blame(life)
        else:
            self.judge(life)
        for fault in plan:
            if fault not in life.fired:
                self.tries[fault] += life.survived
                if self.tries[fault] < 3:
                    self.queue.append(fault)
                else:
                    self.count["not met again"] += 1

    def judge(self, life):
        n = len(life.fired)
        self.count["injected"] += n
        if life.bad:
            self.findings.append((life.fired, life.bad))
            print(f"# FOUND {', '.join(map(str, life.fired))}: "
                  f"{' '.join(life.bad.split())}", flush=True)
        elif life.survived:
            self.count["survived"] += n
        elif n:
            self.count["survived"] += n - 1
            self.count["aborted by libsystemd" if life.aborted else
                       "clean exits"] += 1
            if VERBOSE:
                print(f"# exit after {life.fired[-1]}", flush=True)
        self.count["restored late"] += bool(n and not life.restored)
        self.count["marks left to the next"] += bool(n and life.left)
        if VERBOSE and not life.bad and (not life.restored or life.left):
            print(f"# late {life.restored} {life.left}: "
                  f"{', '.join(map(str, life.fired))}", flush=True)

    def blame(self, life):
        """Each of its failures alone."""
        alone = [self.world.live([fault]) for fault in life.fired]
        for one in alone:
            self.judge(one)
        if "come true" in life.bad:
            return              # each alone is survived in time
        if not any(one.bad for one in alone):
            print(f"# FOUND together {', '.join(map(str, life.fired))}: "
                  f"{' '.join(life.bad.split())}", flush=True)
            self.findings.append((life.fired, life.bad))


def nothing_is_left_out(t):
    """Each function that the programs take from a library can fail, or is
    known not to."""
    text = (harness.TOP / "tests/faults/boundary.def").read_text()
    known = set(re.findall(r"^CALL\((\w+),", text, re.M)) | CANNOT_FAIL
    for program in PROGRAMS:
        done = subprocess.run(["nm", "-D", "-u", harness.BUILD / program],
                              capture_output=True, text=True, check=True)
        used = {line.split()[-1].split("@")[0]
                for line in done.stdout.splitlines() if " w " not in line}
        used = {re.sub("^__isoc(99|23)_", "", name) for name in used}
        left = sorted(used - known)
        check(not left, f"{program} calls what is in neither list: {left}")


def each_call_fails_once(t):
    if "FAULTS" not in os.environ:
        harness.skip("FAULTS=all (make faults) takes a quarter of an hour")
    campaign = Campaign(World(t))
    campaign.run(float("inf") if ALL else SECONDS)
    figures = ", ".join(f"{n} {what}" for what, n in campaign.count.items())
    print(f"# {len(campaign.places)} places, {len(campaign.known)} failures "
          f"at them (seed {SEED}): {figures}, {len(campaign.findings)} bad, "
          f"{len(campaign.queue)} not tried", flush=True)
    check(campaign.count["injected"] > 0, "nothing has failed")
    check(not campaign.findings, f"{len(campaign.findings)} ended badly: "
          f"{campaign.findings[0][1] if campaign.findings else ''}")


def need_library():
    harness.need_ksm()
    if not LIBRARY.exists():
        harness.skip("the library is written for x86-64 only")


if __name__ == "__main__":
    harness.run(nothing_is_left_out, each_call_fails_once, needs=need_library)
