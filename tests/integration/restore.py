#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon has changed is put back, however it ends.

The knobs start from values that nobody has by default, so that what comes
back can only be what was there.
"""

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import harness
import tracing
from harness import check, wait_for

UNUSUAL = {"advisor_mode": "none", "smart_scan": "0", "use_zero_pages": "1",
           "pages_to_scan": "123", "sleep_millisecs": "37", "run": "1"}
STALL_SECONDS = 13              # a tenth of what a stop may take, and more
# The daemon changes these; what the advisor computes moves by itself.
STEERED = tuple(UNUSUAL)


def set_knobs(**changes):
    """Unusual start values; what they are then, as this kernel has them."""
    values = {**UNUSUAL, **changes}
    for name in ("advisor_mode", *values):
        if name in harness.knobs() and not (
                name == "pages_to_scan" and
                values["advisor_mode"] == "scan-time"):
            harness.ksm_write(name, values[name])
    return steered()


def steered():
    knobs = harness.knobs()
    values = {name: knobs[name] for name in STEERED if name in knobs}
    if values.get("advisor_mode", "none") != "none":
        del values["pages_to_scan"]     # the advisor's own affair
    return values


def check_restored(knobs):
    now = steered()
    check(now == knobs, f"knobs are {now}, they were {knobs}")


def pair(t, *args):
    return [t.target("dup", "--size", "16", "--id", str(i), *args)
            for i in range(2)]


def merged(targets):
    return all(p.ksm_stat()["ksm_merging_pages"] >= 900 for p in targets)


def at_work(t, *config, **kwargs):
    """A daemon that has merged two processes, and these."""
    targets = pair(t)
    daemon = t.daemon(t.config(*config), **kwargs)
    wait_for(lambda: merged(targets), 30, "the merge")
    return daemon, targets


def check_withdrawn(targets, swept=True):
    """@swept: ksmd has noticed, too."""
    for p in targets:
        check(harness.marks(p.pid) == 0, f"marks are left in pid {p.pid}")
        check(not swept or p.ksm_stat()["ksm_merging_pages"] == 0,
              "merged pages are left")
        p.intact()


def ends(t, number):
    knobs = set_knobs()
    daemon, targets = at_work(t)
    check(steered() != knobs, "this test sees nothing: no knob was changed")
    daemon.process.send_signal(number)
    check(daemon.process.wait(30 * harness.SLOW) == 0, "exit status")
    check_restored(knobs)
    check_withdrawn(targets)
    left = sorted(p.name for p in daemon.run_dir.iterdir())
    check(not left, f"left in the runtime directory: {left}")


def sigterm_puts_everything_back(t):
    ends(t, signal.SIGTERM)


def sigint_puts_everything_back(t):
    ends(t, signal.SIGINT)


def a_stop_amid_enrolling_leaves_no_marks(t):
    """What was to be marked after the stop is not, or is un-marked, too."""
    knobs = set_knobs()
    targets = [t.target("dup", "--size", "8", "--id", str(i))
               for i in range(24)]
    for _ in range(3):
        daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"), wait=False)
        ledger = daemon.run_dir / "ledger"
        wait_for(lambda: ledger.exists() and "\nenrol " in ledger.read_text(),
                 30, "the first mark", pause=0.001)
        check(daemon.terminate() == 0, "exit status")
        check_restored(knobs)
        check_withdrawn(targets)


def kill_an_injector(daemon):
    """One that is at work, at a moment that is nobody's end. False: none."""
    return any(tracing.kill(pid) for pid in
               filter(tracing.at_work, tracing.injectors_of(daemon.pid)))


def who_refused_is_not_missed(t):
    """Nothing was marked there, and so nothing is to be taken back."""
    targets = [t.target("dispatch", "--size", "8") for _ in range(2)]
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    wait_for(lambda: ["user dispatch" in row["note"]
                      for row in daemon.ctl_json("list")].count(True) == 2,
             30, "their refusal")
    check(daemon.terminate() == 0, "exit status")
    check("taken back" not in daemon.log(), "marks are missed")
    check(not any(daemon.run_dir.iterdir()), "the ledger is left")
    for target in targets:
        target.finish()


def with_much_to_give_back(t, n):
    targets = [t.target("dup", "--size", "64", "--id", str(i), "--dup", "90")
               for i in range(n)]
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    wait_for(lambda: all(p.ksm_stat()["ksm_merging_pages"] >= 14000
                         for p in targets), 60, "the merge")
    return daemon, targets


