#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 600
"""ksmd-plusctl explain names the reason: for each that can be had here there
is a process, or a machine, in that state.

What can be told from /proc is asked without a daemon; what only the daemon
knows with one, see explainstates.py.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import explaining
import explainstates
import harness
import hostile
from explaining import (CTL, config_file, excuse, explain, host, must_have,
                        named, names, one, reasons)
from harness import check, wait_for

PR_SET_NAME, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 15, 22, 38


def asleep(t, name):
    """A program of that name that sleeps."""
    program = t.folder / name
    shutil.copy(shutil.which("sleep"), program)

    class Sleeper:
        def __init__(self):
            self.process = subprocess.Popen([str(program), "300"])
            self.pid = self.process.pid

        def stop(self):
            self.process.kill()
            self.process.wait()
    return t.own(Sleeper())


# --- from /proc alone --------------------------------------------------------

@contextlib.contextmanager
def a_huge_page():
    """Set aside for hugetlbfs, if one can be had."""
    path = Path("/proc/sys/vm/nr_hugepages")
    try:
        before = int(path.read_text())
        path.write_text(str(before + 1))
    except OSError:
        yield False
        return
    try:
        yield int(path.read_text()) > before
    finally:
        path.write_text(str(before))


def names_each_class_of_mappings(t):
    with a_huge_page() as there_is:
        explaining.check_classes(t, *["hugetlb"][:there_is])
        t.close()


def names_the_rule(t):
    p = t.target("dup", "--size", "4")
    lines = ["[scan]", "", "[target here]", f"exe = {t.folder}/dup",
             "mode = %s", ""]

    def asked(mode):
        config = config_file(t, "\n".join(lines) % mode)
        return config, one(explain(p.pid, "--config", config))

    for mode, reason in (("exclude", "excluded"), ("observe", "observed"),
                         ("managed", "managed")):
        config, row = asked(mode)
        must_have(names(row["reasons"]), reason, "here")
        check((row["mode"], row["target"], row["file"], row["line"]) ==
              (mode, "here", config, 3), f"{row}")
    _, row = asked("selective")
    check(row["mode"] == "selective" and not row["reasons"], f"{row}")
    must_have(reasons(p.pid, "--config", config_file(t, "\n")), "not-named")


def names_what_is_never_touched(t):
    config = config_file(t)
    shutil.copy(harness.BUILD / "tests/targets/dup", t.folder / "vault")
    must_have(reasons(t.target("vault", "--size", "4").pid, "--config",
                      config), "keeps-secrets")
    hidden = t.target("hidden")
    wait_for(lambda: "not-dumpable" in reasons(hidden.pid, "--config", config),
             10, "not-dumpable")
    must_have(reasons(hidden.pid, "--config", config), "not-dumpable")
    must_have(reasons(1), "pid-1")
    must_have(reasons(harness.ksmd_pid()), "kernel-thread")
    must_have(reasons(asleep(t, "ksmd-plus-x").pid), "ourselves")
    nobody = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "true"], check=False)
    if nobody.returncode == 0:
        program = shutil.copy(CTL, t.folder / "ksmd-plusctl")
        t.folder.chmod(0o755)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", program, "explain",
             "--json", str(os.getpid())], capture_output=True, text=True,
            timeout=60, check=True)
        must_have(names(json.loads(done.stdout)["processes"][0]["reasons"]),
                  "not-readable")
    else:
        excuse("nobody else can be become", "not-readable")


def names_what_keeps_a_process_from_being_enrolled(t):
    config = config_file(t)
    p = t.target("blocked", "--call", "pause")
    os.kill(p.pid, signal.SIGSTOP)
    wait_for(lambda: hostile.state(p.pid) == "T", 10, "its stop")
    must_have(reasons(p.pid, "--config", config), "group-stopped")
    os.kill(p.pid, signal.SIGCONT)
    t.own(hostile.Debugger(p.pid))
    must_have(reasons(p.pid, "--config", config), "traced", "gdb")
    bits32 = t.target("bits32")
    wait_for(lambda: bits32.process.poll() is not None or
             not os.readlink(f"/proc/{bits32.pid}/exe").endswith("/bits32"),
             30, "its becoming 32-bit")
    if bits32.process.poll() is None:
        config = config_file(t, "[target x]\ncomm = *\nmode = selective\n")
        must_have(reasons(bits32.pid, "--config", config), "32-bit")
    else:
        excuse("no 32-bit programs run", "32-bit")


def under_a_filter():
    """In a child: a seccomp filter that lets everything pass."""
    libc = ctypes.CDLL(None, use_errno=True)
    allow = ctypes.create_string_buffer(
        b"\x06\x00\x00\x00\x00\x00\xff\x7f", 8)    # RET SECCOMP_RET_ALLOW

    class Program(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    program = Program(1, ctypes.addressof(allow))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0):
        os._exit(77)


def names_seccomp_where_it_cannot_be_suspended(t):
    p = t.target("sandbox", "--action", "errno")
    config = config_file(t)
    wait_for(lambda: "Seccomp:\t2" in
             Path(f"/proc/{p.pid}/status").read_text(), 10, "its filter")
    must_have(reasons(p.pid, "--config", config, preexec_fn=under_a_filter),
              "seccomp")
    other = t.target("dup", "--size", "4")
    check("seccomp" not in reasons(other.pid, "--config", config,
                                   preexec_fn=under_a_filter),
          "a process without a filter")


# --- the machine -------------------------------------------------------------

def names_what_keeps_all_from_merging(t):
    me = os.getpid()
    must_have(host(me), "no-daemon")
    for run, name in (("0", "ksm-stopped"), ("2", "ksm-unmerged")):
        harness.ksm_write("run", run)
        must_have(host(me), name)
    harness.ksm_write("run", "1")
    found = host(me)
    check(not {"ksm-stopped", "ksm-unmerged"} & set(found), f"{found}")
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        excuse("no mount namespace can be made", "no-ksm")
    else:
        must_have(host(me, prefix=(
            "unshare", "-m", "sh", "-c",
            'mount -t tmpfs none /sys/kernel/mm/ksm && exec "$@"', "sh")),
            "no-ksm")
    manager = asleep(t, "ksmtuned")
    must_have(host(me), "other-manager", "ksmtuned", manager.pid)


def in_namespace(t, *files):
    """A prefix for explain: each (path, text) lies over that file."""
    commands = []
    for path, text in files:
        over = t.folder / path.strip("/").replace("/", "-")
        over.write_text(text)
        commands.append(f"mount --bind {over} {path}")
    commands.append('exec "$@"')
    return ("unshare", "-m", "sh", "-ec", " && ".join(commands), "sh")


def names_settings_of_the_machine(t):
    nodes = "/sys/devices/system/node/has_memory"
    why = next((why for why, is_so in {
        "no mount namespace can be made": subprocess.run(
            ["unshare", "-m", "true"], capture_output=True,
            check=False).returncode,
        "this kernel knows no nodes": not os.path.exists(nodes),
        "this kernel does not count chains":
            not (harness.KSM / "stable_node_chains").exists(),
    }.items() if is_so), None)
    if why:
        excuse(why, "not-across-nodes", "max-page-sharing", "yama")
        harness.skip(why)
    me = os.getpid()
    ksm = str(harness.KSM)
    must_have(host(me, prefix=in_namespace(
        t, (nodes, "0-1\n"),
        (f"{ksm}/merge_across_nodes", "0\n"))), "not-across-nodes")
    must_have(host(me, prefix=in_namespace(
        t, (f"{ksm}/stable_node_chains", "3\n"))), "max-page-sharing",
        "3 contents")
    must_have(host(me, prefix=(
        "unshare", "-m", "sh", "-ec", "mount -t tmpfs none /proc/sys/kernel; "
        "mkdir /proc/sys/kernel/yama; "
        'echo 3 >/proc/sys/kernel/yama/ptrace_scope; exec "$@"', "sh")),
        "yama")


# --- whose memory ------------------------------------------------------------

class Cgroup:
    """A unit's cgroup, in the hierarchy that systemd uses or would use."""

    def __init__(self, *parts):
        roots = [root for root in map(Path, ("/sys/fs/cgroup/systemd",
                                             "/sys/fs/cgroup"))
                 if (root / "cgroup.procs").exists() and
                 os.access(root, os.W_OK)]
        if not roots:
            harness.skip("no cgroup can be made")
        self.made = []
        path = roots[0]
        for part in parts:
            path /= part
            path.mkdir()
            self.made.insert(0, path)

    def take(self, pid):
        (self.made[0] / "cgroup.procs").write_text(str(pid))

    def stop(self):
        """Behind its processes; the kernel may take a moment."""
        for path in self.made:
            wait_for(lambda: not (path / "cgroup.procs").read_text(), 10,
                     "the cgroup's end")
            path.rmdir()


