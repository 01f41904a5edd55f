#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ksmd-plusctl top in a real terminal, tmux: drawn at 80x24 and 200x50,
resized, sorted, and the terminal put back however it ends."""

import os
import pty
import re
import select
import shutil
import subprocess
import termios
import time

import harness
from harness import check, skip, wait_for

CTL = str(harness.BUILD / "ksmd-plusctl")


class Terminal:
    """A tmux server of its own with one shell in it."""

    def __init__(self, t, columns, rows):
        if not shutil.which("tmux"):
            skip("tmux is not installed")
        self.socket = str(t.folder / "tmux")
        env = {k: v for k, v in os.environ.items() if k != "TMUX"}
        env.update(LC_ALL="C.UTF-8", PS1="$ ", TERM="xterm")
        subprocess.run(["tmux", "-f", "/dev/null", "-S", self.socket,
                        "new-session", "-d", "-x", str(columns), "-y",
                        str(rows), "sh"], env=env, check=True)
        t.own(self)
        self.tmux("set", "-g", "status", "off")
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        self.shows("^[$#]")     # else what is typed stands before the prompt

    def tmux(self, *args):
        return subprocess.run(["tmux", "-u", "-S", self.socket, *args],
                              check=True, capture_output=True,
                              text=True).stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def lines(self):
        return self.tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def shows(self, pattern, seconds=20):
        """Wait until a line matches; it."""
        return wait_for(lambda: next((x for x in self.lines()
                                      if re.search(pattern, x)), None),
                        seconds, f"{pattern} on the screen")

    def variable(self, name):
        return self.tmux("display-message", "-p", f"#{{{name}}}").strip()

    def start_top(self, daemon):
        self.keys(f"echo be''fore; {CTL} --socket {daemon.run_dir}/bus top; "
                  "echo status $?; stty -a | grep -o -w -e '-*icanon' -e '-*echo'",
                  "Enter")
        self.shows("^q quit")

    def is_put_back(self, status):
        """The shell's own screen, as it was, with cursor, echo and wrap."""
        self.shows(f"^status {status}$")
        self.shows("^icanon")
        self.shows("^echo")
        self.shows("^before")
        check(self.variable("alternate_on") == "0", "the alternate screen")
        check(self.variable("cursor_flag") == "1", "no cursor")
        check(self.variable("wrap_flag") == "1", "no line breaks")
        self.keys("clear", "Enter")

    def stop(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"],
                       capture_output=True)


def targets_and_daemon(t, n=2, tracked=None):
    for i in range(n):
        t.target("dup", "--size", "16", "--id", str(i + 1))
    daemon = t.daemon()
    wait_for(lambda: len([p for p in daemon.ctl_json("list")
                          if p["tracked_pages"]]) == (tracked or n),
             30, "all tracked")
    return daemon


def pids(lines):
    return [int(x.split()[0]) for x in lines if re.match(r" +\d+ dup ", x)]


def is_drawn_and_resized(t):
    daemon = targets_and_daemon(t)
    terminal = Terminal(t, 80, 24)
    terminal.start_top(daemon)
    check(terminal.variable("alternate_on") == "1", "the alternate screen")
    lines = terminal.lines()
    check(len(lines) == 24 and max(map(len, lines)) <= 80, lines)
    check(lines[0].startswith("ksmd-plus ") and lines[-1].startswith("q quit"),
          lines)
    check(len(pids(lines)) == 2, lines)
    check(re.search(r"^test +selective +2 ", "\n".join(lines), re.M), lines)
    check("NOTE" not in "".join(lines), "a column that has no room")
    terminal.tmux("resize-window", "-x", "200", "-y", "50")
    wait_for(lambda: len(terminal.lines()) == 50 and
             terminal.lines()[-1].startswith("q quit"), 10, "more lines")
    lines = terminal.lines()
    check(sum(x.startswith("q quit") for x in lines) == 1, lines)
    check(len(pids(lines)) == 2 and "NOTE" in "".join(lines), lines)
    terminal.tmux("resize-window", "-x", "40", "-y", "8")
    wait_for(lambda: len(terminal.lines()) == 8 and
             terminal.lines()[-1].startswith("q quit"), 10, "fewer lines")
    terminal.keys("q")
    terminal.is_put_back(0)


def sorts_by_key(t):
    daemon = targets_and_daemon(t, 3)
    terminal = Terminal(t, 200, 50)
    terminal.start_top(daemon)
    for key, title in zip("skepct", ("SAVED", "TRACKED", "ENROLLED", "PID",
                                     "COMMAND", "TARGET")):
        terminal.keys(key)
        terminal.shows(rf"\b{title}\*")
    terminal.keys("p")
    terminal.shows(r"PID\*")
    found = pids(terminal.lines())
    check(len(found) == 3 and found == sorted(found), found)
    terminal.keys("l")
    terminal.shows(r"SETTLED\*")
    terminal.keys("p")
    terminal.keys("Down", "PPage", "NPage", "Home", "F5", "x")
    terminal.shows(r"PID\*")
    terminal.keys("q")
    terminal.is_put_back(0)