def a_stop_outlives_its_injectors(t):
    """What one of them had begun, the next one ends."""
    daemon, targets = with_much_to_give_back(t, 4)
    daemon.process.terminate()
    n_killed = 0
    while n_killed < 4 and daemon.process.poll() is None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            n_killed += kill_an_injector(daemon)
    print(f"# {n_killed} injectors killed", flush=True)
    check(daemon.process.wait(60 * harness.SLOW) == 0, "exit status")
    check(n_killed > 0, "it was too fast")
    check_withdrawn(targets)
    check(not any(daemon.run_dir.iterdir()), "the ledger is left")


def stopped_amid_a_hold(daemon):
    """An injector that stands still while it holds a thread, or None."""
    at_work = filter(tracing.at_work, tracing.injectors_of(daemon.pid))
    return next((pid for pid in at_work if tracing.stop_at(
        pid, (tracing.HELD, tracing.WINDOW))), None)


def a_stop_outlives_a_stall(t):
    """As of a machine that was suspended. Ten times as long as it held the
    thread, by the clock, would be longer than a stop may take."""
    daemon, targets = with_much_to_give_back(t, 2)
    daemon.process.terminate()
    injector = wait_for(lambda: stopped_amid_a_hold(daemon), 30, "a hold",
                        pause=0.001)
    time.sleep(STALL_SECONDS)
    tracing.go_on(injector)
    check(daemon.process.wait(180) == 0, "exit status")
    check("no time was left" not in daemon.log(), daemon.log())
    check_withdrawn(targets)


def the_advisor_comes_back(t):
    if "advisor_mode" not in harness.knobs():
        harness.skip("this kernel's KSM has no advisor")
    knobs = set_knobs(advisor_mode="scan-time", smart_scan="1")
    daemon, targets = at_work(t)
    check(harness.knobs()["advisor_mode"] == "none", "the advisor is on")
    check(daemon.terminate() == 0, "exit status")
    check_restored(knobs)
    check_withdrawn(targets)


def ksmd_that_stood_still_does_so_again(t):
    knobs = set_knobs(run="0")
    daemon, targets = at_work(t)
    check(harness.knobs()["run"] == "1", "how can they be merged?")
    check(daemon.terminate() == 0, "exit status")
    check_restored(knobs)
    check_withdrawn(targets)


def marks_stay_if_that_is_wanted(t):
    knobs = set_knobs()
    daemon, targets = at_work(t, "[merge]", "on_exit = keep")
    check(daemon.terminate() == 0, "exit status")
    check_restored(knobs)
    for p in targets:
        check(harness.marks(p.pid) > 0, "marks were taken back")
    check(merged(targets), "merged pages were un-merged")
    for p in targets:
        p.intact()


def killed_and_started_again(t):
    """The next daemon puts back what the first found, and goes on."""
    knobs = set_knobs()
    daemon, targets = at_work(t)
    daemon.kill()
    check(steered() != knobs, "a killed daemon restores knobs?")
    daemon.start()
    daemon.wait_ready()
    more = pair(t)
    wait_for(lambda: merged(targets + more), 30, "merging what is new")
    check(daemon.terminate() == 0, "exit status")
    check_restored(knobs)
    check_withdrawn(targets + more)


def killed_and_restored(t):
    """ksmd-plus --restore, as ExecStopPost= calls it."""
    knobs = set_knobs()
    daemon, targets = at_work(t)
    daemon.kill()
    daemon.argv.append("--restore")
    daemon.start()
    check(daemon.process.wait(30 * harness.SLOW) == 0,
          f"exit status: {daemon.log()}")
    check_restored(knobs)
    for p in targets:
        p.intact()
    daemon.start()              # once more finds nothing to do
    check(daemon.process.wait(30 * harness.SLOW) == 0,
          "exit status of the second time")
    check_restored(knobs)


def foreign_writers_are_respected(t):
    """Somebody else has written a knob: it is theirs from then on."""
    knobs = set_knobs()
    daemon, targets = at_work(t)
    harness.ksm_write("pages_to_scan", 777)

    def warned():
        more = pair(t)          # what makes the daemon want to write
        wait_for(lambda: merged(more), 30, "merging what is new")
        return [w for w in daemon.status()["warnings"]
                if w["name"] == "knob-foreign"]
    warnings = wait_for(warned, 30, "the warning")
    check("pages_to_scan" in warnings[0]["sentence"], f"{warnings}")
    check(harness.knobs()["pages_to_scan"] == "777", "it was written over")
    for row in daemon.ctl_json("list"):
        check(row["note"] == "", f"{row}")
    check(daemon.terminate() == 0, "exit status")
    check_restored({**knobs, "pages_to_scan": "777"})
    check(daemon.log().count("pages_to_scan") == 1, "said more than once")


