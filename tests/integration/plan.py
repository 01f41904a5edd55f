#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 600
"""ksmd-plusctl plan: it changes nothing, names what it leaves out, and what it
foretells is what the daemon then brings."""

import contextlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import frames
import harness
from harness import check

sys.path.insert(0, str(harness.TOP / "tests/guest"))

import guest            # noqa: E402

CTL = str(harness.BUILD / "ksmd-plusctl")
CONTENT = harness.TOP / "tests/integration/content.py"
WORKER = harness.TOP / "tests/demo/worker.py"
NAME = "plan-test"
CONFIG = "\n".join(["[target plan]", f"comm = {NAME}", "mode = selective",
                    "[target others]", "comm = *", "mode = exclude", ""])
NEAR = 0.10                     # of what the daemon settles at
REST_PAGES = 400                # what a small program has besides its bulk
MIB_PAGES = 256


def plan_process(*args):
    return subprocess.run([CTL, "plan", *map(str, args)], timeout=120,
                          capture_output=True, text=True)


def plan(*args, status=0):
    done = plan_process("--json", *args)
    check(done.returncode == status,
          f"plan {args}: exit {done.returncode}, {done.stderr}")
    return json.loads(done.stdout)


def content(t, kind, mib, number=0, name=NAME):
    return t.own(harness.Target([sys.executable, str(CONTENT), name, kind,
                                 str(mib), str(number)]))


def of(result, pid):
    return next(p for p in result["processes"] if p["pid"] == pid)


def near(value, expected, what, slack=REST_PAGES):
    check(abs(value - expected) <= slack, f"{what}: {value}, not {expected}")


# --- what it does not do ------------------------------------------------------

