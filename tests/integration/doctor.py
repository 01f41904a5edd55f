#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ksmd-plusctl doctor: each thing that it finds is brought about for real,
where that is possible without another machine: by programs of that name,
writes, rights taken away, files put over those of the kernel in a mount
namespace, and system calls that a filter refuses.
"""

import ctypes
import errno
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import threading
import time
from pathlib import Path

import frames
import harness
import pid1
from harness import check, skip

CTL = str(harness.BUILD / "ksmd-plusctl")
LEVELS = ("ok", "note", "warning", "problem")
KSM = "/sys/kernel/mm/ksm"
THP = "/sys/kernel/mm/transparent_hugepage"
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_GET_MEMORY_MERGE = 22, 38, 68
# prctl, ptrace; process_madvise has one number everywhere
CALLS = {"x86_64": (157, 101), "aarch64": (167, 117)}
PROCESS_MADVISE = 440


def ctl(*args, prefix=(), env=(), **kwargs):
    environ = {**os.environ, "RUNTIME_DIRECTORY": "/nonexistent", **dict(env)}
    return subprocess.run([*prefix, CTL, "doctor", *args], env=environ,
                          timeout=60, capture_output=True, text=True,
                          check=False, **kwargs)


def doctor(*args, watch="1ms", **kwargs):
    """doctor --json as a dictionary by check, and the exit status."""
    done = ctl("--json", "--watch", watch, *args, **kwargs)
    findings = json.loads(done.stdout)
    check(done.stderr == "", done.stderr)
    findings = {f["check"]: f for f in findings}
    check(done.returncode == status_of(findings), f"exit {done.returncode}")
    return findings, done.returncode


def status_of(findings):
    levels = {f["level"] for f in findings.values()}
    return 1 if "problem" in levels else 3 if "warning" in levels else 0


def expect(name, level, *parts, **kwargs):
    """That finding, at that level, with these words and with a remedy where
    something is wrong."""
    found = doctor(**kwargs)[0].get(name)
    check(found, f"nothing on {name}")
    check(found["level"] == level, f"{found}")
    for part in parts:
        check(part in found["finding"] + found["remedy"], f"{part}: {found}")
    print(f"# {level}: {name}", flush=True)
    return found


def is_well_formed(t):
    findings, status = doctor()
    check(len(findings) >= 20, f"{len(findings)} findings")
    for finding in findings.values():
        check(sorted(finding) == ["check", "finding", "level", "remedy"],
              f"{finding}")
        check(finding["level"] in LEVELS, f"{finding}")
        check(finding["finding"].endswith("."), f"{finding}")
    problems = [f for f in findings.values() if f["level"] == "problem"]
    check(status == status_of(findings), f"exit {status}, {problems}")
    text = ctl("--watch", "1ms").stdout
    check(text.splitlines()[-1].startswith(f"{len(problems)} problem"), text)
    for args in (["--watch", "x"], ["--watch", "2h"], ["--watch"], ["x"]):
        check(ctl(*args).returncode == 2, f"{args}")


def agrees_with_the_kernel(t):
    findings, _ = doctor()

    def is_ok(name):
        return findings[name]["level"] == "ok"

    check(is_ok("ksm") == os.access("/sys/kernel/mm/ksm/run", os.W_OK), "ksm")
    try:
        kcore = Path("/proc/kcore").open("rb").read(4) == b"\x7fELF"
    except OSError:
        kcore = False
    check(is_ok("kcore") == kcore, "kcore")
    try:
        psi = bool(Path("/proc/pressure/memory").read_text())
    except OSError:
        psi = False
    check(is_ok("psi") == psi, "psi")
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    check(str(limit) in findings["max-map-count"]["finding"], "max_map_count")
    check(is_ok("page-size") == (os.sysconf("SC_PAGESIZE") == 4096), "page")
    yama = Path("/proc/sys/kernel/yama/ptrace_scope")
    check(("is %s" % yama.read_text().strip() if yama.exists()
           else "not restrict") in findings["yama"]["finding"], "yama")
    if Path("/sys/kernel/mm/ksm/run").exists():
        check(("stopped" in findings["ksm-run"]["finding"]) ==
              (harness.ksm("run") == 0), "run")


def leaves_ksm_alone(t):
    before = harness.knobs()
    doctor()
    check(harness.knobs() == before, "a knob has changed")


def works_for_anyone(t):
    program = t.folder / "ksmd-plusctl"
    shutil.copy(CTL, program)
    t.folder.chmod(0o755)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
         str(program), "doctor", "--json", "--watch", "1ms"],
        capture_output=True, text=True, timeout=60)
    check(done.stderr == "", done.stderr)
    findings = {f["check"]: f for f in json.loads(done.stdout)}
    check(done.returncode == status_of(findings), f"exit {done.returncode}")
    check(findings["root"]["level"] == "note", "root")
    check("needs root" in findings["pagemap"]["finding"], "pagemap")
    check("needs root" in findings["seccomp"]["finding"], "seccomp")


def in_namespace(*commands):
    """Run ksmd-plusctl in a mount namespace, after @commands there."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True,
                      check=False).returncode:
        skip("no mount namespace can be made")
    script = " && ".join([*commands, 'exec "$@"'])
    return ("unshare", "-m", "sh", "-ec", script, "sh")


