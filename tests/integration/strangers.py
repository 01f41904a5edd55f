#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Strangers choose names: of processes, programs, guests, cgroups, units.
Whatever these are, each thing that we print stays what it is: JSON and metrics
can be read, a line is a line, and no character of a name is one that a
terminal acts on."""

import contextlib
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import harness
import metrics
import top
from accounts import is_harmless
from dbusclient import Connection
from harness import check, wait_for

CTL = str(harness.BUILD / "ksmd-plusctl")
KINDS = ("process", "unit", "guest", "target")
EVIL = {
    "escapes": b"\x1b]0;evil\x07\x1b[2J\x1bc\x7f\b",
    "lines": b"a\r\nb\n\n# EOF\n} <0>\x0b\x0c\x85",
    "quotes": b"\"\\{}=,,'%s%n$(x)`&<!--*?[",
    "broken": b"\xff\xc3(\xed\xa0\x80\xf8\xc0\xaf",
    "c1": "\u009b2J\u0085\u0090q\u009c".encode(),
    "turned": "\u202e\u2066\u061cab\u200b\ufeff\u2028\U000e0041".encode(),
    "rubbish": bytes(random.Random(1).choices(range(1, 256), k=4096)),
}
SCRIPT = harness.GUEST.replace(b"print(", b"""
import os
with open("/proc/self/comm", "wb") as comm:
    comm.write(os.fsencode(sys.argv[2])[6:])