def explains_units_and_cgroups(t):
    tag = f"ksmd-plus-{os.getpid()}"
    cgroup = t.own(Cgroup(f"{tag}.slice", f"{tag}-web@1.service"))
    pids = [t.target("dup", "--size", "4", "--id", str(i)).pid
            for i in range(2)]
    outside = t.target("dup", "--size", "4").pid
    for pid in pids:
        cgroup.take(pid)
    config = config_file(t)
    for what in (f"{tag}-web@1", f"{tag}-web@1.service", f"{tag}-web@*",
                 f"/{tag}.slice", f"/{tag}.slice/*"):
        found = explain(what, "--config", config)["processes"]
        check(sorted(p["pid"] for p in found) == sorted(pids),
              f"{what}: {[p['pid'] for p in found]}, not {pids}")
    for option, what in (("--unit", f"{tag}-web@*.service"),
                         ("--cgroup", f"/{tag}.slice")):
        done = subprocess.run([CTL, "plan", "--json", "--config", config,
                               option, what], capture_output=True, text=True,
                              timeout=60, check=True)
        found = [p["pid"] for p in json.loads(done.stdout)["processes"]]
        check(sorted(found) == sorted(pids) and outside not in found,
              f"plan {option}: {found}, not {pids}")


# --- strangers' names --------------------------------------------------------