def put(t, over, text):
    """A command that puts @text over a file; for in_namespace()."""
    path = t.folder / over.strip("/").replace("/", "-")
    path.write_text(text)
    return f"mount --bind {path} {over}"


def deny(call, error, argument=None):
    """In a child: a filter by which @call (with the first or second argument
    (number, value) if given) fails with @error."""
    def fill(code, true, false, value):
        return struct.pack("HBBI", code, true, false, value)

    load, equal, answer = 0x20, 0x15, 0x06
    steps = [fill(load, 0, 0, 0), fill(equal, 0, 3 if argument else 1, call)]
    if argument:
        steps += [fill(load, 0, 0, 16 + 8 * argument[0]),
                  fill(equal, 0, 1, argument[1])]
    steps += [fill(answer, 0, 0, 0x00050000 | error),
              fill(answer, 0, 0, 0x7fff0000)]
    code = ctypes.create_string_buffer(b"".join(steps), 8 * len(steps))

    class Program(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    program = Program(len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)

    def install(code=code):     # which has to live as long
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0):
            os._exit(77)
    return install


# --- the kernel -------------------------------------------------------------

def sees_what_a_kernel_lacks(t):
    harness.need_ksm()
    prctl, ptrace = CALLS.get(platform.machine()) or skip("calls' numbers")
    expect("ptrace", "problem", "No process can be attached",
           preexec_fn=deny(ptrace, errno.EPERM))
    found = doctor(preexec_fn=deny(PROCESS_MADVISE, errno.EINVAL))[0]
    check(found["process-madvise"]["level"] == "note", "process_madvise")
    check(found["seccomp"]["level"] == "warning", "a filter of our own")
    expect("prctl", "note", "MemoryKSM=",
           preexec_fn=deny(prctl, errno.EINVAL, (0, PR_GET_MEMORY_MERGE)))


def sees_an_old_kernel(t):
    """6.1 has but these files."""
    harness.need_ksm()
    files = " ".join(f"{KSM}/{name}" for name in (
        "run", "pages_to_scan", "sleep_millisecs", "merge_across_nodes",
        "pages_shared", "pages_sharing", "full_scans"))
    old = t.folder / "old"
    old.mkdir()
    subprocess.run(f"cat /dev/null {files} >/dev/null; cp {files} {old}",
                   shell=True, check=True)
    (old / "run").write_text("2\n")
    findings, _ = doctor(prefix=in_namespace(f"mount --bind {old} {KSM}"))
    for name, level, part in (("counters", "note", "ksm_zero_pages"),
                              ("smart-scan", "ok", "No smart_scan"),
                              ("advisor", "ok", "no advisor"),
                              ("ksm-run", "warning", "run=2")):
        check(findings[name]["level"] == level and
              part in findings[name]["finding"], f"{findings[name]}")
        print(f"# {level}: {name}", flush=True)


def sees_hidden_files(t):
    harness.need_ksm()
    hide = "mount --bind /dev/null"
    expect("kpf-ksm", "note", "does not tell",
           prefix=in_namespace(f"{hide} /proc/kpageflags"))
    if os.path.exists("/proc/pressure/memory"):
        expect("psi", "note", "psi=1",
               prefix=in_namespace(f"{hide} /proc/pressure/memory"))
    if os.path.exists("/proc/kcore"):
        expect("kcore", "note", prefix=in_namespace(f"{hide} /proc/kcore"))


