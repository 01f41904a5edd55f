#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ksmd-plusctl run: what it starts is the same process, opted in, and nobody
notices that there was something before it."""

import ctypes
import os
import shutil
import signal
import struct
import subprocess

import harness
from harness import check, wait_for

CTL = str(harness.BUILD / "ksmd-plusctl")
# Only what is handed over; what a target names may be excluded by it.
CONFIG = "[target no]\ncomm = excluded\nmode = exclude\n"


def launched(t, daemon, *program):
    """A target that is started by `run`."""
    argv = [CTL, "--socket", str(daemon.run_dir / "bus"), "run", "--",
            *map(str, program)]
    return t.own(harness.Target(argv))


def copy_of(t, name, new_name=None):
    path = t.folder / (new_name or name)
    shutil.copy(harness.BUILD / "tests/targets" / name, path)
    return path


def rows(daemon):
    return {p["pid"]: p for p in daemon.ctl_json("list")
            if p["target"] == "run"}


def run_whole(*program, **kwargs):
    return subprocess.run([CTL, "run", "--whole", "--", *program],
                          capture_output=True, text=True, timeout=60, **kwargs)


def whole(*program, **kwargs):
    done = run_whole(*program, **kwargs)
    if done.returncode == 125 and "Linux 6.4" in done.stderr:
        harness.skip("this kernel has no PR_SET_MEMORY_MERGE")
    return done


def is_a_target_until_it_ends(t):
    daemon = t.daemon(CONFIG)
    dup = copy_of(t, "dup")
    pair = [launched(t, daemon, dup, "--id", i, "--size", 64)
            for i in (1, 2)]
    wait_for(lambda: all(rows(daemon).get(p.pid, {}).get("pages_saved")
                         for p in pair), 60, "both merge")
    for p in pair:
        row = rows(daemon)[p.pid]
        check(row["mode"] == "selective" and row["comm"] == "dup" and
              row["rule"] == "started by ksmd-plusctl run", row)
        check(harness.marks(p.pid) > 0, "not enrolled")
        p.intact()
    told = [x for x in daemon.status()["targets"] if x["name"] == "run"]
    check(len(told) == 1 and told[0]["processes"] == 2 and
          told[0]["bytes_saved"] > 0, told)
    for p in pair:
        p.finish()
    wait_for(lambda: "run" not in
             [x["name"] for x in daemon.status()["targets"]], 30, "its end")


def descendants_are_in_it(t):
    """Also when whoever started them has ended and all is judged anew; and
    what somebody else has started is not."""
    daemon = t.daemon(CONFIG)
    dup = copy_of(t, "dup")
    t.own(harness.Target([str(dup), "--size", "16"]))
    shell = launched(t, daemon, "sh", "-c",
                     f"exec 3<&0; sh -c '{dup} --size 16 <&3; true' &"
                     "echo ready; wait")
    found = wait_for(lambda: [p for p in rows(daemon).values()
                              if p["comm"] == "dup"], 30, "the grandchild")
    check(len(found) == 1, found)
    shell.process.kill()
    pidfd = os.pidfd_open(found[0]["pid"])
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "Configuration reloaded" in daemon.log(), 10, "a reload")
    wait_for(lambda: shell.pid not in rows(daemon), 30, "the shell's end")
    check(found[0]["pid"] in rows(daemon), "it is no longer in it")
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)


def works_under_a_filter_that_forbids_it(t):
    daemon = t.daemon(CONFIG)
    sandbox = copy_of(t, "sandbox")
    pair = [launched(t, daemon, sandbox, "--action", "kill")
            for _ in range(2)]
    if harness.UNDER:           # a filter, under which none can be suspended
        wait_for(lambda: all("seccomp filter" in rows(daemon).get(
            p.pid, {}).get("note", "") for p in pair), 60, "the reason")
    else:
        wait_for(lambda: all(rows(daemon).get(p.pid, {}).get("pages_saved")
                             for p in pair), 60, "both merge")
    for p in pair:
        p.finish()


def excludes_hold(t):
    daemon = t.daemon(CONFIG)
    kept = {launched(t, daemon, copy_of(t, "dup", name), "--size", 16).pid
            for name in ("ssh-agent", "gpg-x", "excluded")}
    seen = launched(t, daemon, copy_of(t, "dup"), "--size", 16)
    wait_for(lambda: rows(daemon).get(seen.pid, {}).get("tracked_pages"),
             30, "the other one")
    listed = {p["pid"] for p in daemon.ctl_json("list")}
    check(not kept & listed, "what is excluded was looked at")


def nothing_starts_without_the_daemon(t):
    trace = t.folder / "started"
    argv = [CTL, "run", "--", "touch", str(trace)]
    env = dict(os.environ, RUNTIME_DIRECTORY=str(t.folder))
    done = subprocess.run(argv, env=env, capture_output=True, text=True)
    check(done.returncode == 125 and "not running" in done.stderr, done)
    daemon = t.daemon(CONFIG)
    os.chmod(daemon.run_dir, 0o755)
    os.chmod(t.folder, 0o755)
    os.chmod(daemon.run_dir / "bus", 0o666)
    done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups",
                           *argv], env=daemon.env, capture_output=True,
                          text=True)
    check(done.returncode == 125 and "Only root" in done.stderr, done)
    check(not trace.exists(), "it was started")


def is_not_in_between(t):
    for args, status in ((["sh", "-c", "exit 42"], 42),
                         (["sh", "-c", "kill -TERM $$"], -signal.SIGTERM),
                         (["sh", "-c", "kill -PIPE $$"], -signal.SIGPIPE),
                         (["/nonexistent/x"], 127), (["/etc/passwd"], 126)):
        done = whole(*args)
        check(done.returncode == status, f"{args}: {done}")
    with subprocess.Popen([CTL, "run", "--whole", "--", "sh", "-c",
                           "echo $$; ls /proc/$$/fd; cat /proc/$$/comm; true"],
                          stdout=subprocess.PIPE, text=True) as process:
        pid, *fds, comm = process.stdout.read().split()
    check(int(pid) == process.pid and comm == "sh",
          f"another process: {comm}, pid {pid} and not {process.pid}")
    # dash keeps none of its own for -c
    check(set(fds) <= {"0", "1", "2"}, f"open: {fds}")
    done = whole("printf", "%s|", "--json", "-h", "--", "a b")
    check(done.stdout == "--json|-h|--|a b|", done.stdout)
    ignored = whole("grep", "^Sig[IB]", "/proc/self/status",
                    preexec_fn=lambda: signal.signal(signal.SIGPIPE,
                                                     signal.SIG_IGN))
    bare = subprocess.run(["grep", "^Sig[IB]", "/proc/self/status"],
                          capture_output=True, text=True,
                          restore_signals=False)
    plain = whole("grep", "^Sig[IB]", "/proc/self/status",
                  restore_signals=False)
    mask = int(ignored.stdout.split("SigIgn:")[1].split()[0], 16)
    check(mask >> signal.SIGPIPE - 1 & 1, "an ignored signal stays ignored")
    check(plain.stdout == bare.stdout, f"{plain.stdout} not {bare.stdout}")


def whole_is_asked_of_the_kernel(t):
    done = whole("cat", "/proc/self/ksm_stat", "/proc/self/status",
                 env={"PATH": os.environ["PATH"],
                      "RUNTIME_DIRECTORY": "/nonexistent"})
    if "ksm_merge_any" not in done.stdout:
        harness.skip("this kernel does not tell who is merged as a whole")
    check("ksm_merge_any: yes" in done.stdout, done.stdout)


def forbid_merge_prctl():
    """Make PR_SET_MEMORY_MERGE what it is on an older kernel: EINVAL."""
    def code(op, jump, other, value):
        return struct.pack("HBBI", op, jump, other, value)

    nr = {"x86_64": 157, "aarch64": 167}[os.uname().machine]
    program = b"".join([
        code(0x20, 0, 0, 0), code(0x15, 0, 3, nr),      # is it prctl?
        code(0x20, 0, 0, 16), code(0x15, 0, 1, 67),     # with that option?
        code(0x06, 0, 0, 0x00050000 | 22),              # EINVAL
        code(0x06, 0, 0, 0x7fff0000)])                  # else allow
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxQ", len(program) // 8,
                        ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, fprog):
        os._exit(77)


def an_older_kernel_is_named(t):
    trace = t.folder / "started"
    done = run_whole("touch", str(trace), preexec_fn=forbid_merge_prctl)
    if done.returncode == 77:
        harness.skip("no seccomp here")
    check(done.returncode == 125 and "Linux 6.4" in done.stderr, done)
    check(len(done.stderr.splitlines()) == 1, done.stderr)
    check(not trace.exists(), "it was started")


if __name__ == "__main__":
    harness.run(is_a_target_until_it_ends, descendants_are_in_it,
                works_under_a_filter_that_forbids_it, excludes_hold,
                nothing_starts_without_the_daemon, is_not_in_between,
                whole_is_asked_of_the_kernel, an_older_kernel_is_named)