print(""", 1)
# What we send to a terminal ourselves.
COLOURS = re.compile(r"\x1b\[(?:0|1|2|7|32|33|1;31)m")
PROGRESS = re.compile(r"\r\[[#.]+\][ \w%,.]*\x1b\[K|\r\x1b\[K")
ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
LEAVE = "\x1b[?7h\x1b[?25h\x1b[0m\x1b[?1049l"
PLACES = re.compile(r"\x1b\[\d+H|\x1b\[K")
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17


class Cgroup:
    """One of that name, below our own; .folder is None where none can be
    made. What is in it has to be ended before."""

    def __init__(self, name):
        self.folder = None
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in ("", "memory", "name=systemd"):
                continue
            root = "/sys/fs/cgroup/" + controllers.replace("name=", "")
            with contextlib.suppress(OSError):
                os.mkdir(f"{root}{path}/{name}")
                self.folder = Path(f"{root}{path}/{name}")
                return

    def stop(self):
        def is_removed():
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            return not self.folder.exists()

        if self.folder:
            wait_for(is_removed, 20, "the end of a cgroup")


def file_name(evil, ending=b""):
    """As many bytes of it as a folder takes."""
    return os.fsdecode(evil.replace(b"/", b"|")[:200] + ending)


class Stage:
    """A process for each of EVIL that has this name wherever one can have a
    name: comm, program, guest, cgroup, unit. One that is excluded, too."""

    def __init__(self, t):
        script = t.folder / "guest.py"
        script.write_bytes(SCRIPT)
        shutil.copy(os.path.realpath(sys.executable), t.folder / "python")
        (t.folder / "in").mkdir()
        self.processes, self.units = {}, []
        for kind, evil in EVIL.items():
            program = t.folder / "in" / file_name(b"qemu" + evil)
            os.link(t.folder / "python", program)
            self.processes[kind] = self.process(t, program, script, evil)
        self.excluded = self.process(t, t.folder / "python", script,
                                     EVIL["escapes"])
        self.pids = [str(p.pid) for p in self.processes.values()]
        self.config = "\n".join([
            "[scan]", "cpu_limit = 100%", "[target names]",
            f"exe = {t.folder}/in/*", "[target others]", "comm = *",
            "mode = exclude", ""])

    def process(self, t, program, script, evil):
        name = file_name(evil.replace(b"\n", b" "), b".service")
        cgroup = t.own(Cgroup(name))
        process = t.own(harness.Target([str(program), str(script), "-name",
                                        b"guest=" + evil]))
        if cgroup.folder:
            (cgroup.folder / "cgroup.procs").write_text(str(process.pid))
            path = str(cgroup.folder).split("/", 5)
            self.units.append(os.fsencode("/" + path[-1]))
        comm = Path(f"/proc/{process.pid}/comm").read_bytes()
        check(comm == evil[:15] + b"\n", f"{comm}")
        return process

    def daemon(self, t, what="tracked_pages", **kwargs):
        """One that has @what of all but the excluded one."""
        daemon = t.daemon(self.config, **kwargs)
        wait_for(lambda: sum(p[what] > 500
                             for p in daemon.ctl_json("list")) == len(EVIL),
                 60, what)
        return daemon


def asked(stage, config):
    """What can be asked for: arguments of ksmd-plusctl."""
    at = ["--config", config]
    yield ["status"]
    yield ["list"]
    for kind in KINDS:
        yield ["list", "--by", kind]
    yield ["plan", *at, *stage.pids, str(stage.excluded.pid)]
    yield ["plan", *at, "--sample=50%", *stage.pids]
    yield ["doctor", *at, "--watch=1ms"]
    for what in (*stage.pids, str(stage.excluded.pid), *stage.units):
        yield ["explain", *at, what]


def texts(value):
    """Every string in it, keys too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def check_strings(value, what):
    for text in texts(value):
        check(is_harmless(text) and "\n" not in text, f"{what}: {text!r}")


def check_bus(stage, daemon):
    """Answers that are no strings its client would not have understood."""
    client = Connection(daemon.run_dir / "bus")
    name, path = "org.ksmdplus1", "/org/ksmdplus1"

    def ask(interface, *call):
        found = client.call(name, path, interface, *call)
        check(found, f"{call}")
        check_strings(found, call)
        return found

    ask("org.freedesktop.DBus.Properties", "GetAll", "s", f"{name}.Manager")
    for kind in KINDS:
        ask(f"{name}.Manager", "ListAccounts", "s", kind)
    rows = ask(f"{name}.Manager", "ListProcesses")
    check(len(rows) == len(EVIL), f"{rows}")
    for pid in stage.pids:
        ask(f"{name}.Manager", "ExplainProcess", "u", int(pid))
    client.close()


def check_metrics(daemon):
    for form in ([], ["--textfile"]):
        text = subprocess.run([CTL, "metrics", *form], env=daemon.env,
                              capture_output=True, check=True).stdout.decode()
        check(is_harmless(text), f"metrics {form}")
        if form:
            with contextlib.suppress(harness.Skip):
                done = subprocess.run([metrics.promtool(), "check", "metrics"],
                                      input=text, capture_output=True,
                                      text=True)
                check(not done.returncode and not done.stderr, done.stderr)
        else:
            guests = metrics.parse(text)["ksmd_plus_guest_processes"]
            check(len(guests) == len(EVIL), f"{guests}")


def outputs_stay_what_they_are(t):
    stage = Stage(t)
    daemon = stage.daemon(t)
    seen = set()
    for args in asked(stage, str(daemon.config)):
        for option in ((), ("--json",)):
            done = subprocess.run([CTL, *args[:1], *option, *args[1:]],
                                  env=daemon.env, timeout=120,
                                  capture_output=True)
            check(done.returncode in (0, 1, 3), f"{args}: {done}")
            text, errors = done.stdout.decode(), done.stderr.decode()
            check(text and is_harmless(text), f"{args}: {text!r}")
            check(is_harmless(errors), f"{args}: {errors!r}")
            if option:
                found = json.loads(text)
                check_strings(found, args)
                seen.update(texts(found))
            seen.update(re.split(r"\s{2,}|\n", text))
    # they were there, and are told by what is left of them
    for part in ("?]0;evil??[2J?c", "a??b", '"\\{}=,', "?2J??q?", "??(?"):
        check(any(part in text for text in seen), f"nobody named {part!r}")
    units = [row for row in json.loads(daemon.ctl(
        "list", "--by", "unit", "--json").stdout) if row["processes"]]
    check(len(units) == max(len(stage.units) - 1, 1), f"{units}")
    check_metrics(daemon)
    check_bus(stage, daemon)
    for p in stage.processes.values():
        check(p.process.poll() is None, "one has ended")


def terminals_get_no_orders(t):
    stage = Stage(t)
    daemon = stage.daemon(t)
    env = {"RUNTIME_DIRECTORY": str(daemon.run_dir)}
    for args in asked(stage, str(daemon.config)):
        text = harness.on_terminal(*args, env=env)
        rest = PROGRESS.sub("", COLOURS.sub("", text))
        check(rest and is_harmless(rest), f"{args}: {rest!r}")
    main, sub = os.openpty()
    process = t.own(top.Process([CTL, "--socket", str(daemon.run_dir / "bus"),
                                 "top"], sub))
    os.close(sub)
    text = b""

    def draws():
        nonlocal text
        text += top.received(main, 0.5)
        return b"evil" in text
    wait_for(draws, 60, "a process on the screen")
    for _ in range(3):
        os.write(main, b"v")
        text += top.received(main, 1)
    os.write(main, b"q")
    text = (text + top.received(main, 60)).decode()     # to its end
    check(process.wait(30) == 0, "top")
    for ours in (ENTER, LEAVE):
        check(ours in text, f"{text!r}")
        text = text.replace(ours, "", 1)
    text = PLACES.sub("", COLOURS.sub("", text))
    check(is_harmless(text.replace("\r", "")), f"{text!r}")
    os.close(main)


# --- the journal --------------------------------------------------------------

class Journal:
    """What stands where the journal's socket is; keeps entries."""

    def __init__(self, folder):
        folder.mkdir()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "socket"))
        self.socket.settimeout(0.2)
        self.entries = []
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.receive)
        self.thread.start()

    def receive(self):
        while not self.end.is_set():
            with contextlib.suppress(TimeoutError):
                self.entries.append(fields_of(self.socket.recv(1 << 20)))

    def stop(self):
        self.end.set()
        self.thread.join()
        self.socket.close()