def pausing_hands_ksmd_back(t):
    knobs = set_knobs()
    daemon, targets = at_work(t)
    check(daemon.ctl("pause").returncode == 0, "pause")
    check(daemon.status()["state"] == "paused", "state")
    check_restored(knobs)
    check(merged(targets), "pausing un-merges nothing")
    harness.ksm_write("pages_to_scan", 99)      # ours to change while paused
    changed = steered()
    more = pair(t)
    time.sleep(2)
    check(all(harness.marks(p.pid) == 0 for p in more), "it goes on paused")
    check(daemon.ctl("resume").returncode == 0, "resume")
    wait_for(lambda: merged(targets + more), 30, "merging after the pause")
    check(daemon.terminate() == 0, "exit status")
    check_restored(changed)
    check_withdrawn(targets + more)


def pausing_ends_a_pulse(t):
    """In the middle of everything, again and again."""
    knobs = set_knobs()
    # what an emulated machine can take back in the time that there is
    size = 16 if harness.SLOW > 1 else 64
    targets = [t.target("dup", "--size", str(size), "--id", str(i), "--run",
                        "1") for i in range(2)]
    daemon = t.daemon()
    for i in range(20):
        check(daemon.ctl("pause").returncode == 0, "pause")
        check_restored(knobs)
        check(daemon.ctl("resume").returncode == 0, "resume")
        time.sleep(0.03 * i)
    wait_for(lambda: all(p.ksm_stat()["ksm_merging_pages"] >= size * 60
                         for p in targets), 60, "the merge")
    check(daemon.terminate() == 0, "exit status")
    check_restored(knobs)
    check_withdrawn(targets)


def reload(daemon, text, word):
    """SIGHUP with a new file, until the log says @word once more."""
    before = daemon.log().count(word)
    daemon.config.write_text(text)
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.log().count(word) > before, 10,
             f"{word!r} in the log")


def a_reload_withdraws_who_is_no_longer_named(t):
    knobs = set_knobs()
    daemon, targets = at_work(t)
    pid = daemon.pid
    rounds = harness.cow_ksm()
    reload(daemon, t.config("[merge]", "max_ranges = 77"), "reloaded")
    time.sleep(1.5)
    check(merged(targets) and harness.cow_ksm() == rounds,
          "a reload that changes nothing for them un-merges")
    check(len(daemon.ctl_json("list")) >= 2, "they are forgotten")
    reload(daemon, "[target test]\ncomm = nobody\n", "reloaded")
    wait_for(lambda: not any(harness.marks(p.pid) for p in targets), 20,
             "their withdrawal")
    check_withdrawn(targets, swept=False)
    for _ in range(7):                  # KSM still has records of them
        seen = daemon.ctl_json("list")
        check(not seen, f"watched: {seen}")
        time.sleep(0.5)
    reload(daemon, t.config(), "reloaded")
    wait_for(lambda: merged(targets), 30, "merging them again")
    check(daemon.process.poll() is None and daemon.pid == pid, "it died")
    check(daemon.terminate() == 0, "exit status")
    check_restored(knobs)


def giving_back_holds_up_nobody(t):
    """Who is no longer named gets a great deal of memory back; newcomers are
    merged before that is done."""
    program = t.folder / "former"
    shutil.copy(harness.BUILD / "tests/targets/dup", program)
    former = [t.own(harness.Target([str(program), "--size", "384", "--id",
                                    str(i), "--dup", "90"]))
              for i in range(2)]
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    wait_for(lambda: all(p.ksm_stat()["ksm_merging_pages"] >= 86000
                         for p in former), 90, "the merge of much")
    # where huge pages are given to everybody, enough duplicates in each
    new = pair(t, "--run", "128")
    daemon.config.write_text(t.config(
        "[scan]", "cpu_limit = 100%",
        "[target former]", "comm = former", "mode = exclude"))
    daemon.process.send_signal(signal.SIGHUP)
    start = time.monotonic()
    wait_for(lambda: merged(new), 60, "the merge of newcomers")
    middle = time.monotonic()
    left = [harness.marks(p.pid) > 0 for p in former]
    wait_for(lambda: not any(harness.marks(p.pid) for p in former), 120,
             "all marks taken back")
    print(f"# newcomers were merged after {middle - start:.1f} s, all was "
          f"given back after {time.monotonic() - start:.1f} s", flush=True)
    check(any(left), "they were merged last")
    wait_for(lambda: len(tracing.injectors_of(daemon.pid)) == 1, 10,
             "the end of the second injector")
    check(daemon.terminate() == 0, "exit status")
    check_withdrawn(new)
    for p in former:
        p.intact()