def rollup(pid):
    """What a process has, in kB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    values = {line.split(":")[0]: line.split()[1] for line in text}
    return {name: values[name] for name in ("Rss", "Swap", "AnonHugePages",
                                            "Pss_Anon")}


def state(pids):
    """All that reading could disturb."""
    return {
        "frames": {pid: list(frames.pages(pid)) for pid in pids},
        "memory": {pid: rollup(pid) for pid in pids},
        "marks": {pid: harness.marks(pid) for pid in pids},
        "cow_ksm": harness.cow_ksm(),
        "knobs": harness.knobs(),
        "saved": harness.ksm("pages_sharing") + harness.ksm("ksm_zero_pages"),
    }


def check_unchanged(pids, when):
    before = state(pids)
    plan(*pids)
    after = state(pids)
    for what, value in before.items():
        check(after[what] == value, f"{what} changed, {when}: "
              f"{value if len(str(value)) < 2000 else '...'} "
              f"{after[what] if len(str(value)) < 2000 else '...'}")


def changes_nothing(t):
    targets = [t.target("dup", "--id", str(i), "--size", "32", "--zero", "5")
               for i in range(3)]
    pids = [target.pid for target in targets]
    pids += harness.family_of(content(t, "fork", 4).pid)
    check_unchanged(pids, "before anything is merged")
    daemon = t.daemon()
    harness.wait_for(lambda: daemon.status()["state"] == "resting" and
                     daemon.status()["pages_saved"] > 4000, 60, "merging")
    daemon.kill()               # so that nobody but plan does anything
    harness.ksm_write("run", 0)
    check_unchanged(pids, "of merged memory")
    result = plan(*pids)
    check(result["pages_merged"] > 4000, "merged pages are not told apart")
    near(result["pages_saved"], 0, "of what is merged already")
    for target in targets:
        target.intact()


def needs_no_running_ksm(t):
    harness.ksm_write("run", 0)
    pids = [t.target("dup", "--id", str(i), "--size", "16").pid
            for i in range(2)]
    result = plan(*pids)
    near(result["pages_saved"], 4 * MIB_PAGES, "with KSM stopped")
    check(result["complete"], "it says that it is not complete")
    check(harness.ksm("run") == 0, "KSM runs")


# --- what it counts -----------------------------------------------------------

def tells_kinds_apart(t):
    one, two = (t.target("dup", "--id", str(i), "--size", "32", "--dup", "25",
                         "--zero", "10", "--run", "8") for i in (1, 2))
    counts = one.ask("count").split()
    duplicate, zero = int(counts[1]), int(counts[3])
    result = plan(one.pid, two.pid)
    near(result["zero_pages"], 2 * zero, "zero pages")
    near(result["between_pages"], duplicate, "between two processes")
    near(result["inside_pages"], 0, "inside one process")
    near(result["pages_saved"], duplicate + 2 * zero, "all")
    near(result["pages_looked_at"], 64 * MIB_PAGES, "pages read")
    near(of(result, one.pid)["pages_saved"], duplicate / 2 + zero, "of one")
    near(result["pages_saved"],
         sum(p["pages_saved"] for p in result["processes"]), "its parts", 2)
    check([sorted(p["pids"]) for p in result["pairs"]] ==
          [sorted((one.pid, two.pid))], f"{result['pairs']}")
    near(result["pairs"][0]["pages"], duplicate, "the pair")
    near(plan(one.pid)["pages_saved"], zero, "one alone")


def tells_twins_in_one_process_and_forks(t):
    inside = content(t, "inside", 8).pid
    near(plan(inside)["inside_pages"], 7 * MIB_PAGES, "twins in one process")
    family = harness.family_of(content(t, "fork", 8).pid)
    result = plan(*family)
    near(result["pages_saved"], 0, "what a fork shares")
    check(result["pages_shared"] >= 2 * 8 * MIB_PAGES,
          f"{result['pages_shared']} pages shared")


def tells_what_is_volatile(t):
    pids = [content(t, "volatile", 16, i).pid for i in range(3)]
    result = plan(*pids)
    near(result["pages_saved"], 16 * MIB_PAGES, "what stays", 1000)
    check(result["pages_saved"] + result["volatile_pages"] >=
          16 * MIB_PAGES - REST_PAGES, f"{result['volatile_pages']}")


# --- from a sample ------------------------------------------------------------

def bracket(t, what, *args):
    """Full plans lie within the intervals of samples, which read no more than
    they say. An interval may miss in one of 20; two of three do not."""
    pids = [t.target("dup", "--id", str(i), "--size", "64", *args).pid
            for i in range(3)]
    full = plan(*pids)["pages_saved"]
    # fewer than 64 duplicates do not split a huge page, and may be in each
    huge_kb = sum(int(rollup(pid)["AnonHugePages"]) for pid in pids)
    held = huge_kb / 4 * 63 / 512
    check("sample" not in plan("--sample=100%", *pids), "all is no sample")
    before = state(pids)
    hits = []
    for share in (0.2, 0.4, 0.4):
        result = plan(f"--sample={share:.0%}", *pids)
        sample = result["sample"]
        low, high = sample["pages_saved"]
        hits.append(low <= full <= high)
        print(f"# {what:12} {share:.0%}: {full} in [{low}, {high}], best "
              f"{result['pages_saved']}", flush=True)
        check(low <= result["pages_saved"] <= high, f"{sample}")
        near(sample["pages_present"], 3 * 64 * MIB_PAGES, "pages")
        read = sample["pages_present"] * share
        near(result["pages_looked_at"], read, "pages read", 8 * read ** 0.5)
        check(high - low < 1.5 * full + held,
              f"nothing is said: {low} to {high}")
        near(result["pages_saved"], sum(p["pages_saved"]
                                        for p in result["processes"]),
             "its parts", 3)
    check(sum(hits) >= 2, f"{full} is outside")
    check(state(pids) == before, "a sample has changed something")


def brackets_clustered_duplicates(t):
    bracket(t, "clustered", "--run", "64")


def brackets_scattered_duplicates_and_zeros(t):
    bracket(t, "scattered", "--run", "1", "--zero", "20")


def brackets_what_has_many_copies(t):
    pid = content(t, "inside", 64).pid
    full = plan(pid)["pages_saved"]
    result = plan("--sample=20%", pid)
    low, high = result["sample"]["pages_saved"]
    check(0.6 * full <= low <= full <= high <= 1.4 * full,
          f"{full} is outside of {low} to {high}, or that says nothing")
    text = plan_process("--sample=20%", pid).stdout
    check("chosen at random" in text and "between" in text, text)
    check("a sample cannot tell" in text, text)


def says_what_a_sample_cannot_tell(t):
    """The keys are those of a whole plan, null where only that one knows."""
    pid = content(t, "inside", 64).pid
    whole, part = plan(pid), plan("--sample=20%", pid)
    check(set(part) == {*whole, "sample"}, f"{set(part) ^ set(whole)}")
    check(set(part["processes"][0]) == set(whole["processes"][0]), "a process")
    unknown = {key for key, value in part.items() if value is None}
    check(unknown == {"inside_pages", "between_pages", "volatile_pages",
                      "scattered_pages", "ranges", "mappings_added",
                      "huge_pages_split", "kernel_bytes", "pairs"},
          f"{unknown}")
    check(all(value is not None for value in whole.values()), f"{whole}")


# --- whom it leaves out -------------------------------------------------------

def leaves_secrets_alone(t):
    hidden = [content(t, "hidden", 16, i).pid for i in range(2)]
    near(plan(*hidden)["pages_looked_at"], 0, "of memory not to be dumped",
         16 * MIB_PAGES)
    agent = content(t, "unique", 1, name="ssh-agent").pid
    done = plan_process("--json", agent)
    check(done.returncode == 1, f"exit {done.returncode}")
    check(f"ssh-agent (pid {agent}) is left out: built-in" in done.stderr,
          done.stderr)
    result = json.loads(done.stdout)
    check(result["pages_looked_at"] == 0, "it was read")
    check([e["pid"] for e in result["excluded"]] == [agent], "excluded")
    result = plan("--all")
    pids = [p["pid"] for p in result["processes"]]
    check(agent not in pids and 1 not in pids, "--all reads them")
    check(hidden[0] in pids, "--all does not read the others")
    check(agent in [e["pid"] for e in result["excluded"]], "nor names them")
    check("keeps secrets" in next(e["reason"] for e in result["excluded"]
                                  if e["pid"] == agent), "the reason")


def obeys_the_configuration(t):
    named = content(t, "unique", 2).pid
    other = content(t, "unique", 2, name="somebody").pid
    config = t.folder / "plan.conf"
    config.write_text(CONFIG)
    result = plan("--config", config, "--target", "plan")
    check([p["pid"] for p in result["processes"]] == [named],
          "--target means others")
    done = plan_process("--config", config, other)
    check(done.returncode == 1 and "[target others]" in done.stderr,
          f"exit {done.returncode}: {done.stderr}")
    check(plan_process("--config", config, "--target", "x").returncode == 1,
          "a target that is not there")
    check(plan("--cgroup", "/nothing/like/it")["processes"] == [], "--cgroup")
    check(plan("--unit", "nothing-like-it.service")["processes"] == [],
          "--unit")


def answers_plainly(t):
    pid = content(t, "unique", 1).pid
    gone = subprocess.Popen(["true"])
    gone.wait()
    for args, status in (([], 2), (["x"], 2), (["0"], 2), (["--unit"], 2),
                         ([gone.pid], 1), ([pid, gone.pid], 1), ([pid], 0),
                         (["--config", "/nonexistent", pid], 1),
                         (["--sample=0%", pid], 2), (["--sample=x", pid], 2),
                         (["--sample=101%", pid], 2), (["--sample", pid], 0)):
        done = plan_process(*args)
        check(done.returncode == status, f"{args}: exit {done.returncode}")
        check(bool(done.stderr) == bool(status), f"{args}: {done.stderr}")
    check("read in" in plan_process(pid).stdout, "text")


# --- being watched and stopped ------------------------------------------------

def catches(pid, number):
    """Whether the process has a handler for signal @number."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return int(line.split()[1], 16) >> (number - 1) & 1
    return False


