#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples of the manual pages, as they are printed there."""

import os
import re
import shutil
import subprocess

import harness
from bus import with_bus
from harness import check, skip

SHOWN = re.compile(r"^\.(?:nf|EX)\n(.*?)^\.(?:fi|EE)\n", re.M | re.S)


def examples(page):
    """What stands in the EXAMPLES of a page, without troff's escapes."""
    text = (harness.TOP / "man" / page).read_text()
    text = text.split("\n.SH EXAMPLES\n")[1].split("\n.SH ")[0]
    found = [block.replace("\\e", "\\").replace("\\-", "-")
             for block in SHOWN.findall(text + "\n")]
    check(found, f"no example in {page}")
    return found


def run(command, env):
    bare = re.sub(r"'[^']*'", "", command)
    for program in re.findall(r"(?:^|\| )([a-z][a-z-]*)", bare):
        if not shutil.which(program, path=env["PATH"]):
            skip(f"{program} is not installed")
    return subprocess.run(["timeout", "20", "bash", "-o", "pipefail", "-c",
                           command], env=env, capture_output=True, text=True)


def paths(**more):
    return {**os.environ, "PATH": f"{harness.BUILD}:{os.environ['PATH']}",
            **more}


def of_the_configuration(t):
    for n, text in enumerate(examples("ksmd-plus.conf.5")):
        path = t.folder / f"{n}.conf"
        path.write_text(text)
        done = subprocess.run(
            [harness.BUILD / "ksmd-plus", "--check-config", "--config", path],
            capture_output=True, text=True)
        check(done.returncode == 0, f"{text}: {done.stderr}")


def of_ksmd_plusctl(t):
    """Units by that name are nowhere here; that is no wrong usage."""
    daemon = t.daemon()
    env = paths(RUNTIME_DIRECTORY=str(daemon.run_dir))
    for text in examples("ksmd-plusctl.1"):
        for command in text.splitlines():
            done = run(command, env)
            if "web-" in command:
                check(done.returncode < 2 and done.stdout + done.stderr,
                      f"{command}: {done}")
            else:
                check(done.returncode == 0, f"{command}: {done}")
                check(done.stderr == "", f"{command}: {done}")


def of_the_bus(t):
    """busctl on a bus of the test's own; what polkit reads is not run."""
    bus, daemon = with_bus(t)
    env = paths(**bus.env)
    for text in examples("org.ksmdplus1.5"):
        if not text.startswith("busctl"):
            continue
        done = run(text.replace("/run/ksmd-plus/bus",
                                str(daemon.run_dir / "bus")), env)
        if "busctl monitor" in text:    # until somebody ends it
            check(done.returncode == 124, f"{text}: {done}")
        else:
            check(done.returncode == 0, f"{text}: {done}")


harness.run(of_the_configuration, of_ksmd_plusctl, of_the_bus,
            needs=harness.need_ksm)
