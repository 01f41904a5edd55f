#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon does where it cannot do its work: one clear sentence and a
failure, or what still works goes on and status says what is missing."""

import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import harness
from harness import check, wait_for
from tracing import injectors_of, kill_idle

DAEMON = str(harness.BUILD / "ksmd-plus")
USAGE = 2


def run(t, *args, prefix=(), env=(), program=DAEMON):
    """Run the daemon until it ends by itself."""
    environ = {**os.environ, "RUNTIME_DIRECTORY": str(t.folder / "other"),
               **dict(env)}
    return subprocess.run([*harness.UNDER, *prefix, program, *args],
                          env=environ, capture_output=True, text=True,
                          timeout=30 * harness.SLOW,
                          stdin=subprocess.DEVNULL)


def check_refuses(done, *words):
    """With a failure, one line about why, and nothing else."""
    check(done.returncode == 1, f"exit status {done.returncode}: "
          f"{done.stderr}")
    lines = done.stderr.splitlines()
    check(len(lines) == 1, f"not one sentence: {lines}")
    for word in words:
        check(word in lines[0], f"nothing about {word}: {lines[0]}")
    check(done.stdout == "", done.stdout)
    print(f"# {lines[0]}", flush=True)


# In two steps: busybox does not make the second one by itself.
READ_ONLY_SYS = "mount --bind /sys /sys && mount -o remount,bind,ro /sys"


# A prefix that runs a program with mounts of its own,
APART = ("unshare", "--mount", "--propagation", "private")


def in_namespace(script):
    """... and after @script there."""
    return (*APART, "sh", "-c", script + ' && exec "$@"', "sh")


def need_namespace():
    if subprocess.run([*APART, "true"], capture_output=True).returncode:
        harness.skip("no mount namespace can be made")


def a_second_daemon_refuses(t):
    daemon = t.daemon()
    knobs = harness.knobs()
    check_refuses(run(t), str(daemon.pid))
    check_refuses(run(t, env={"RUNTIME_DIRECTORY": str(daemon.run_dir)}),
                  str(daemon.pid))
    check_refuses(run(t, "--restore"), str(daemon.pid))
    check(harness.knobs() == knobs, "it has changed knobs")
    check(daemon.status()["warnings"] is not None, "the first one is gone")
    daemon.kill()
    daemon.start()              # a killed one holds nothing
    daemon.wait_ready()


def only_root_may(t):
    t.folder.chmod(0o777)
    done = run(t, prefix=("setpriv", "--reuid", "65534", "--clear-groups"),
               program=str(reachable(t)))
    check_refuses(done, "root")


def reachable(t):
    """The daemon where another user can run it."""
    program = t.folder / "ksmd-plus"
    shutil.copy(DAEMON, program)
    t.folder.chmod(0o755)
    return program


def a_kernel_without_ksm(t):
    done = run(t, prefix=in_namespace("mount -t tmpfs none /sys/kernel/mm"))
    check_refuses(done, "no KSM", "CONFIG_KSM")


def a_read_only_sys(t):
    prefix = in_namespace(READ_ONLY_SYS)
    check_refuses(run(t, prefix=prefix), "Cannot write", "/sys")
    check_refuses(run(t, "--restore", prefix=prefix), "Cannot write", "/sys")


def a_dry_run_needs_no_writable_sys(t):
    targets = [t.target("dup", "--size", "4", "--id", str(i))
               for i in range(2)]
    daemon = harness.Daemon(t.folder, t.config(), ["--dry-run"])
    t.stack.callback(daemon.terminate)
    daemon.terminate()
    daemon.argv = [*in_namespace(READ_ONLY_SYS), *daemon.argv]
    daemon.start()
    daemon.wait_ready()
    wait_for(lambda: {row["pid"] for row in daemon.ctl_json("list")} >=
             {p.pid for p in targets}, 30, "its look around")


def a_runtime_directory_that_cannot_be(t):
    (t.folder / "file").write_text("")
    knobs = harness.knobs()
    for path in ("/proc/none", f"{t.folder}/no/such", f"{t.folder}/file"):
        check_refuses(run(t, env={"RUNTIME_DIRECTORY": path}), path)
    check(harness.knobs() == knobs, "it has changed knobs")


def a_ledger_that_is_garbage(t):
    """From a disk that was full, or an enemy: no knob gets a wild value."""
    knobs = harness.knobs()
    daemon = t.daemon(wait=False)
    daemon.wait_ready().kill()
    harness.restore_knobs(knobs)
    (daemon.run_dir / "ledger").write_bytes(
        b"knob run 9\nknob\x00\xff pages_to_scan\nwrote pages_to_scan 1\n"
        b"enrol 1 0 zz\nenrol -1 99999999999999999999 0 0\nknob ../x 1\n" +
        os.urandom(5000) + b"\nknob sleep_millisecs")
    daemon.start()
    daemon.wait_ready()
    check(daemon.terminate() == 0, "exit status")
    check(harness.knobs() == knobs, f"{harness.knobs()}, not {knobs}")


def merged(targets):
    return all(p.ksm_stat()["ksm_merging_pages"] >= 250 for p in targets)


def without_its_injector(t):
    """What registered itself is merged all the same."""
    config = (f"[target own]\nexe = {t.folder}/own\nmode = managed\n" +
              t.config())
    shutil.copy(harness.BUILD / "tests/targets/dup", t.folder / "own")
    own = [t.target("own", "--size", "4", "--id", str(i), "--register",
                    "madvise") for i in range(2)]
    named = [t.target("dup", "--size", "4", "--id", str(i))
             for i in range(2)]
    alone = t.folder / "alone"
    alone.mkdir()
    program = shutil.copy(DAEMON, alone / "ksmd-plus")
    daemon = harness.Daemon(t.folder, config, program=program)
    t.stack.callback(daemon.terminate)
    t.daemons.append(daemon)
    daemon.wait_ready()
    wait_for(lambda: merged(own), 30, "merging what registered itself")
    time.sleep(1)
    names = {w["name"]: w["sentence"] for w in daemon.status()["warnings"]}
    check("no-injector" in names, f"{names}")
    print(f"# {names['no-injector']}")
    check(not any(harness.marks(p.pid) for p in named), "how?")
    check(daemon.terminate() == 0, "exit status")


def warned(daemon, name="no-injector"):
    return any(w["name"] == name for w in daemon.status()["warnings"])


def an_injector_that_dies_is_replaced(t):
    """Killed while it has nothing to do, the last time without a program to
    start in its stead for a while."""
    folder = t.folder / "programs"
    folder.mkdir()
    for name in ("ksmd-plus", "ksmd-plus-injector"):
        shutil.copy(harness.BUILD / name, folder)
    first = [t.target("dup", "--size", "4", "--id", str(i)) for i in range(2)]
    daemon = harness.Daemon(t.folder, t.config(), program=folder / "ksmd-plus")
    t.stack.callback(daemon.terminate)
    t.daemons.append(daemon)
    daemon.wait_ready()
    wait_for(lambda: merged(first) and daemon.status()["state"] == "resting",
             30, "rest after the merge")
    for _ in range(2):
        old = injectors_of(daemon.pid)
        check(len(old) == 1, f"injectors: {old}")
        kill_idle(old[0])
        wait_for(lambda: set(injectors_of(daemon.pid)) - set(old), 30,
                 "a new injector")
    path, away = folder / "ksmd-plus-injector", folder / "away"
    last, = injectors_of(daemon.pid)
    path.rename(away)
    kill_idle(last)
    wait_for(lambda: warned(daemon), 30, "the warning")
    away.rename(path)
    second = [t.target("dup", "--size", "4", "--seed", "2", "--id", str(i))
              for i in range(2)]
    wait_for(lambda: merged(second), 30, "merging with the new injector")
    check(not warned(daemon), "it is warned about all the same")
    check(daemon.terminate() == 0, "exit status")
    for p in first + second:
        p.finish()


def counters_that_cannot_be_read(t):
    """Said as a warning while it is so, and no reason to end."""
    need_namespace()
    daemon = t.daemon(under=APART)
    counter = str(harness.KSM / "pages_shared")

    def is_told():
        return warned(daemon, "no-counters")

    def within(*command):
        subprocess.run(["nsenter", "-m", "-t", str(daemon.pid), *command],
                       check=True)

    check(not is_told(), "a warning without a reason")
    within("mount", "--bind", "/dev/null", counter)
    check(is_told(), "no warning")
    check("KSM's counters" in daemon.ctl("status").stdout, "status as text")
    within("umount", counter)
    check(not is_told(), "the warning stays")


def a_count_below_zero(t):
    """The kernel's count of zero pages may be that: it was seen at -1 with
    nothing merged."""
    need_namespace()
    counter = harness.KSM / "ksm_zero_pages"
    if not counter.exists():
        harness.skip(f"this kernel has no {counter.name}")
    below = t.folder / "below"
    below.write_text("-4096\n")
    pair = [t.target("dup", "--size", "4", "--id", str(i)) for i in range(2)]
    daemon = t.daemon(
        under=in_namespace(f"mount --bind {below} {counter}"))
    wait_for(lambda: merged(pair), 30, "the merge")
    wait_for(lambda: daemon.status()["state"] == "resting", 30, "rest")
    status = daemon.status()
    check(status["zero_pages"] == 0, f"{status['zero_pages']} zero pages")
    check(250 <= status["pages_saved"] < 1 << 20,
          f"{status['pages_saved']} pages saved")
    check(not warned(daemon, "no-counters"), "a warning without a reason")


def without_its_keeper(t):
    """Who starts injectors is dead, and then the injector is: the daemon ends
    as failed, and the next one finds all that it has to."""
    pair = [t.target("dup", "--size", "4", "--id", str(i)) for i in range(2)]
    daemon = t.daemon()
    wait_for(lambda: merged(pair), 30, "the merge")
    keeper, = [pid for pid in harness.family_of(daemon.pid)[1:] if
               Path(f"/proc/{pid}/comm").read_text() == "ksmd-plus-keep\n"]
    os.kill(keeper, signal.SIGKILL)
    time.sleep(0.5)
    check(daemon.status()["pages_saved"] >= 250, "it goes on at first")
    for pid in injectors_of(daemon.pid):
        kill_idle(pid)
    wait_for(lambda: daemon.process.poll() is not None, 60, "the end")
    check(daemon.process.returncode == 1, f"{daemon.process.returncode}")
    check("starts injectors has died" in daemon.log(), daemon.log())
    check(harness.knobs() == t.saved, "knobs are left")
    daemon.start()
    daemon.wait_ready()
    wait_for(lambda: merged(pair), 30, "merging again")
    check(daemon.terminate() == 0, "exit status")
    check(not any(harness.marks(p.pid) for p in pair), "marks are left")
    for p in pair:
        p.intact()


def configurations_are_checked(t):
    good, bad = t.folder / "good.conf", t.folder / "bad.conf"
    good.write_text(t.config("[scan]", "cpu_limit = 5%"))
    bad.write_text("[scan]\ncpu_limit = much\n\n[merge]\nmax_rnages = 4\n")
    knobs = harness.knobs()
    done = run(t, "--check-config", "--config", str(good))
    check(done.returncode == 0 and not done.stderr, f"good: {done.stderr}")
    done = run(t, "--check-config", "-c", str(bad))
    check(done.returncode == 1, f"bad: exit status {done.returncode}")
    for where in (f"{bad}:2: ", f"{bad}:5: "):
        check(any(line.startswith(where)
                  for line in done.stderr.splitlines()), done.stderr)
    done = run(t, "--check-config", "-c", str(t.folder / "none.conf"))
    check(done.returncode == 1, f"missing: exit status {done.returncode}")
    check("none.conf" in done.stderr, done.stderr)
    check(harness.knobs() == knobs, "checking changes knobs")
    for prefix in ((), ("setpriv", "--reuid", "65534", "--clear-groups")):
        done = run(t, "--check-config", "-c",
                   str(harness.TOP / "etc/ksmd-plus.conf"), prefix=prefix,
                   program=str(reachable(t)))
        check(done.returncode == 0, f"the shipped file: {done.stderr}")


def faults_at_the_start_are_no_reason_to_stop(t):
    """A bad value: warned with its line, the default stays."""
    daemon = t.daemon("[scan]\ncpu_limit = much\n" + t.config())
    check(f"{daemon.config}:2:" in daemon.log(), daemon.log())
    check(daemon.terminate() == 0, "exit status")


def a_named_file_must_exist(t):
    done = run(t, "--config", str(t.folder / "none.conf"))
    check(done.returncode == 1, f"exit status {done.returncode}")
    check("none.conf" in done.stderr, done.stderr)


def usage(t):
    done = run(t, "--help")
    check(done.returncode == 0 and done.stdout.startswith("Usage: ksmd-plus")
          and not done.stderr, "--help")
    for line in done.stdout.splitlines():
        check(len(line) <= 80, f"--help has a line of {len(line)} columns")
    done = run(t, "--version")
    check(done.returncode == 0 and done.stdout.startswith("ksmd-plus "),
          "--version")
    for args in (["--nonsense"], ["argument"], ["--config"], ["-x"]):
        done = run(t, *args)
        check(done.returncode == USAGE, f"{args}: {done.returncode}")
        check("--help" in done.stderr and not done.stdout, f"{args}")


def its_files_are_its_own(t):
    """The ledger says what is mapped where in other users' processes."""
    daemon = t.daemon()
    for path in daemon.run_dir.iterdir():
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            check(mode & 0o077 == 0, f"{path.name} has mode {mode:o}")
    check((daemon.run_dir / "bus").is_socket(), "no socket")


if __name__ == "__main__":
    harness.run(a_second_daemon_refuses, only_root_may, a_kernel_without_ksm,
                a_read_only_sys, a_dry_run_needs_no_writable_sys,
                a_runtime_directory_that_cannot_be, a_ledger_that_is_garbage,
                without_its_injector, without_its_keeper,
                an_injector_that_dies_is_replaced,
                counters_that_cannot_be_read, a_count_below_zero,
                configurations_are_checked,
                faults_at_the_start_are_no_reason_to_stop,
                a_named_file_must_exist, usage, its_files_are_its_own)
