#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Accounts: what processes, units, guests and targets save and cost; and who
loses more than he wins is backed out, named, and tried again.

test-timeout: 900
"""

import json
import os
import re
import signal
import time
import unicodedata

import harness
from harness import check, wait_for

EVIL = (b"\x1b]0;evil\x07\x1b[2J\r\n\"\\{}=,,\xff\xc3\xe2\x80\xae" +
        b"\xf0\x9f\x98\xa0" * 1000)
TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN")
CPU = ("[scan]", "cpu_limit = 100%")


def rows(daemon, kind):
    """Accounts by name, as list --by tells them."""
    done = daemon.ctl("list", "--json", "--by", kind)
    check(done.returncode == 0, done.stderr)
    return {row[kind]: row for row in json.loads(done.stdout)}


def process_of(daemon, p):
    """Its row of the list; it may not have been seen yet."""
    unseen = {"pages_saved": 0, "held": False}
    return next((x for x in daemon.ctl_json("list") if x["pid"] == p.pid),
                unseen)


def is_harmless(text):
    """No character that a terminal acts on, that turns text around, or that
    is not to be seen. Letters that are written from right to left are."""
    return all(c == "\n" or
               unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") and
               unicodedata.bidirectional(c) not in TURNING for c in text)


def each_has_its_account(t):
    plain = [t.target("dup", "--size", "16", "--dup", "50", "--id", str(i))
             for i in range(2)]
    web = harness.guest(t, b"web,debug-threads=on")
    evil = harness.guest(t, EVIL)
    daemon = t.daemon(t.config(*CPU))
    wait_for(lambda: all(process_of(daemon, p)["pages_saved"] > 900
                         for p in (*plain, web, evil)), 60, "all merged")
    wait_for(lambda: rows(daemon, "guest")["web"]["pages_settled"] > 10, 60,
             "something settled")
    guests, targets = rows(daemon, "guest"), rows(daemon, "target")
    check(len(guests) == 2 and all(map(is_harmless, guests)), guests)
    name = next(n for n in guests if n != "web")
    check(len(name.encode()) < 128 and "evil" in name, repr(name))
    listed = daemon.ctl_json("list")
    check({p["guest"] for p in listed} == {"", "web", name}, listed)
    for row in (*guests.values(), targets["test"]):
        check(0 < row["pages_settled"] <= row["pages_saved"] <=
              row["pages_peak"], row)
        check(row["cpu_spent_usec"]["daemon"] > 0 and not row["held"], row)
        check(0 < row["profit_bytes"] < row["bytes_saved"], row)
    check(targets["test"]["processes"] == len(listed), targets)
    units = rows(daemon, "unit")
    check(sum(u["processes"] for u in units.values()) == len(listed), units)
    check(daemon.ctl("list", "--by", "uid").returncode == 2, "usage")
    status = daemon.status()
    check(status["pages_settled"] <= status["pages_peak"] and
          status["pages_peak"] > 0 and status["profit_bytes"] > 0, status)
    spent = sum(p["cpu_spent_usec"]["daemon"] for p in listed)
    check(0 < spent <= status["cpu_usec"]["daemon"], f"{spent}: {status}")
    cost = guests["web"]["cpu_spent_usec"]["daemon"]
    web.stop()
    gone = wait_for(lambda: (r := rows(daemon, "guest")["web"]) and
                    not r["processes"] and not r["pages_saved"] and r, 120,
                    "an account that is left")
    check(gone["pages_settled"] == 0 and gone["pages_peak"] > 900, gone)
    check(gone["cpu_spent_usec"]["daemon"] >= cost, f"{gone}, was {cost}")


def promised(daemon):
    """Pages that pulses were begun for, as the log tells."""
    return sum(map(int, re.findall(r"Pulse: \d+ of (\d+) promised",
                                   daemon.log())))


def explained(daemon, p):
    done = daemon.ctl("explain", "--config", str(daemon.config), str(p.pid))
    check(done.returncode == 0, done.stderr)
    return done.stdout


def what_keeps_breaking_is_held(t):
    fickle = t.target("fickle", "--size", "16")
    others = [t.target("dup", "--size", "16", "--dup", "50", "--id", str(i))
              for i in range(2)]
    daemon = t.daemon(t.config(*CPU), args=("--debug",))
    wait_for(lambda: process_of(daemon, fickle)["held"], 240, "its being held")
    row = process_of(daemon, fickle)
    check(row["state"] == "held" and row["pages_broken"] >= 256, row)
    check("keeps-breaking" in explained(daemon, fickle), "explain")
    check("keeps-breaking" not in explained(daemon, others[0]), "of another")
    check("writes again what is merged" in daemon.log(), "the journal")
    check("keeps-breaking" in [w["name"] for w in
                               daemon.status()["warnings"]], "status")
    # a pulse that was begun for it may still go on
    wait_for(lambda: daemon.status()["state"] == "resting", 60, "rest")
    before, n = promised(daemon), 0
    while fickle.has_line():
        fickle.line()
    time.sleep(4)
    while fickle.has_line():
        n += 1
        fickle.line()
    print(f"# {promised(daemon) - before} pages promised and {n} rewrites "
          "in 4 s while it was held", flush=True)
    check(promised(daemon) - before < 2048, daemon.log())
    # the others' merging goes on
    others.append(t.target("dup", "--size", "16", "--dup", "50", "--id", "2"))
    wait_for(lambda: all(process_of(daemon, p)["pages_saved"] > 900
                         for p in others), 60, "the others' merging")
    check(not any(process_of(daemon, p)["held"] for p in others), "others")
    # and there is a way back
    os.kill(fickle.pid, signal.SIGUSR1)
    check(daemon.ctl("rescan").returncode == 0, "rescan")
    wait_for(lambda: not process_of(daemon, fickle)["held"] and
             process_of(daemon, fickle)["pages_saved"] > 1900, 180,
             "what is calm is merged")
    while fickle.has_line():
        fickle.line()
    fickle.finish()


if __name__ == "__main__":
    harness.run(each_has_its_account, what_keeps_breaking_is_held)