def is_stopped_with_what_is_known(t):
    pids = [t.target("dup", "--id", str(i), "--size", "64").pid
            for i in range(2)]
    process = subprocess.Popen([CTL, "plan", "--json", *map(str, pids)],
                               stdout=subprocess.PIPE)
    harness.wait_for(lambda: catches(process.pid, signal.SIGINT), 30,
                     "its handler")
    process.send_signal(signal.SIGINT)      # it takes a second at least
    out, _ = process.communicate(timeout=60)
    result = json.loads(out)
    check(process.returncode == 1, f"exit {process.returncode}")
    check(result["complete"] is False, "it says that it is complete")
    check(result["pages_looked_at"] <= 2 * 64 * MIB_PAGES + 2 * REST_PAGES,
          "it read more than there is")


def shows_progress_on_a_terminal(t):
    pids = [t.target("dup", "--id", str(i), "--size", "64").pid
            for i in range(2)]
    main, sub = pty.openpty()
    process = subprocess.Popen([CTL, "plan", "--json", *map(str, pids)],
                               stdout=subprocess.PIPE, stderr=sub)
    os.close(sub)
    out, _ = process.communicate(timeout=60)
    text = b""
    with contextlib.suppress(OSError):
        while data := os.read(main, 65536):
            text += data
    os.close(main)
    check(json.loads(out)["complete"], "JSON")
    # on a fast machine there is nothing to be shown, but it is cleaned up
    check(text == b"" or text.endswith(b"\r\033[K"), f"{text[-80:]}")


# --- whether it is right ------------------------------------------------------

