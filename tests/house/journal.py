#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every event of the journal has its text in the catalog, and the reverse;
what an operator may act on is an event; fields are what was promised."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
HEADER = TOP / "include/ksmd-plus/journal.h"
CATALOG = TOP / "systemd/ksmd-plus.catalog"
# Has no libsystemd, and nothing to say but why it does not start.
PLAIN = "daemon/steer/injector-main.c"


def events():
    """{name: (id, fields)}; the fields stand in the comment before it."""
    found = {}
    for fields, name, number in re.findall(
            r'(?:/\* ([A-Z_ ]+) \*/\n)?#define JOURNAL_(\w+)\s+"(\w+)"',
            HEADER.read_text()):
        found[name] = (number, set(fields.split()))
    return found


def entries():
    """{id: text} of the catalog."""
    parts = re.split(r"^-- (\S+)\n", CATALOG.read_text(), flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def sources():
    for layer in ("service", "steer"):
        for path in sorted((TOP / "daemon" / layer).glob("*.[ch]")):
            yield str(path.relative_to(TOP)), path.read_text()


def ids_are_unique():
    numbers = [number for number, _ in events().values()]
    for number in numbers:
        if not re.fullmatch("[0-9a-f]{32}", number):
            yield f"{number} is no id"
        if numbers.count(number) > 1:
            yield f"{number} stands for two events"
    listed = re.findall(r"^-- (\S+)", CATALOG.read_text(), re.M)
    for number in {n for n in listed if listed.count(n) > 1}:
        yield f"{number} has two texts"


def every_event_has_its_text_and_the_reverse():
    names = {number: name for name, (number, _) in events().items()}
    texts = entries()
    for number in names.keys() - texts.keys():
        yield f"JOURNAL_{names[number]} has no text"
    for number in texts.keys() - names.keys():
        yield f"{number} is the text of no event"
    for number, text in texts.items():
        if not re.match(r"Subject: \S.*\nDefined-By: ksmd-plus\n"
                        r"Documentation: man:\S+\n\n\S", text):
            yield f"{number}: not in the usual form"


def texts_name_fields_that_exist():
    texts = entries()
    for name, (number, fields) in events().items():
        for field in re.findall(r"@(\w+)@", texts.get(number, "")):
            if field.removeprefix("KSMDPLUS_") not in fields:
                yield f"JOURNAL_{name} has no field {field}"


def calls(text):
    """The text of each call of log_event() and its kind, and its function up
    to there, where the fields may have been made."""
    for match in re.finditer(r"\blog_event\w*\(", text):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        call = text[match.start():end]
        begin = text.rfind("\n{\n", 0, match.start())
        yield call, text[begin:end] if "fields" in call else call


def events_have_the_fields_of_their_comment():
    known, said = events(), set()
    for path, text in sources():
        for call, where in calls(text):
            for name in re.findall(r"\bJOURNAL_(\w+)", call):
                said.add(name)
                given = set(re.findall(r'LOG_(?:TEXT|NUMBER)\(\s*"(\w+)"',
                                       where))
                # a second way to the same event may know less
                if given - known.get(name, (0, set()))[1] or \
                   known[name][1] and given and given != known[name][1]:
                    yield f"{path}: JOURNAL_{name} has {sorted(given)}"
    for name in known.keys() - said:
        yield f"JOURNAL_{name} is never said"


def what_is_above_info_is_an_event():
    for path, text in sources():
        for kind in re.findall(r"\blog_(notice|warning|error\w*)\(", text):
            if path != PLAIN:
                yield f"{path}: log_{kind}() without an id"


def systemd_takes_the_catalog():
    with tempfile.TemporaryDirectory() as root:
        catalog = Path(root, "usr/lib/systemd/catalog")
        for folder in (catalog, Path(root, "var/lib/systemd/catalog")):
            folder.mkdir(parents=True)
        shutil.copy(CATALOG, catalog)
        done = subprocess.run(
            ["journalctl", f"--root={root}", "--update-catalog"],
            capture_output=True, text=True)
        if done.returncode or done.stderr:
            yield done.stderr.strip() or "journalctl fails"
            return
        listed = subprocess.run(
            ["journalctl", f"--root={root}", "--list-catalog"],
            capture_output=True, text=True).stdout
    found = set(re.findall(r"^([0-9a-f]{32}) ", listed, re.M))
    for number in entries().keys() - found:
        yield f"journalctl does not find {number}"


CHECKS = (ids_are_unique, every_event_has_its_text_and_the_reverse,
          texts_name_fields_that_exist,
          events_have_the_fields_of_their_comment,
          what_is_above_info_is_an_event, systemd_takes_the_catalog)


def main():
    failed = 0
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        if check is systemd_takes_the_catalog and \
           not shutil.which("journalctl"):
            print(f"ok {name} # SKIP journalctl is not installed")
            continue
        found = list(check())
        for complaint in found:
            print(f"# {complaint}")
        print(f"not ok {name} # {found[0]}" if found else f"ok {name}")
        failed |= bool(found)
    return failed


if __name__ == "__main__":
    sys.exit(main())
