#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Manual pages are formatted without a warning and can be found by whatis."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def complaints(page):
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", "-rF0", str(page)],
        capture_output=True, text=True)
    yield from done.stderr.splitlines()
    text = page.read_text()
    if not re.search(rf"^\.TH {re.escape(page.stem)} {page.suffix[1:]}\b",
                     text, re.M | re.I):
        yield "its .TH line names another page"
    if not re.search(r"^\.SH NAME\n.* \\- \S", text, re.M):
        yield "no NAME section of the form `name \\- what it does'"


def reasons_missing():
    """Names and sentences of daemon/base/reasons.c that no manual has."""
    text = (TOP / "man/ksmd-plusctl.1").read_text().replace("\\-", "-")
    rows = re.findall(r'\{ "([^"]+)",\s*"((?:[^"\\]|\\.)+)"',
                      (TOP / "daemon/base/reasons.c").read_text())
    for name, sentence in rows:
        sentence = sentence.replace('\\"', '"')
        if f".B {name}\n{sentence}\n" not in text:
            yield f"reason {name} is not as in reasons.c"
    if len(rows) < 40:
        yield f"only {len(rows)} reasons were found"


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
        for line in found:
            print(f"# {line}")
        print(f"not ok {page.name} # {found[0]}" if found
              else f"ok {page.name}")
        failed |= bool(found)
    return failed


if __name__ == "__main__":
    sys.exit(main())