def a_broken_file_changes_nothing(t):
    knobs = set_knobs()
    daemon, targets = at_work(t)
    cow = harness.cow_ksm()
    broken = ("[target test]\ncomm = nobody\nmode = sometimes\n"
              "[scna]\nthreads = 4\n")
    reload(daemon, broken, "stays in force")
    log = daemon.log()
    check(f"{daemon.config}:3:" in log, "no file and line of the bad value")
    check(f"{daemon.config}:4:" in log, "no file and line of the section")
    time.sleep(1.5)
    check(merged(targets) and harness.cow_ksm() == cow, "they were un-merged")
    more = pair(t)              # the old settings still hold for new ones
    wait_for(lambda: merged(more), 30, "merging by the old settings")
    daemon.config.unlink()
    daemon.process.send_signal(signal.SIGHUP)
    time.sleep(1.5)
    check(merged(targets), "without a file they are un-merged")
    check(daemon.terminate() == 0, "exit status")
    check_restored(knobs)
    check_withdrawn(targets + more)


def a_dry_run_changes_nothing(t):
    knobs = set_knobs()
    targets = pair(t)
    daemon = t.daemon(args=["--dry-run"])
    wait_for(lambda: sum(row["tracked_pages"]
                         for row in daemon.ctl_json("list")) > 8000, 30,
             "its look at them")
    daemon.ctl("rescan")
    time.sleep(1.5)
    check_restored(knobs)
    check_withdrawn(targets)
    check(daemon.terminate() == 0, "exit status")
    check_restored(knobs)
    left = sorted(p.name for p in daemon.run_dir.iterdir())
    check(not left, f"left in the runtime directory: {left}")


def n_mappings(p):
    return Path(f"/proc/{p.pid}/maps").read_text().count("\n")


def who_comes_near_his_limit_gets_his_mappings_back(t):
    most = int(Path("/proc/sys/vm/max_map_count").read_text())
    later = most - most // 16 + 300     # with what was marked: not yet all
    targets = [t.target("splinters", "--early", "1000", "--msec", "1000000000",
                        "--later", str(later), "--spare", "40")
               for _ in range(2)]
    daemon = t.daemon(t.config("[scan]", "cpu_limit = 100%"))
    wait_for(lambda: all(harness.marks(p.pid) > 100 for p in targets), 60,
             "many ranges in each")
    first = targets[0]
    os.kill(first.pid, signal.SIGUSR1)
    wait_for(lambda: n_mappings(first) >= later, 60, "most of its mappings")

    def is_relieved():
        daemon.ctl("rescan")
        return harness.marks(first.pid) == 0

    wait_for(is_relieved, 120, "its ranges given back", 1)
    check(harness.marks(targets[1].pid) > 100, "the other has lost its own")
    os.kill(first.pid, signal.SIGUSR1)
    wait_for(lambda: n_mappings(first) > later + 200, 60, "the rest", 0.001)
    check("Giving back the ranges of splinters" in daemon.log(),
          "nothing is said")
    for p in targets:
        p.finish()


def whole_processes_are_given_back(t):
    """mode = whole: PR_SET_MEMORY_MERGE, and its undoing."""
    if not any("ksm_merge_any" in line for line in
               open("/proc/self/ksm_stat")):
        harness.skip("this kernel does not tell who is registered whole")
    knobs = set_knobs()
    targets = pair(t)
    daemon = t.daemon(t.config(mode="whole"))
    wait_for(lambda: merged(targets), 30, "the merge")
    check(all(p.ksm_stat()["ksm_merge_any"] == "yes" for p in targets),
          "not registered whole")
    check(daemon.terminate() == 0, "exit status")
    check_restored(knobs)
    check_withdrawn(targets)
    check(all(p.ksm_stat()["ksm_merge_any"] == "no" for p in targets),
          "still registered whole")


if __name__ == "__main__":
    harness.run(sigterm_puts_everything_back, sigint_puts_everything_back,
                a_stop_amid_enrolling_leaves_no_marks,
                who_refused_is_not_missed, a_stop_outlives_its_injectors,
                a_stop_outlives_a_stall,
                the_advisor_comes_back, ksmd_that_stood_still_does_so_again,
                marks_stay_if_that_is_wanted, killed_and_started_again,
                killed_and_restored, foreign_writers_are_respected,
                pausing_hands_ksmd_back, pausing_ends_a_pulse,
                a_reload_withdraws_who_is_no_longer_named,
                giving_back_holds_up_nobody, a_broken_file_changes_nothing,
                a_dry_run_changes_nothing,
                who_comes_near_his_limit_gets_his_mappings_back,
                whole_processes_are_given_back)