def fields_of(data):
    """An entry as a dictionary; values are bytes."""
    fields = {}
    while data:
        line, data = data.split(b"\n", 1)
        if b"=" in line:
            name, value = line.split(b"=", 1)
        else:                   # a length, then a value of any bytes
            name, size = line, int.from_bytes(data[:8], "little")
            value, data = data[8:8 + size], data[9 + size:]
        fields[name.decode()] = value
    return fields


def the_journal_has_lines(t):
    """Messages, and fields, which journalctl -x puts into its texts. To a
    process that somebody else traces there is something to be said."""
    if subprocess.run(["unshare", "--mount", "true"],
                      capture_output=True).returncode:
        harness.skip("no mount namespace can be made")
    stage = Stage(t)
    folder = t.folder / "journal"
    journal = t.own(Journal(folder))
    log = t.folder / "log"
    log.touch()
    stat = log.stat()
    script = ("mount -t tmpfs none /run && mkdir -p /run/systemd/journal && "
              f"mount --bind {folder} /run/systemd/journal && exec \"$@\"")
    daemon = stage.daemon(
        t, "enrolled_pages", args=("--debug",), env={
            "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"},
        under=("unshare", "--mount", "--propagation", "private", "sh", "-c",
               script, "sh"))
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in stage.pids:
        check(libc.ptrace(PTRACE_SEIZE, int(pid), None, None) == 0, "ptrace")
    check(daemon.terminate(60) == 0, "its end")
    journal.stop()
    for pid in stage.pids:
        os.kill(int(pid), signal.SIGKILL)
    named = [e for e in journal.entries if "KSMDPLUS_COMM" in e]
    check(named, f"{[e['MESSAGE'] for e in journal.entries][-20:]}")
    for entry in journal.entries:
        for name, value in entry.items():
            text = value.decode()
            check(is_harmless(text) and "\n" not in text, f"{name}: {text!r}")
    print(f"# {len(journal.entries)} entries, {len(named)} of these name "
          "somebody", flush=True)
    check(is_harmless(daemon.log()), "what went to stderr")


if __name__ == "__main__":
    harness.run(outputs_stay_what_they_are, terminals_get_no_orders,
                the_journal_has_lines)
