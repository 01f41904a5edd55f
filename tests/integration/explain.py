#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ksmd-plusctl explain names the reason: for each that can be had here there
is a process, or a machine, in that state.

What can be told from /proc is asked without a daemon; what only the daemon
knows with one.
"""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import harness
import hostile
import huge
from harness import check, wait_for

CTL = str(harness.BUILD / "ksmd-plusctl")
CLASS_BYTES = 1 << 20
SEEN = set()                    # reasons that were named here

# What cannot be had here, or is over too soon to be asked for.
ELSEWHERE = {
    "shadow-stack": "needs a CPU and a libc with CET",
    "swapped": "needs swap; unit/sense/vmas",
    "hugetlb": "needs pages that were set aside",
    "device": "needs perf events", "droppable": "6.11",
    "userfaultfd": "needs the call", "32-bit": "needs a compiler for it",
    "not-readable": "needs another user", "no-ksm": "needs a namespace",
    "not-stopping": "contract/inject-refused", "signal": "contract/tracee",
    "rseq": "contract/inject-hostile", "no-thread": "contract/inject-refused",
    "no-syscall-insn": "contract/inject-refused",
    "shared-mm": "contract/inject-refused",
    "permission": "needs a security module",
    "refused": "contract/inject-refused",
    "keeps-breaking": "integration/accounts",
    # not brought about yet
    "volatile": "", "waits-for-pulse": "", "candidates": "",
    "not-looked-at": "",
}
PR_SET_NAME, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 15, 22, 38


def config_file(t, text=None):
    path = t.folder / "explain.conf"
    path.write_text(text or t.config())
    return str(path)


def explain(what, *args, env=(), prefix=(), **kwargs):
    """explain --json, parsed; it must succeed."""
    environ = {**os.environ, "RUNTIME_DIRECTORY": "/nonexistent", **dict(env)}
    done = subprocess.run([*prefix, CTL, "explain", "--json", str(what),
                           *args], env=environ, capture_output=True, text=True,
                          timeout=60, check=False, **kwargs)
    check(done.returncode == 0 and not done.stderr,
          f"exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def names(rows):
    return {row["reason"]: row for row in rows}


def one(result):
    check(len(result["processes"]) == 1, f"{result['processes']}")
    return result["processes"][0]


def reasons(*args, **kwargs):
    return names(one(explain(*args, **kwargs))["reasons"])


def host(*args, **kwargs):
    return names(explain(*args, **kwargs)["host"])


def must_have(found, name, *parts):
    check(name in found, f"no {name} in {sorted(found)}")
    for part in parts:
        check(str(part) in found[name]["detail"], f"{found[name]}")
    SEEN.add(name)
    print(f"# {name}", flush=True)


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

def names_each_class_of_mappings(t):
    p = t.target("classes")
    made = []
    while (line := p.line()) != "all":
        made.append(line.split()[1])
    found = names(one(explain(p.pid, "--config",
                              config_file(t)))["mappings"])
    for name in made:
        check(name in found, f"no {name} in {sorted(found)}")
        if name not in ("hugetlb", "device", "empty"):
            check(found[name]["resident_bytes"] >= CLASS_BYTES,
                  f"{found[name]}")
    check("special" in found, "no vdso")
    SEEN.update(found)
    print(f"# {' '.join(sorted(found))}", flush=True)
    check({"candidate", "registered", "shared-mapping", "locked",
           "do-not-dump", "wipe-on-fork", "stack", "file"} <= set(made),
          f"only {made} could be made")


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
    try:
        wait_for(lambda: "32-bit" in
                 names(one(explain(bits32.pid, "--config", config_file(
                     t, "[target x]\ncomm = *\nmode = selective\n")))
                       ["reasons"]), 5, "32-bit")
        print("# 32-bit", flush=True)
    except harness.Failed:
        check(bits32.process.poll() is not None, "32-bit is not named")


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
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0:
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
    settings = {"not-across-nodes", "max-page-sharing", "yama"}
    nodes = "/sys/devices/system/node/has_memory"
    SEEN.update(settings)       # unless they can be had
    if subprocess.run(["unshare", "-m", "true"], capture_output=True,
                      check=False).returncode:
        harness.skip("no mount namespace can be made")
    if not os.path.exists(nodes):
        harness.skip("this kernel knows no nodes")
    if not (harness.KSM / "stable_node_chains").exists():
        harness.skip("this kernel does not count chains")
    SEEN.difference_update(settings)
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


# --- what the daemon knows ---------------------------------------------------

def daemon_reasons(daemon, p):
    return reasons(p.pid, "--config", str(daemon.config),
                   env={"RUNTIME_DIRECTORY": str(daemon.run_dir)})


def wait_reason(daemon, p, name, seconds=30):
    def named():
        found = daemon_reasons(daemon, p)
        return found if name in found else None

    found = wait_for(named, seconds, name)
    must_have(found, name)
    return found[name]


def names_what_becomes_of_pages(t):
    plain = [t.target("dup", "--size", "16", "--dup", "50", "--id", str(i),
                      "--volatile", "10") for i in range(2)]
    pinned = [t.target("classes", "--size", "1", "--seed", "7", "--pinned",
                       "yes") for _ in range(2)]
    wine = t.target("dispatch", "--seed", "7", "--size", "1")
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    row = wait_reason(daemon, plain[0], "merged")
    wait_for(lambda: daemon_reasons(daemon, plain[0])["merged"]["pages"] >=
             0.45 * 4096, 30, "all merged")
    wait_reason(daemon, plain[0], "no-twin")
    wait_reason(daemon, pinned[0], "extra-references", 60)
    wait_for(lambda: daemon_reasons(daemon, pinned[0]).get(
        "extra-references", {"pages": 0})["pages"] >= 200, 60,
        "all that is held")
    wait_reason(daemon, wine, "user-dispatch")
    wait_for(lambda: daemon.ctl("pause").returncode == 0, 5, "pause")
    must_have(host(plain[0].pid, "--config", str(daemon.config),
                   env={"RUNTIME_DIRECTORY": str(daemon.run_dir)}), "paused")


def names_what_does_not_fit(t):
    big = t.target("dup", "--size", "320", "--dup", "0")
    daemon = t.daemon(t.config("[scan]", "memory_limit = 1M",
                               "cpu_limit = 100%"))
    wait_reason(daemon, big, "index-full", 60)


def names_what_huge_pages_hold_back(t):
    SEEN.update({"huge-held", "khugepaged"})    # unless it can be had
    huge.need_huge_pages()
    SEEN.difference_update({"huge-held", "khugepaged"})
    with huge.huge_pages():
        registered = t.target("dup", "--size", "16", "--register", "madvise")
        must_have(reasons(registered.pid), "khugepaged", "max_ptes_shared")
        registered.stop()
        pair = [t.target("dup", "--size", "16", "--dup", "4", "--run", "1",
                         "--id", str(i)) for i in range(2)]
        daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
        wait_reason(daemon, pair[0], "huge-held", 60)


def names_duplicates_that_are_not_enrolled(t):
    targets = [t.target("dup", "--size", "8", "--dup", "50", "--id", str(i))
               for i in range(2)]
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%", mode="observe"))
    row = wait_reason(daemon, targets[0], "not-enrolled")
    check(row["pages"] > 0, f"{row}")
    must_have(daemon_reasons(daemon, targets[0]), "observed")
    check(harness.marks(targets[0].pid) == 0, "observe has changed something")


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
    def ctl(*args):
        return subprocess.run([CTL, "explain", *args], capture_output=True,
                              text=True, timeout=60, check=False)

    for args in ((), ("1", "2")):
        check(ctl(*args).returncode == 2, f"{args}")
    for what, part in (("nothing-of-that-name",
                        "nothing-of-that-name.service"),
                       ("/nothing/like/it", "/nothing/like/it"),
                       ("4194305", "4194305"), ("0", "0.service")):
        done = ctl(what)
        check(done.returncode == 1 and part in done.stderr and
              not done.stdout, f"{what}: {done.stderr}")


def all_reasons_were_named(t):
    """But for those that ELSEWHERE excuses."""
    if len(sys.argv) > 1:
        harness.skip("not all tests are run")
    text = (harness.TOP / "daemon/base/reasons.c").read_text()
    known = set(re.findall(r'\[REASON_\w+\] = \{ "([^"]+)"', text))
    known.discard("none")
    check(len(known) > 50, f"{len(known)} reasons found in reasons.c")
    check(not SEEN - known, f"{SEEN - known} are none")
    missing = known - SEEN - set(ELSEWHERE)
    check(not missing, f"nobody was in these states: {sorted(missing)}")
    print(f"# {len(SEEN)} of {len(known)} reasons", flush=True)


if __name__ == "__main__":
    harness.run(names_each_class_of_mappings, names_the_rule,
                names_what_is_never_touched,
                names_what_keeps_a_process_from_being_enrolled,
                names_seccomp_where_it_cannot_be_suspended,
                names_what_keeps_all_from_merging, names_what_becomes_of_pages,
                names_duplicates_that_are_not_enrolled,
                names_settings_of_the_machine, names_what_does_not_fit,
                names_what_huge_pages_hold_back,
                explains_units_and_cgroups,
                hostile_names_stay_harmless, usage, all_reasons_were_named)
