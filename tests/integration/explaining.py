# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of `ksmd-plusctl explain` share: asking it, and a book of the
reasons that were named.

	found = explaining.reasons(p.pid)
	explaining.must_have(found, "locked")
	...
	explaining.check_all_named()

A reason counts where a process, or a machine, in that state was asked for and
explain named it. What this machine cannot have is excused by what was tried
and failed; what is too costly here is named by another test, which is looked
up.
"""

import json
import os
import re
import subprocess

import harness
from harness import check, wait_for

CTL = str(harness.BUILD / "ksmd-plusctl")
SEEN = set()                    # reasons that were named
EXCUSED = {}                    # reason: why it cannot be had here

# Named by another test: its file, and the function.
ELSEWHERE = {
    # a process has to lose for a minute before it is held
    "keeps-breaking": ("tests/integration/accounts.py",
                       "what_keeps_breaking_is_held"),
    # nobody may look at it, ps hangs
    "map-locked": ("tests/integration/locked.py",
                   "locked_while_they_are_read"),
    # swap would be everybody's; a guest has its own
    "swapped": ("tests/vm/explain.py", "names_what_is_swapped"),
    # needs a CPU with CET, which TCG does not emulate, not even as -cpu max,
    # and a kernel that uses it (CONFIG_X86_USER_SHADOW_STACK). `classes` maps
    # one wherever map_shadow_stack(2) lets it; else there is what smaps of
    # such a machine looks like
    "shadow-stack": ("tests/unit/sense/vmas.c", "test_a_shadow_stack"),
}


def config_file(t, text=None):
    path = t.folder / "explain.conf"
    path.write_text(text or t.config())
    return str(path)


def explain(what, *args, env=(), prefix=(), **kwargs):
    """explain --json, parsed; it must succeed."""
    environ = {**os.environ, "RUNTIME_DIRECTORY": "/nonexistent", **dict(env)}
    done = subprocess.run([*prefix, CTL, "explain", "--json", str(what),
                           *args], env=environ, capture_output=True, text=True,
                          timeout=60 * harness.SLOW, check=False, **kwargs)
    check(done.returncode == 0 and not done.stderr,
          f"exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def names(rows):
    return {row["reason"]: row for row in rows}


def one(result):
    check(len(result["processes"]) == 1, f"{result['processes']}")
    return result["processes"][0]


def reasons(*args, **kwargs):
    return names(one(explain(*args, **kwargs))["reasons"])


def host(*args, **kwargs):
    return names(explain(*args, **kwargs)["host"])


def named(*reason_names):
    SEEN.update(reason_names)
    print(f"# {' '.join(sorted(reason_names))}", flush=True)


def must_have(found, name, *parts):
    check(name in found, f"no {name} in {sorted(found)}")
    for part in parts:
        check(str(part) in found[name]["detail"], f"{found[name]}")
    named(name)


def excuse(why, *reason_names):
    """This machine cannot have these, as was tried."""
    for name in reason_names:
        EXCUSED[name] = why
        print(f"# no {name} here: {why}", flush=True)


CLASS_BYTES = 1 << 20
EVERYWHERE = {"candidate", "registered", "shared-mapping", "locked",
              "do-not-dump", "wipe-on-fork", "stack", "file", "empty"}


def check_classes(t, *wanted):
    """A process with one mapping of each class: each is named, and what is
    in memory of it counted; @wanted must be among them, and filled."""
    p = t.target("classes")
    made = set()
    while (line := p.line()) != "all":
        word, name, *why = line.split()
        if word == "made":
            made.add(name)
        else:
            excuse(" ".join(why), name)
    found = names(one(explain(p.pid, "--config",
                              config_file(t)))["mappings"])
    for name in made:
        check(name in found, f"no {name} in {sorted(found)}")
        if name not in {"hugetlb", "device", "empty", "shadow-stack"} - \
                (set(wanted) - {"device"}):
            check(found[name]["resident_bytes"] >= CLASS_BYTES,
                  f"{found[name]}")
    check("special" in found, "no vdso")
    named(*found)
    check(EVERYWHERE | set(wanted) <= made, f"only {made} could be made")
    return p


def daemon_reasons(daemon, pid):
    return reasons(pid, "--config", str(daemon.config),
                   env={"RUNTIME_DIRECTORY": str(daemon.run_dir)})


def daemon_host(daemon, pid):
    return host(pid, "--config", str(daemon.config),
                env={"RUNTIME_DIRECTORY": str(daemon.run_dir)})


def wait_reason(daemon, pid, name, seconds=60, pause=0.05):
    """Until explain names it for that process; its row."""
    found = {}

    def is_named():
        found.clear()
        found.update(daemon_reasons(daemon, pid))
        return name in found

    try:
        wait_for(is_named, seconds, name, pause)
    except harness.Failed:
        print(f"# it says: {found}", flush=True)
        raise
    must_have(found, name)
    return found[name]


def has_test(path, function, name):
    """Whether there is such a test and it speaks of that reason."""
    file = harness.TOP / path
    text = file.read_text() if file.exists() else ""
    start = rf"^def {function}\(" if path.endswith(".py") else \
        rf"^static void {function}\("
    body = re.search(start + r".*?(?=^\S|\Z)", text.replace("\n{", "\n {"),
                     re.M | re.S)
    word = name if path.endswith(".py") else \
        "REASON_" + name.upper().replace("-", "_")
    return bool(body) and word in body[0]


def check_all_named():
    """Each reason was named, is excused, or another test names it."""
    text = (harness.TOP / "daemon/base/reasons.c").read_text()
    known = set(re.findall(r'\[REASON_\w+\] = \{ "([^"]+)"', text))
    known.discard("none")
    check(len(known) > 50, f"{len(known)} reasons found in reasons.c")
    check(not SEEN - known, f"{SEEN - known} are none")
    check(not set(ELSEWHERE) - known, f"{set(ELSEWHERE) - known} are none")
    for name, (path, function) in ELSEWHERE.items():
        check(has_test(path, function, name),
              f"{function} of {path} does not name {name}")
    missing = known - SEEN - set(EXCUSED) - set(ELSEWHERE)
    check(not missing, f"nobody was in these states: {sorted(missing)}")
    print(f"# {len(SEEN)} of {len(known)} reasons; elsewhere: "
          f"{sorted(set(ELSEWHERE) - SEEN)}; not possible here: "
          f"{sorted(set(EXCUSED) - SEEN)}", flush=True)
