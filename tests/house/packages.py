#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What packages are made of is in order: versions and needs are those of the
Makefile, and rpmbuild takes the spec. The Debian package itself is built, and
tried, by tests/vm/systemd.py and tests/fresh/run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KSMD_PLUS_BUILD", TOP / "build")).resolve()
WORK = BUILD / "house-packages"


def run(*argv, **env):
    done = subprocess.run([str(a) for a in argv], cwd=TOP, text=True,
                          env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f"{argv[0]}: {done.returncode}: "
                           f"{done.stdout[-800:]}")
    return done.stdout


def version():
    return re.search(r"^VERSION := (\S+)", (TOP / "Makefile").read_text(),
                     re.M)[1]


def debian_folder_is_whole():
    run("make", "-s", f"B={WORK}", "deb-tree")
    tree = WORK / f"deb/ksmd-plus-{version()}/debian"
    text = "".join((tree / name).read_text()
                   for name in ("control", "copyright", "changelog"))
    if re.search(r"@[A-Z_]+@", text):
        return "something is not filled in"
    if not text.count(f"ksmd-plus ({version()})"):
        return "the changelog has another version"
    if "libsystemd-dev, libinih-dev" not in text or "make" in re.search(
            r"^Build-Depends: (.*)$", text, re.M)[1]:
        return "the build dependencies are not the Makefile's"
    for name in ("rules", "prerm", "postrm"):
        if (tree / name).read_text()[:2] != "#!":
            return f"{name} is no script"
    return None


def rpmbuild_takes_the_spec():
    """With the programs that are built already: objects are newer than the
    sources in the tarball, so make builds nothing."""
    if not shutil.which("rpmbuild"):
        return "SKIP rpmbuild is not installed"
    run("make", "-s", f"B={WORK}", "rpm-tree")
    run("rpmbuild", "-ba", "--nodeps", "--define", f"_topdir {WORK}/rpm",
        WORK / "rpm/SPECS/ksmd-plus.spec", B=str(BUILD), MAKEFLAGS="")
    made = [p for p in (WORK / "rpm/RPMS").glob("*/ksmd-plus-*.rpm")
            if "debug" not in p.name]
    if len(made) != 1 or f"-{version()}-1" not in made[0].name:
        return f"it made {made}"
    listed = run("rpm", "-qlp", made[0]).split()
    for path in ("/usr/sbin/ksmd-plus", "/etc/ksmd-plus.conf",
                 "/usr/lib/systemd/system/ksmd-plus.service"):
        if path not in listed:
            return f"{path} is not in it"
    return None


def rpmlint_is_content():
    if not shutil.which("rpmlint"):
        return "SKIP rpmlint is not installed"
    said = run("rpmlint", WORK / "rpm/SPECS/ksmd-plus.spec")
    found = re.search(r"(\d+) errors", said)
    return None if found and found[1] == "0" else said[-300:]


def main():
    failed = 0
    for test in (debian_folder_is_whole, rpmbuild_takes_the_spec,
                 rpmlint_is_content):
        name = test.__name__.replace("_", " ")
        try:
            why = test()
        except RuntimeError as e:
            why = " ".join(str(e).split())
        bad = why and not why.startswith("SKIP")
        print(f"not ok {name} # {why}" if bad else
              f"ok {name} # {why}" if why else f"ok {name}")
        failed |= bool(bad)
    shutil.rmtree(WORK, ignore_errors=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
