#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A layer can include what the design allows and nothing else.

For every two layers, a file that includes each header of the one is compiled
with exactly the command that the Makefile has for the other. What is allowed
must build, so that the check cannot pass by failing for another reason.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]

# Design, section 2. Not read from the Makefile, which is what is tested.
ALLOWED = {
    "base": {"base"},
    "sense": {"sense", "base"},
    "checksum": {"checksum", "base"},
    "decide": {"decide", "base"},
    "steer": {"steer", "sense", "base"},
    "view": {"view", "decide", "checksum", "sense", "base"},
    "service": {"service", "steer", "view", "decide", "checksum", "sense",
                "base"},
    "ctl": {"ctl", "view", "decide", "checksum", "sense", "base"},
}


def headers(layer):
    return sorted(p.name for p in (TOP / "daemon" / layer).glob("*.h"))


def compile_command(layer, build):
    """The Makefile's command for a file of @layer, without its file names."""
    source = next((TOP / "daemon" / layer).glob("*.c"), None)
    if not source:
        return None
    target = f"{build}/daemon/{layer}/{source.stem}.o"
    text = subprocess.run(
        ["make", "-n", "V=1", f"B={build}", target], cwd=TOP, check=True,
        capture_output=True, text=True).stdout.replace("\\\n", " ")
    for line in text.splitlines():
        words = shlex.split(line)
        if "-c" in words and any(w.endswith(source.name) for w in words):
            words = [w for w in words if not w.endswith(source.name)]
            at = words.index("-o")
            del words[at:at + 2]
            return [w for w in words if w not in ("-c", "-MMD", "-MP")]
    return None


def builds(command, header):
    """(whether a file that includes @header builds, what was said)."""
    code = f'#include "{header}"\nextern int includes_test;\n'
    done = subprocess.run([*command, "-fsyntax-only", "-x", "c", "-"],
                          cwd=TOP, input=code, text=True,
                          capture_output=True)
    return done.returncode == 0, done.stderr


def check(layer, other, command):
    """None, or what is wrong."""
    reachable = {h for l in ALLOWED[layer] for h in headers(l)}
    for header in headers(other):
        if other not in ALLOWED[layer] and header in reachable:
            continue            # the layer has one of that name itself
        ok, said = builds(command, header)
        if other in ALLOWED[layer] and not ok:
            return f"{header}: {said.strip().splitlines()[0]}"
        if other not in ALLOWED[layer]:
            if ok:
                return f"{header} can be included"
            if not re.search(r"No such file|file not found", said):
                return f"{header}: {said.strip().splitlines()[0]}"
    return None


def main():
    failed = 0
    os.environ.pop("MAKEFLAGS", None)
    os.environ.pop("MAKELEVEL", None)
    with tempfile.TemporaryDirectory() as build:
        for layer in ALLOWED:
            command = compile_command(layer, build)
            if not command:
                print(f"not ok {layer} # no command of the Makefile found")
                failed = 1
                continue
            for other in ALLOWED:
                why = check(layer, other, command)
                verb = ("may" if other in ALLOWED[layer] else "cannot")
                name = f"{layer} {verb} include {other}"
                print(f"not ok {name} # {why}" if why else f"ok {name}")
                failed |= bool(why)
    return failed


if __name__ == "__main__":
    sys.exit(main())