def sees_settings(t):
    harness.need_ksm()
    expect("max-map-count", "warning", "only 1000", "sysctl",
           prefix=in_namespace(put(t, "/proc/sys/vm/max_map_count", "1000\n")))
    yama = ("mount -t tmpfs none /proc/sys/kernel",
            "mkdir /proc/sys/kernel/yama",
            "echo %d >/proc/sys/kernel/yama/ptrace_scope")
    for scope, level in ((3, "problem"), (1, "ok")):
        expect("yama", level, f"is {scope}", prefix=in_namespace(
            *yama[:2], yama[2] % scope))
    if os.path.exists(f"{THP}/enabled"):
        shared = put(t, f"{THP}/khugepaged/max_ptes_shared", "256\n")
        for mode, level in (("[always] madvise never", "warning"),
                            ("always [madvise] never", "note"),
                            ("always madvise [never]", "ok")):
            expect("thp", level, prefix=in_namespace(
                put(t, f"{THP}/enabled", mode + "\n"), shared))
    nodes = "/sys/devices/system/node/has_memory"
    if os.path.exists(nodes):
        apart = (put(t, nodes, "0-1\n"),
                 put(t, f"{KSM}/merge_across_nodes", "0\n"))
        expect("nodes", "note", "same node", prefix=in_namespace(*apart))
    if "advisor_mode" in harness.knobs():
        harness.ksm_write("advisor_mode", "scan-time")
        expect("advisor", "note", "switches it off")
        harness.ksm_write("advisor_mode", "none")
        expect("advisor", "ok")


def sees_a_read_only_sys(t):
    harness.need_ksm()
    findings, status = doctor(
        prefix=in_namespace("mount -o remount,bind,ro /sys"))
    check(findings["ksm"]["level"] == "problem", f"{findings['ksm']}")
    check("cannot be written" in findings["ksm"]["finding"], "the reason")
    check(status == 1, f"exit {status}")


def sees_a_kernel_without_ksm(t):
    harness.need_ksm()
    findings, status = doctor(
        prefix=in_namespace("mount -t tmpfs none /sys/kernel/mm/ksm"))
    check("no KSM" in findings["ksm"]["finding"], f"{findings['ksm']}")
    check("ksm-run" not in findings, "repeats itself")
    check(status == 1, f"exit {status}")


# --- rights ------------------------------------------------------------------

def misses_capabilities(t):
    for name in ("sys_ptrace", "sys_admin", "dac_read_search", "sys_nice"):
        found = expect("root", "problem", f"CAP_{name.upper()}", "container",
                       prefix=("setpriv", f"--bounding-set=-{name}", "--"))
        check(found["finding"].count("CAP_") == 1, f"{found}")
    expect("pagemap", "problem", "hides frame numbers",
           prefix=("setpriv", "--bounding-set=-sys_admin", "--"))
    expect("knobs", "note", "cannot be watched",
           prefix=("setpriv", "--bounding-set=-sys_admin", "--"))


def sees_containers(t):
    expect("namespaces", "ok")
    for options, level, part in (
            (("-Ur",), "problem", "user namespace"),
            (("-pf", "--mount-proc"), "warning", "container")):
        prefix = ("unshare", *options, "--")
        if subprocess.run([*prefix, "true"], capture_output=True,
                          check=False).returncode == 0:
            expect("namespaces", level, part, "host", prefix=prefix)


# --- who else is there -------------------------------------------------------

class Named:
    """A program of that name that sleeps."""

    def __init__(self, t, name):
        program = t.folder / name
        shutil.copy(shutil.which("sleep"), program)
        self.process = subprocess.Popen([str(program), "300"])
        self.pid = self.process.pid
        t.own(self)
        harness.wait_for(lambda: Path(f"/proc/{self.pid}/comm").read_text()
                         == name + "\n", 10, "its name")

    def stop(self):
        self.process.kill()
        self.process.wait()


def names_other_managers(t):
    expect("manager", "ok")
    for name in ("ksmtuned", "uksmd", "zramdedup", "momd", "vdsmd",
                 "virt-handler"):
        other = Named(t, name)
        expect("manager", "warning", f"{name} (pid {other.pid}) steers KSM",
               "Run one of the two")
        if name != "ksmtuned":
            other.stop()
        else:
            first = other
            second = Named(t, "supervdsmd")
            found = expect("manager", "warning", f"ksmtuned (pid {first.pid})",
                           f"supervdsmd (pid {second.pid})", "steer KSM",
                           "disable --now ksmtuned", "oVirt")
            check("steers" not in found["finding"], f"{found}")
            second.stop()
            first.stop()
    fake = t.folder / "uksm"
    fake.mkdir()
    (fake / "run").write_text("1\n")
    expect("manager", "warning", "UKSM", prefix=in_namespace(
        "mount -t tmpfs none /sys/kernel/mm", "mkdir /sys/kernel/mm/uksm",
        "echo 1 >/sys/kernel/mm/uksm/run"))


