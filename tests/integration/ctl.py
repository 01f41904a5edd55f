#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ksmd-plusctl without a daemon: how it is used. What doctor finds: doctor.py.

With a daemon see the other tests of this folder, which ask it all the time.
"""

import concurrent.futures
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import harness
from harness import check, on_terminal, skip

sys.path.insert(0, str(harness.TOP / "tests/guest"))
import kernels          # noqa: E402

CTL = str(harness.BUILD / "ksmd-plusctl")
COMPLETION = harness.TOP / "etc/bash-completion/ksmd-plusctl"
VERBS = ("status", "list", "explain", "plan", "doctor", "pause", "resume",
         "rescan", "metrics", "run", "top", "enable", "disable", "import")
NEED_DAEMON = tuple(v for v in VERBS if v not in
                    ("doctor", "explain", "metrics", "plan", "run", "top",
                     "enable", "disable", "import"))


def ctl(*args, prefix=(), env=(), **kwargs):
    environ = {**os.environ, "RUNTIME_DIRECTORY": "/nonexistent", **dict(env)}
    return subprocess.run([*harness.UNDER, *prefix, CTL, *args], env=environ,
                          timeout=60 * harness.SLOW,
                          capture_output=True, text=True, **kwargs)


def doctor(*args, prefix=()):
    """doctor --json as a dictionary by check, and the exit status."""
    done = ctl("doctor", "--json", *args, prefix=prefix)
    findings = json.loads(done.stdout)
    check(done.stderr == "", done.stderr)
    return {f["check"]: f for f in findings}, done.returncode


# --- how it is used ---------------------------------------------------------

def helps(t):
    for args in (["--help"], ["-h"], *([v, "--help"] for v in VERBS),
                 ["--help", "list"]):
        done = ctl(*args)
        check(done.returncode == 0, f"{args}: exit {done.returncode}")
        check(done.stdout.startswith("Usage: ksmd-plusctl"), f"{args}")
        check(done.stderr == "", done.stderr)
        for line in done.stdout.splitlines():
            check(len(line) <= 80, f"{args}: a line of {len(line)} columns")
    for verb in VERBS:
        check(f"  {verb} " in ctl("--help").stdout, f"{verb} in --help")
        json_applies = verb in VERBS[:5]
        check(("--json" in ctl(verb, "--help").stdout) == json_applies, verb)


def tells_its_version(t):
    for args in (["--version"], ["-V"], ["list", "--version"]):
        done = ctl(*args)
        check(done.returncode == 0, f"{args}: exit {done.returncode}")
        check(done.stdout.startswith("ksmd-plusctl 0."), done.stdout)


def refuses_wrong_usage(t):
    for args in (["frobnicate"], ["--frobnicate"], ["status", "--no"],
                 ["list", "extra"], ["--socket"], ["status", "list"],
                 ["pause", "--json"], ["--json", "resume"], [""],
                 ["plan"], ["plan", "x"], ["list", "--all"], ["--all"],
                 ["plan", "--all=1"], ["run"], ["run", "true"], ["run", "--"],
                 ["--whole", "list"], ["--unit", "x", "pause"], ["enable"],
                 ["disable"], ["enable", "a", "b"], ["enable", "x.timer"],
                 ["enable", "../x"], ["disable", "--now", "x"],
                 ["enable", "--now", "--root", "/x", "x"],
                 ["enable", "--json", "x"]):
        done = ctl(*args)
        check(done.returncode == 2, f"{args}: exit {done.returncode}")
        check(done.stdout == "", f"{args}: {done.stdout}")
        check(done.stderr.startswith("ksmd-plusctl: "), done.stderr)
        check("Try: ksmd-plusctl --help" in done.stderr, done.stderr)


def says_that_no_daemon_runs(t):
    for verb in ((), *((v,) for v in NEED_DAEMON)):
        done = ctl(*verb)
        check(done.returncode == 1, f"{verb}: exit {done.returncode}")
        check(done.stdout == "", done.stdout)
        check(len(done.stderr.splitlines()) == 1, done.stderr)
        for part in ("not running", "/nonexistent/bus", "Start it with"):
            check(part in done.stderr, f"no {part} in {done.stderr}")


def finds_the_socket(t):
    def place(*args, **env):
        return ctl(*args, env=env).stderr

    check("/run/ksmd-plus/bus" in place(RUNTIME_DIRECTORY="") or
          ctl(env={"RUNTIME_DIRECTORY": ""}).returncode == 0, "the default")
    check("/nonexistent/a/bus" in place(RUNTIME_DIRECTORY="/nonexistent/a:/b"),
          "the first of several directories")
    check("/nonexistent/c" in place("--socket", "/nonexistent/c",
                                    RUNTIME_DIRECTORY="/nonexistent/a"),
          "--socket wins")
    stale = t.folder / "stale"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(stale))
    check("not running" in place("--socket", str(stale)), "a stale socket")


def gives_up_on_a_mute_daemon(t):
    path = t.folder / "mute"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen(5)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asked = pool.submit(ctl, "--socket", str(path))
            findings, status = doctor("--socket", str(path))
            done = asked.result()
        check(done.returncode == 1, f"exit {done.returncode}")
        check("does not answer" in done.stderr, done.stderr)
        check(findings["daemon"]["level"] == "problem", "doctor is content")
        check(status == 1, f"doctor: exit {status}")


def enables_units_of_an_image(t):
    units = t.folder / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    (units / "web.service").write_text("[Service]\nExecStart=true\n")
    (units / "www.service").symlink_to("web.service")
    (units / "job@.service").write_text("[Service]\nExecStart=true\n")
    dropin = t.folder / "etc/systemd/system/web.service.d/50-ksmd-plus.conf"

    def on_image(verb, unit, *args):
        return ctl(verb, "--root", str(t.folder), unit, *args)

    done = on_image("enable", "www")
    check(done.returncode == 0, done.stderr)
    check(f"Wrote {dropin}." in done.stdout, done.stdout)
    check("\n[Service]\nMemoryKSM=yes\n" in dropin.read_text(), "the file")
    if shutil.which("systemd-analyze"):
        # systemd's own parser; before 254 it does not know the key
        done = subprocess.run(
            ["systemd-analyze", f"--root={t.folder}", "cat-config",
             "systemd/system/web.service.d/50-ksmd-plus.conf"],
            capture_output=True, text=True, check=False)
        check("MemoryKSM=yes" in done.stdout, done.stdout + done.stderr)
    check(on_image("enable", "job@").returncode == 0, "a template")
    check((dropin.parents[1] / "job@.service.d" / dropin.name).exists(),
          "the template's file")
    done = on_image("enable", "none.service")
    check(done.returncode == 1 and "no unit none.service" in done.stderr,
          done.stderr)
    check(on_image("disable", "www.service").returncode == 0, "disable")
    check(not dropin.parent.exists(), "the folder is left")
    done = on_image("disable", "web.service")
    check(done.returncode == 0 and "no drop-in" in done.stdout, done.stdout)


def enable_says_that_there_is_no_systemd(t):
    if Path("/run/systemd/system").exists():
        skip("systemd runs here")
    for verb in ("enable", "disable"):
        done = ctl(verb, "web.service")
        check(done.returncode == 1, f"exit {done.returncode}")
        check("systemd does not run here" in done.stderr, done.stderr)
        check(done.stdout == "", done.stdout)


def survives_a_closed_pipe(t):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([CTL, "doctor"], stdout=write,
                          stderr=subprocess.PIPE, text=True,
                          timeout=60 * harness.SLOW)
    os.close(write)
    check(done.returncode in (0, 1, 3), f"exit {done.returncode}")
    check(done.stderr == "", done.stderr)
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([CTL, "--help"], stdout=full, text=True,
                              stderr=subprocess.PIPE,
                              timeout=60 * harness.SLOW)
    check(done.returncode == 1, f"exit {done.returncode}")
    check("No space left" in done.stderr, done.stderr)


def colour_is_for_terminals(t):
    check("\033[" in on_terminal("doctor"), "no colour on a terminal")
    check("\033[" not in on_terminal("doctor", env={"NO_COLOR": "1"}),
          "NO_COLOR")
    check("\033[" not in on_terminal("doctor", env={"TERM": "dumb"}),
          "TERM=dumb")
    check("\033[" not in ctl("doctor").stdout, "colour in a pipe")
    check("\033[" not in on_terminal("doctor", "--json"), "colour in JSON")


def lines_fit_the_terminal(t):
    for columns in (80, 100):
        text = on_terminal("doctor", columns=columns, env={"NO_COLOR": "1"})
        longest = max(text.splitlines(), key=len)
        check(len(longest) <= columns, f"{columns} columns: {longest}")
    # In a pipe a finding is one line, for grep.
    findings, _ = doctor()
    lines = ctl("doctor").stdout.splitlines()
    for finding in findings.values():
        check(any(line.endswith(finding["finding"]) for line in lines),
              finding["finding"])


def completes(t):
    if not shutil.which("bash"):
        skip("bash is not installed")

    def complete(program, *words):
        script = (f"source {COMPLETION}; COMP_WORDS=({program} "
                  + " ".join(f"'{w}'" for w in words)
                  + f"); COMP_CWORD={len(words)}; _{program.replace('-', '_')}"
                  + '; printf "%s\\n" "${COMPREPLY[@]}"')
        return subprocess.run(["bash", "-c", script], capture_output=True,
                              text=True, check=True).stdout.split()

    check(sorted(complete("ksmd-plusctl", "")) == sorted(VERBS), "verbs")
    check(complete("ksmd-plusctl", "do") == ["doctor"], "do")
    check(complete("ksmd-plusctl", "list", "--j") == ["--json"], "--json")
    check(complete("ksmd-plusctl", "pause", "--j") == [], "pause --json")
    check(complete("ksmd-plusctl", "list", "") == [], "nothing after a verb")
    check(complete("ksmd-plusctl", "plan", "--ta") == ["--target"], "--ta")
    check(complete("ksmd-plusctl", "run", "--wh") == ["--whole"], "--wh")
    check(complete("ksmd-plusctl", "run", "--", "--js") == [],
          "another program's options")
    check(complete("ksmd-plusctl", "list", "--ta") == [], "list --target")
    check(complete("ksmd-plusctl", "--unit", "x", "pla") == ["plan"],
          "a verb after --unit")
    check(str(os.getpid()) in complete("ksmd-plusctl", "plan", ""), "a pid")
    check(complete("ksmd-plusctl", "--socket", "/x", "pau") == ["pause"],
          "a verb after --socket")
    check(complete("ksmd-plusctl", "enable", "--n") == ["--now"], "--now")
    check(complete("ksmd-plusctl", "disable", "--n") == [], "disable --now")
    check("--check-config" in complete("ksmd-plus", "--"), "ksmd-plus")


def imports_what_debian_ships_for_ksmtuned(t):
    """Its own file, and the same with every key set: what is printed has no
    fault, and nothing in the file is run."""
    try:
        root = kernels.fetch("ksmtuned", t.folder)
    except kernels.Unavailable as e:
        skip(str(e))
    conf = root / "etc/ksmtuned.conf"
    shipped = conf.read_text()
    active = re.sub(r"^# ([A-Z_]+=)", r"\1", shipped, flags=re.M)
    check(active.count("\nKSM_") == 8, active)
    trap = t.folder / "run"
    for text, told, line in (
            (shipped, 0, ";target_scan_time = 200s\n"),
            (active, 0, "\ntarget_scan_time = "),
            (f"{active}KSM_NPAGES_MAX=$(touch {trap})\nKSM_OTHER=1\n", 2,
             "\ntarget_scan_time = ")):
        conf.write_text(text)
        done = ctl("import", "ksmtuned", conf)
        check(done.returncode == 0, done.stderr)
        check(len(done.stderr.splitlines()) == told, done.stderr)
        check(line in done.stdout, done.stdout)
        made = t.folder / "made.conf"
        made.write_text(done.stdout)
        done = subprocess.run(
            [harness.BUILD / "ksmd-plus", "--check-config", "--config", made],
            capture_output=True, text=True)
        check(done.returncode == 0, done.stdout + done.stderr)
    check(not trap.exists(), "it was run")
    check(ctl("import").returncode == 2, "import of nothing")
    check(ctl("import", "ksmtuned", conf, conf).returncode == 2, "two files")
    check(ctl("import", "ksmtuned", "/nonexistent").returncode == 1, "none")


def need_root():
    if os.geteuid() != 0:
        skip("needs root")


harness.run(helps, tells_its_version, refuses_wrong_usage,
            says_that_no_daemon_runs, finds_the_socket,
            gives_up_on_a_mute_daemon, enables_units_of_an_image,
            enable_says_that_there_is_no_systemd, survives_a_closed_pipe,
            colour_is_for_terminals, lines_fit_the_terminal, completes,
            imports_what_debian_ships_for_ksmtuned, needs=need_root)