class Forecasts:
    """What was foretold of each kind of memory, and what came, by the kind.
    Kinds that are made together are there at once, under one daemon; each is
    foretold for itself, and of what came counts what it saves in itself."""

    def __init__(self, t, text):
        self.t, self.text = t, text
        self.pids = {}

    def saved(self):
        pages = {kind: frames.saved(pids) for kind, pids in self.pids.items()}
        return {kind: n - in_frames for kind, (n, in_frames) in pages.items()}

    def settled(self, daemon, seconds=150):
        """What is saved, when it has hardly changed for some seconds, and for
        some more where the daemon has promised something still."""
        deadline = time.monotonic() + seconds * harness.SLOW
        last, since = self.saved(), time.monotonic()
        while time.monotonic() < deadline:
            time.sleep(1)
            now, promised = self.saved(), daemon.status()["promised_pages"]
            if any(abs(now[kind] - last[kind]) > max(last[kind], 1000) / 200
                   for kind in now):
                last, since = now, time.monotonic()
            patience = 6 if promised < sum(now.values()) / 100 else 20
            if time.monotonic() > since + patience * harness.SLOW:
                break
        return last

    def make(self):
        config = self.t.folder / "forecast.conf"
        config.write_text(self.text)
        before = self.saved()
        foretold = {kind: plan("--config", config, *pids)["pages_saved"]
                    for kind, pids in self.pids.items()}
        daemon = self.t.daemon(self.text)
        after = self.settled(daemon)
        check(daemon.terminate() == 0, "the daemon's exit status")
        print("# pages saved   foretold  settled    off")
        for kind, came in after.items():
            came -= before[kind]
            off = (foretold[kind] - came) / max(came, 1)
            print(f"# {kind:12} {foretold[kind]:11} {came:8} {off:+6.1%}",
                  flush=True)
        return {kind: (foretold[kind], after[kind] - before[kind])
                for kind in after}


def check_forecast(made, kind):
    foretold, came = made[kind]
    check(came > 1000, f"the daemon saved {came} pages only")
    check(abs(foretold - came) <= NEAR * came,
          f"foretold {foretold}, came {came}")


MADE = {}                       # by the first test that asks


def side_by_side(t, kind):
    """Four generated workloads, and CPython workers."""
    if not MADE:
        MADE["failed"] = True
        forecasts = Forecasts(t, f"[target test]\nexe = {t.folder}/*\n"
                              "mode = selective\n" + CONFIG)
        kinds = {"clustered": ("--run", "64"), "scattered": ("--run", "1"),
                 "zero-heavy": ("--zero", "40", "--dup", "10")}
        for seed, (name, args) in enumerate(kinds.items(), 1):
            forecasts.pids[name] = [
                t.target("dup", "--id", str(i), "--size", "64", "--seed",
                         str(seed), *args).pid for i in range(3)]
        forecasts.pids["volatile"] = [content(t, "volatile", 48, i).pid
                                      for i in range(3)]
        workers = python_workers(t)
        forecasts.pids["CPython"] = [w.pid for w in workers]
        made = forecasts.make()
        check(all(w.ask("verify") == "intact" for w in workers), "a worker")
        MADE.clear()
        MADE.update(made)
    check("failed" not in MADE, "it failed when they were made")
    check_forecast(MADE, kind)


def python_workers(t):
    words = [random.Random(i).randbytes(4).hex() for i in range(5000)]
    text = t.folder / "text"
    source = random.Random(1)
    text.write_text("\n".join(" ".join(source.choices(words, k=12))
                              for _ in range(150000)))
    return [t.own(harness.Target([sys.executable, str(WORKER), NAME,
                                  str(text)])) for _ in range(3)]


def foretells_clustered_duplicates(t):
    side_by_side(t, "clustered")


def foretells_scattered_duplicates(t):
    side_by_side(t, "scattered")


def foretells_zeros(t):
    side_by_side(t, "zero-heavy")


def foretells_volatile_duplicates(t):
    side_by_side(t, "volatile")


def foretells_python_workers(t):
    side_by_side(t, "CPython")


def foretells_guests(t):
    why = guest.missing()
    if why:
        harness.skip(why)
    guests = [t.own(guest.Guest(f"{t.folder.name[-8:]}{i}")) for i in range(2)]
    harness.wait_for(lambda: all([g.ready() for g in guests]), 180,
                     "the guests' start")
    # as shipped: only what they registered themselves
    forecasts = Forecasts(
        t, (harness.TOP / "etc/ksmd-plus.conf").read_text())
    forecasts.pids["guests"] = [g.process.pid for g in guests]
    check_forecast(forecasts.make(), "guests")


harness.run(changes_nothing, needs_no_running_ksm, tells_kinds_apart,
            tells_twins_in_one_process_and_forks, tells_what_is_volatile,
            brackets_clustered_duplicates,
            brackets_scattered_duplicates_and_zeros,
            brackets_what_has_many_copies, says_what_a_sample_cannot_tell,
            leaves_secrets_alone, obeys_the_configuration, answers_plainly,
            is_stopped_with_what_is_known,
            shows_progress_on_a_terminal, foretells_clustered_duplicates,
            foretells_scattered_duplicates, foretells_zeros,
            foretells_volatile_duplicates, foretells_python_workers,
            foretells_guests)