def asks_systemd(t):
    """For its version, and for units that have no process."""
    path = t.folder / "private"
    for version, level in (("252.39-1~deb12u1", "note"), ("v257.8", "ok")):
        systemd = pid1.Pid1(path, version, {
            "ksm.service": "active", "ksmtuned.service": "active",
            "uksmd.service": "inactive"})
        try:
            prefix = in_namespace(*pid1.beside(path))
            expect("systemd", level, version.strip("v")[:3], prefix=prefix)
            expect("manager", "warning", "ksm.service ksmtuned.service",
                   "disable --now ksm.service", prefix=prefix)
            other = Named(t, "ksmtuned")
            found = expect("manager", "warning", "ksmtuned (pid ",
                           "ksm.service", prefix=prefix)
            check("ksmtuned.service" not in found["finding"] and
                  "uksmd" not in found["finding"], f"{found}")
            other.stop()
        finally:
            systemd.stop()
            path.unlink()


def sees_who_writes_knobs(t):
    harness.need_ksm()
    expect("knobs", "ok", watch="300ms")
    script = t.folder / "meddler"
    script.write_text(
        "#!/bin/sh\nread -r value <$1\n"
        "while :; do echo $value >$1; sleep 0.05; done\n")
    script.chmod(0o755)
    process = subprocess.Popen([script, f"{KSM}/pages_to_scan"])
    try:
        found = expect("knobs", "warning", f"meddler (pid {process.pid})",
                       "wrote pages_to_scan", watch="2s")
    finally:
        process.kill()
        process.wait()
    check("let one program steer" in found["remedy"], f"{found}")
    expect("knobs", "ok", watch="300ms")


def names_no_writer_raw(t):
    """Whoever writes may call itself what it likes."""
    harness.need_ksm()
    libc = ctypes.CDLL(None)
    value = (harness.KSM / "sleep_millisecs").read_text()
    end = threading.Event()

    def meddle():
        libc.prctl(15, b"\x1b[2J\n\xff", 0, 0, 0)
        while not end.is_set():
            (harness.KSM / "sleep_millisecs").write_text(value)
            time.sleep(0.02)
    thread = threading.Thread(target=meddle)
    thread.start()
    try:
        found = expect("knobs", "warning", "wrote sleep_millisecs", watch="2s")
        check("\x1b" not in found["finding"] and "\n" not in
              found["finding"], f"{found}")
    finally:
        end.set()
        thread.join()


def flags_are_told():
    try:
        with open("/proc/kpageflags", "rb") as flags:
            return len(flags.read(8)) == 8
    except OSError:
        return False


