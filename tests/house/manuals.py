#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Manual pages are formatted without a warning and can be found by whatis."""

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def complaints(page):
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", "-rF0", str(page)],
        capture_output=True, text=True)
    yield from done.stderr.splitlines()
    # names of options and files stand in one piece, and so do reasons
    if shutil.which("mandoc"):
        done = subprocess.run(["mandoc", "-T", "lint", str(page)],
                              capture_output=True, text=True)
        for line in (done.stdout + done.stderr).splitlines():
            if "input text line longer than 80 bytes" not in line:
                yield line
    text = page.read_text()
    if not re.search(rf"^\.TH {re.escape(page.stem)} {page.suffix[1:]}\b",
                     text, re.M | re.I):
        yield "its .TH line names another page"
    if not re.search(r"^\.SH NAME\n.* \\- \S", text, re.M):
        yield "no NAME section of the form `name \\- what it does'"


def reasons_missing():
    """What daemon/base/reasons.c says and the manual does not."""
    text = (TOP / "man/ksmd-plusctl.1").read_text().replace("\\-", "-")
    rows = re.findall(r'\{ "([^"]+)",\s*"((?:[^"\\]|\\.)+)",\s*'
                      r'"((?:[^"\\]|\\.)*)" \}',
                      (TOP / "daemon/base/reasons.c").read_text())
    for name, sentence, remedy in rows:
        entry = f".B {name}\n{sentence}\n"
        entry += f"Remedy: {remedy}\n" if remedy else "."
        if entry.replace('\\"', '"') not in text:
            yield f"reason {name} is not as in reasons.c"
    if len(rows) < 55:
        yield f"only {len(rows)} reasons were found"


def words(text):
    """The text without markup and line ends."""
    return " ".join(text.replace("\\-", "-").split())


def interface_missing():
    """What of the D-Bus interface's documentation the manual has not."""
    manual = (TOP / "man/org.ksmdplus1.5").read_text()
    path = TOP / "etc/dbus/org.ksmdplus1.Manager.xml"
    members = [m for i in xml.etree.ElementTree.parse(path).iter("interface")
               for m in i]
    for member in members:
        name = member.get("name")
        text = next((n.get("value") for n in member.iter("annotation")
                     if n.get("name").endswith("DocString")), "")
        entry = re.search(rf"^\.TP\n\.B {name}\b(.*)\n((?:[^.].*\n)+)",
                          manual, re.M)
        if not text or not entry or words(entry[2]) != words(text):
            yield f"{name} is not as in {path.name}"
            continue
        for arg in member.iter("arg"):
            if f"{arg.get('type')} {arg.get('name')}" not in entry[1]:
                yield f"{name} has no {arg.get('name')} as in {path.name}"
        if member.get("type") and f"({member.get('type')})" not in entry[1]:
            yield f"{name} has another type than in {path.name}"
    if len(members) < 25:
        yield f"only {len(members)} members were found"


def main():
    if not shutil.which("groff"):
        print("ok manuals # SKIP groff is not installed")
        return 0
    failed = 0
    pages = sorted((TOP / "man").glob("*.[0-9]"))
    if not pages:
        print("not ok manuals # there are none")
        return 1
    for page in pages:
        found = list(complaints(page))
        if page.name == "ksmd-plusctl.1":
            found += reasons_missing()
        if page.name == "org.ksmdplus1.5":
            found += interface_missing()
        for line in found:
            print(f"# {line}")
        print(f"not ok {page.name} # {found[0]}" if found
              else f"ok {page.name}")
        failed |= bool(found)
    return failed


if __name__ == "__main__":
    sys.exit(main())