def hostile_names_stay_harmless(t):
    evil = b"\x1b[2J\n\"\xff\\"

    def rename():
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_NAME, evil, 0, 0, 0)

    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        rename()
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    try:
        comm = Path(f"/proc/{pid}/comm")
        wait_for(lambda: evil[:4] in comm.read_bytes(), 10, "its name")
        row = one(explain(pid))
        check("\x1b" not in row["comm"] and "\n" not in row["comm"], f"{row}")
        done = subprocess.run([CTL, "explain", str(pid)], timeout=60,
                              capture_output=True, check=True)
        text = done.stdout.decode()     # valid UTF-8
        check(not any(ord(c) < 32 and c != "\n" for c in text), repr(text))
    finally:
        os.close(write)
        os.waitpid(pid, 0)


def usage(t):
    leaderless = t.target("leaderless")
    wait_for(lambda: hostile.state(leaderless.pid) == "Z", 10, "its end")

    def ctl(*args):
        return subprocess.run([CTL, "explain", *map(str, args)],
                              capture_output=True,
                              text=True, timeout=60, check=False)

    for args in ((), ("1", "2")):
        check(ctl(*args).returncode == 2, f"{args}")
    for what, part in (("nothing-of-that-name",
                        "nothing-of-that-name.service"),
                       ("/nothing/like/it", "/nothing/like/it"),
                       ("4194305", "4194305"), ("0", "0.service"),
                       (leaderless.pid, "first thread has ended")):
        done = ctl(what)
        check(done.returncode == 1 and part in done.stderr and
              not done.stdout, f"{what}: {done.stderr}")


def all_reasons_were_named(t):
    if len(sys.argv) > 1:
        harness.skip("not all tests are run")
    explaining.check_all_named()


if __name__ == "__main__":
    harness.run(names_each_class_of_mappings, names_the_rule,
                names_what_is_never_touched,
                names_what_keeps_a_process_from_being_enrolled,
                names_seccomp_where_it_cannot_be_suspended,
                names_what_keeps_all_from_merging,
                names_settings_of_the_machine, *explainstates.TESTS,
                explains_units_and_cgroups,
                hostile_names_stay_harmless, usage, all_reasons_were_named)