def counts_what_domains_share(t):
    """By frame, once it is merged: two domains that hold the same duplicates
    twice each, and what each has for itself."""
    harness.need_ksm()
    sections = "".join(f"[target {name}]\nexe = {t.folder}/{name}\n"
                       f"mode = selective\ndomain = {name}\n"
                       for name in ("one", "two"))
    config = sections + "[target others]\ncomm = *\nmode = exclude\n"
    targets = {}
    for name in ("one", "two"):
        shutil.copy(harness.BUILD / "tests/targets/dup", t.folder / name)
        own = ["--seed", "1"], ["--seed", "2" if name == "one" else "3"]
        targets[name] = [
            t.own(harness.Target([str(t.folder / name), "--id", str(i),
                                  "--size", "8", *seed]))
            for seed in own for i in range(2)]
    found = doctor()[0]
    check("domains" not in found, f"{found}")
    daemon = t.daemon(config)
    args = ("--config", str(daemon.config))
    env = {"RUNTIME_DIRECTORY": str(daemon.run_dir)}

    def merged():
        return [sum(p.ksm_stat()["ksm_merging_pages"] for p in targets[name])
                for name in ("one", "two")]
    harness.wait_for(lambda: min(merged()) > 4 * 400, 60, "all merged")
    daemon.ctl("pause")
    harness.wait_for(lambda: daemon.status()["state"] == "paused", 30, "rest")

    def overlap():
        """What doctor counts, its finding, and what we count."""
        found = doctor(*args, env=env)[0]["domains"]
        told = re.search(r"(\d+) merged page", found["finding"])
        one, two = (frames.mapped([p.pid for p in targets[name]])
                    for name in ("one", "two"))
        print(f"# {found['finding']} {len(one & two)} by pagemap", flush=True)
        return int(told[1]) if told else 0, found, len(one & two)
    hidden = doctor(*args, env=env, prefix=in_namespace(
        "mount --bind /dev/null /proc/kpageflags"))[0]["domains"]
    check("cannot be counted" in hidden["finding"], f"{hidden}")
    if not flags_are_told():
        return
    told, found, counted = overlap()
    check(counted > 400 and abs(told - counted) < 16, f"not {counted}")
    check(found["level"] == "note" and "one for the machine" in
          found["finding"] and "exclude" in found["remedy"], f"{found}")
    for target in targets["two"][:2]:   # those that hold the same as one's
        target.stop()
    targets["two"] = targets["two"][2:]
    told, found, counted = overlap()
    check(counted < 100 and abs(told - counted) < 16, f"not {counted}")


def finds_faults_of_the_configuration(t):
    """As a finding, with the first of them made harmless."""
    config = t.folder / "broken.conf"
    config.write_text("[scan]\ncpu_limit = \x1b[31m\nnothing = 1\n")
    found = doctor("--config", str(config))[0]["configuration"]
    check(found["level"] == "warning" and "--check-config" in found["remedy"],
          f"{found}")
    check("2 faults: " in found["finding"] and "broken.conf:2: " in
          found["finding"], f"{found}")
    check("\x1b" not in found["finding"], f"{found}")
    config.write_text("[scan]\ncpu_limit = 10%\n")
    check("configuration" not in doctor("--config", str(config))[0], "fault")


def knows_what_the_daemon_lacks(t):
    """One that was started with less, by hand as in a container."""
    harness.need_ksm()
    for name, level, part in (("sys_admin", "problem", "cannot be read"),
                              ("sys_nice", "warning", "injector")):
        daemon = t.daemon(under=("setpriv", f"--bounding-set=-{name}", "--"))
        env = {"RUNTIME_DIRECTORY": str(daemon.run_dir)}
        found = expect("daemon-rights", level, f"CAP_{name.upper()}:", part,
                       "--cap-add", "CapabilityBoundingSet=", env=env)
        check(found["finding"].count("CAP_") == 1, f"{found}")
        check(daemon.terminate() == 0, "its end")


def tells_of_the_daemon(t):
    harness.need_ksm()
    # all over the memory: huge pages with few duplicates are left alone
    targets = [t.target("dup", "--id", str(i), "--size", "16", "--run", "1")
               for i in range(2)]
    daemon = t.daemon()
    env = {"RUNTIME_DIRECTORY": str(daemon.run_dir)}
    expect("daemon", "ok", "is running", env=env)
    expect("daemon-rights", "ok", "and its injector have", env=env)
    harness.wait_for(lambda: daemon.status()["pages_saved"] > 1000, 60,
                     "merging")
    expect("knobs", "ok", env=env, watch="300ms")
    harness.ksm_write("pages_to_scan", 77)
    # found when it is to be written next
    targets.append(t.target("dup", "--id", "2", "--size", "16", "--run", "1"))
    harness.wait_for(lambda: daemon.status()["warnings"], 60, "a warning")
    expect("daemon", "warning", "1 warning", "ksmd-plusctl status", env=env)
    for target in targets:
        target.intact()


def need_root():
    if os.geteuid() != 0:
        skip("needs root")


harness.run(is_well_formed, agrees_with_the_kernel, leaves_ksm_alone,
            works_for_anyone, sees_what_a_kernel_lacks, sees_an_old_kernel,
            sees_hidden_files, sees_settings, sees_a_read_only_sys,
            sees_a_kernel_without_ksm, misses_capabilities, sees_containers,
            names_other_managers, asks_systemd, sees_who_writes_knobs,
            names_no_writer_raw, counts_what_domains_share,
            finds_faults_of_the_configuration, knows_what_the_daemon_lacks,
            tells_of_the_daemon, needs=need_root)
