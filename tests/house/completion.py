#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""bash, zsh and fish offer the verbs and options that --help names, no more
and no less, in files that these shells can read."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KSMD_PLUS_BUILD", TOP / "build"))
BASH = TOP / "etc/bash-completion/ksmd-plusctl"
ZSH = TOP / "etc/zsh-completion/_ksmd-plusctl"
FISH = TOP / "etc/fish-completion"
# What bash offers for the words before the last, of which it knows a part.
ASK_BASH = r"""
. "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
case $1 in ksmd-plusctl) _ksmd_plusctl ;; *) _ksmd_plus ;; esac
printf '%s\n' "${COMPREPLY[@]}"
"""


def output(*argv):
    return subprocess.run([str(a) for a in argv], capture_output=True,
                          text=True, check=True, timeout=60).stdout


def options_of(help_text):
    return set(re.findall(r"^ +(?:-\w, )?--([\w-]+)", help_text, re.M))


def wanted():
    """{program or verb: its options} by --help."""
    ctl = BUILD / "ksmd-plusctl"
    text = output(ctl, "--help")
    verbs = re.search(r"^Verbs:\n((?: .*\n)+)", text, re.M)[1]
    found = {verb: options_of(output(ctl, verb, "--help"))
             for verb in re.findall(r"^  (\S+)  *\S", verbs, re.M)}
    return {"ksmd-plus": options_of(output(BUILD / "ksmd-plus", "--help")),
            "": options_of(text), **found}


def bash_offers(*words):
    text = output("bash", "--norc", "-c", ASK_BASH, "bash", BASH, *words)
    return {word.removeprefix("--") for word in text.split()}


def by_bash():
    found = {verb: bash_offers("ksmd-plusctl", verb, "-") for verb in
             bash_offers("ksmd-plusctl", "")}
    found[""] = bash_offers("ksmd-plusctl", "-")
    found["ksmd-plus"] = bash_offers("ksmd-plus", "-")
    found.get("run", set()).discard("")         # the -- before a program
    return found


def by_zsh():
    text = ZSH.read_text()

    def options(part):
        return set(re.findall(r"--([\w-]+)[}=\[]", part))

    def body(function):
        return re.search(rf"^{function}\(\) {{\n(.*?)^}}", text,
                         re.M | re.S)[1]
    shared = dict(re.findall(r"local (json|config)=('--.*')", text))
    every = body("_ksmd_plusctl_verb").split("esac")[1]
    found = {"": options(body("_ksmd_plusctl")),
             "ksmd-plus": options(body("_ksmd_plus"))}
    for verb, part in re.findall(r"^\t(\w+)\) options=(.*?) ;;", text,
                                 re.M | re.S):
        for name, value in shared.items():
            part = part.replace(f"${name}", value)
        found[verb] = options(part) | options(every)
    named = re.search(r"verbs=\((.*?)^\t\)", text, re.M | re.S)[1]
    named = set(re.findall(r"^\t\t'(\w+):", named, re.M))
    if named != set(found) - {"", "ksmd-plus"}:
        found["the verbs named"] = named
    return found


def by_fish():
    text = "".join((FISH / f"{name}.fish").read_text()
                   for name in ("ksmd-plus", "ksmd-plusctl"))
    found = {"ksmd-plus": set(), "": set()}
    every = set()
    for line in re.findall(r"^complete (.*)", text.replace("\\\n", ""), re.M):
        program = re.match(r"-c (\S+)", line)[1]
        option = set(re.findall(r" -l (\S+)", line))
        seen = re.search(r"-n '__fish_seen_subcommand_from ([^']*)'", line)
        if program == "ksmd-plus":
            found[program] |= option
        elif seen:
            for verb in seen[1].split():
                found.setdefault(verb, set()).update(option)
        elif "-n __fish_use_subcommand" in line:
            found[""] |= option
            for verb in re.findall(r" -a (\S+)", line):
                found.setdefault(verb, set())
        else:
            every |= option
    return {name: options | (every if name != "ksmd-plus" else set())
            for name, options in found.items()}


def differences(shell, have, want):
    for name in sorted(set(have) | set(want)):
        what = name or "ksmd-plusctl without a verb"
        if name not in have:
            yield f"{shell} does not know {what}"
        elif name not in want:
            yield f"{shell} knows {what}, which is not in --help"
        else:
            for option in sorted(want[name] - have[name]):
                yield f"{shell}: {what}: --{option} is missing"
            for option in sorted(have[name] - want[name]):
                yield f"{shell}: {what} has no --{option}"


def syntax(shell, *files):
    """A line for the report; None if the shell is not installed."""
    if not shutil.which(shell):
        return f"ok {shell} can read it # SKIP {shell} is not installed"
    done = subprocess.run([shell, "-n", *map(str, files)],
                          capture_output=True, text=True)
    why = (done.stderr + done.stdout).strip().replace("\n", "; ")
    if done.returncode or why:
        return f"not ok {shell} can read it # {why or done.returncode}"
    return f"ok {shell} can read it"


def main():
    want = wanted()
    verbs = set(want) - {"", "ksmd-plus"}
    lines = []
    if len(verbs) < 10:
        lines.append(f"not ok verbs # only {len(verbs)} in --help")
    for shell, offers in (("bash", by_bash), ("zsh", by_zsh),
                          ("fish", by_fish)):
        found = list(differences(shell, offers(), want))
        for line in found:
            print(f"# {line}")
        lines.append(f"not ok {shell} offers what there is # {found[0]}"
                     if found else f"ok {shell} offers what there is")
    lines += [syntax("bash", BASH), syntax("zsh", ZSH),
              syntax("fish", *FISH.glob("*.fish"))]
    print("\n".join(lines))
    return any(line.startswith("not ok") for line in lines)


if __name__ == "__main__":
    sys.exit(main())
