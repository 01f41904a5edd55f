#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The public attack on merged memory, in which writes are timed.

Who guesses a page of somebody else, waits and then writes to it can tell by
the time that the write takes whether the guess was merged, and so was right
(tests/targets/guess.c). One test is the attack where it has to succeed, since
both are in one target: otherwise the others would prove nothing. In the others
the attacker does what it can, and learns nothing.

Times are compared as ratios of medians, of right guesses and of wrong ones
that were written to by turns. Beside them stands what no clock is needed for:
that no page of the victim is merged or may be.
"""

import harness
from harness import check, wait_for

PAGES = 256
# A copy takes ten times as long as a write, or more; a write is as fast as
# another but for the clock's grain, which is a small part of a copy.
SEEN = 3.0
NOT_SEEN = 1.5
GRAIN = 0.05
copy_nsec = 0                   # as the control has seen it


def target_section(name, *lines):
    return "\n".join([f"[target {name}]", *lines, "mode = selective", ""])


OTHERS = "[target others]\ncomm = *\nmode = exclude\n"


def guess(t, name, *args):
    """An instance of the target, by a name of its own."""
    program = t.folder / name
    program.write_bytes((harness.BUILD / "tests/targets/guess").read_bytes())
    program.chmod(0o755)
    return t.own(harness.Target([str(program), "--pages", str(PAGES), *args]))


def marked(target):
    """Pages that may be merged, among its secrets or guesses."""
    start, end = (int(word, 16) for word in target.ask("where").split())
    pages, low, high = 0, 0, 0
    with open(f"/proc/{target.pid}/smaps") as smaps:
        for line in smaps:
            first = line.split()[0]
            if "-" in first and not first.endswith(":"):
                low, high = (int(word, 16) for word in first.split("-"))
            elif first == "VmFlags:" and " mg" in line:
                pages += max(0, min(high, end) - max(low, start)) // 4096
    return pages


def merging(target):
    return target.ksm_stat()["ksm_merging_pages"]


def rested(daemon):
    return daemon.status()["state"] == "resting"


def second_turn(t, daemon):
    """Whatever was to be merged is, once what came later has been."""
    late = [t.target("dup", "--size", "4", "--id", str(i)) for i in range(2)]
    daemon.ctl("rescan")
    wait_for(lambda: all(merging(p) >= 200 for p in late), 60,
             "merging what came later")
    wait_for(lambda: rested(daemon), 60, "rest")


def times_of(attacker):
    """Nanoseconds of writes where the guess was right, and was wrong."""
    words = attacker.ask("write").split()
    right, wrong = int(words[1]), int(words[3])
    print(f"# a write takes {right} ns where the guess was right, {wrong} ns "
          f"where it was wrong", flush=True)
    return right, max(wrong, 1)


def check_nothing_learned(attacker, victim):
    check(merging(victim) == 0, f"{merging(victim)} pages of the victim are "
          "merged")
    check(merging(attacker) >= PAGES, "the bait is not merged any more")
    right, wrong = times_of(attacker)
    check(right / wrong < NOT_SEEN or right - wrong < GRAIN * copy_nsec,
          f"a right guess takes {right / wrong:.1f} times as long")


def the_attack_works_inside_a_target(t):
    """The control: what the others look for can be seen."""
    global copy_nsec
    attacker = guess(t, "attacker", "--attacker")
    victim = guess(t, "victim")
    t.daemon()
    wait_for(lambda: merging(victim) >= PAGES * 0.99, 60,
             "merging the secrets")
    right, wrong = times_of(attacker)
    check(right / wrong > SEEN, f"a right guess takes {right / wrong:.1f} "
          "times as long: this machine shows no difference, so the tests below "
          "prove nothing")
    copy_nsec = right - wrong


def a_victim_that_is_not_named(t):
    """Whatever the attacker has itself registered."""
    attacker = guess(t, "attacker", "--attacker", "--register")
    victim = guess(t, "victim")
    daemon = t.daemon(target_section("attackers",
                                     f"exe = {t.folder}/attacker",
                                     f"exe = {t.folder}/dup") + OTHERS)
    wait_for(lambda: merging(attacker) >= PAGES, 60, "merging the bait")
    second_turn(t, daemon)
    check(marked(attacker) == 2 * PAGES, "the guesses are not registered")
    check(harness.marks(victim.pid) == 0, "memory of the victim is registered")
    check_nothing_learned(attacker, victim)


def a_victim_in_another_domain(t):
    """Neither a guess nor a secret is enrolled for its twin over there."""
    attacker = guess(t, "attacker", "--attacker")
    victim = guess(t, "victim")
    daemon = t.daemon(
        target_section("attackers", f"exe = {t.folder}/attacker",
                       f"exe = {t.folder}/dup", "domain = attackers") +
        target_section("victims", f"exe = {t.folder}/victim",
                       "domain = victims") + OTHERS)
    wait_for(lambda: merging(attacker) >= PAGES, 60, "merging the bait")
    second_turn(t, daemon)
    listed = {row["pid"]: row for row in daemon.ctl_json("list")}
    check(victim.pid in listed, "the victim is not managed")
    check(marked(attacker) == 0, "guesses were enrolled")
    check(marked(victim) == 0, "secrets were enrolled")
    check_nothing_learned(attacker, victim)


if __name__ == "__main__":
    harness.run(the_attack_works_inside_a_target, a_victim_that_is_not_named,
                a_victim_in_another_domain)