def shows_units_guests_and_targets(t):
    """At both sizes; what a guest calls itself reaches no terminal raw."""
    harness.guest(t, b"evil\x1b[2J\n\xc3" + b"\xe2\x80\xae" * 1300)
    daemon = targets_and_daemon(t, 1, 2)
    terminal = Terminal(t, 80, 24)
    terminal.start_top(daemon)
    for size in ((80, 24), (200, 50)):
        terminal.tmux("resize-window", "-x", str(size[0]), "-y", str(size[1]))
        wait_for(lambda: len(terminal.lines()) == size[1], 10, "its size")
        terminal.keys("v")
        terminal.shows(r"^NAME +PROCS.*SAVED\*")
        terminal.shows(r"^\S+ +\d+ ")
        terminal.keys("v")
        terminal.shows(r"^evil\?\[2J\?\?.* 1 ")
        terminal.keys("v")
        terminal.shows(r"^test +2 ")
        terminal.keys("u")
        terminal.shows(r"\bCPU\*")
        lines = terminal.lines()
        check(len(lines) == size[1] and max(map(len, lines)) <= size[0],
              lines)
        terminal.keys("v")
        terminal.shows(r"^ +PID COMMAND.* CPU\*")
        terminal.keys("s")
    terminal.keys("q")
    terminal.is_put_back(0)


def the_terminal_is_put_back(t):
    daemon = targets_and_daemon(t)
    terminal = Terminal(t, 80, 24)
    terminal.start_top(daemon)
    terminal.keys("C-c")
    terminal.is_put_back(0)
    terminal.start_top(daemon)
    terminal.keys("C-z")                # the shell, then again
    wait_for(lambda: terminal.variable("alternate_on") == "0", 10, "stopped")
    terminal.keys("fg", "Enter")
    terminal.shows("^q quit")
    shell = int(terminal.variable("pane_pid"))
    child = [p for p in harness.family_of(shell) if p != shell]
    check(len(child) == 1, child)
    os.kill(child[0], 15)
    terminal.shows("^status 0|ksmd-plusctl")
    wait_for(lambda: terminal.variable("alternate_on") == "0", 10, "the end")
    check(terminal.variable("cursor_flag") == "1", "no cursor")


def says_why_when_the_daemon_goes(t):
    daemon = targets_and_daemon(t)
    terminal = Terminal(t, 80, 24)
    terminal.start_top(daemon)
    daemon.terminate()
    terminal.shows("^ksmd-plusctl: ")
    terminal.is_put_back(1)


def sends_only_what_has_changed(t):
    """Over some rounds, fewer bytes than drawing once at first took."""
    daemon = targets_and_daemon(t)
    daemon.ctl("pause")
    main, sub = pty.openpty()
    termios.tcsetwinsize(sub, (50, 200)) if hasattr(
        termios, "tcsetwinsize") else None
    process = t.own(Process(
        [CTL, "--socket", str(daemon.run_dir / "bus"), "top"], sub))
    os.close(sub)
    first = received(main, 1.5)
    later = [received(main, 2) for _ in range(3)]
    check(len(first) > 800, f"{len(first)} bytes at first")
    check(sum(map(len, later)) < len(first), f"{len(first)} bytes at first, "
          f"then {[len(x) for x in later]}")
    os.write(main, b"q")
    received(main, 1)
    check(process.wait(10) == 0, "its end")
    os.close(main)


class Process(subprocess.Popen):
    def __init__(self, argv, terminal):
        super().__init__(argv, stdin=terminal, stdout=terminal,
                         stderr=terminal, start_new_session=True,
                         env=dict(os.environ, TERM="xterm"))

    def stop(self):
        if self.poll() is None:
            self.kill()
            self.wait()


def received(fd, seconds):
    data, deadline = b"", time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([fd], [], [], left)[0]:
            try:
                data += os.read(fd, 65536)
            except OSError:         # it has ended
                break
    return data


def refuses_what_is_no_terminal(t):
    for env in ({"TERM": "xterm"}, {"TERM": "dumb"}):
        done = subprocess.run([CTL, "top"], env={**os.environ, **env},
                              capture_output=True, text=True)
        check(done.returncode == 1 and not done.stdout, done)
        check("terminal" in done.stderr and "list" in done.stderr, done)


if __name__ == "__main__":
    harness.run(is_drawn_and_resized, sorts_by_key,
                shows_units_guests_and_targets, the_terminal_is_put_back,
                says_why_when_the_daemon_goes, sends_only_what_has_changed,
                refuses_what_is_no_terminal)
