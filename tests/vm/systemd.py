#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 900
"""At home in the system: the Debian package on Debian 13 with systemd, from
its installation to its purge. SYSTEMD=1 runs it, SYSTEMD_ALL=1 on Debian 12,
too. Arguments are the names of tests; each needs what those before it have
made."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import debian_vm
import vm
from vm import harness, kernels

TOP = vm.TOP
BUILD = harness.BUILD.resolve()
PAGES = 2048                    # equal ones in each target
SIZE_MIB = PAGES // 256
KNOBS = ("run", "pages_to_scan", "sleep_millisecs", "use_zero_pages",
         "merge_across_nodes", "max_page_sharing")
# What the machine has before anything of ours ran, unlike any default.
BEFORE = {"run": "0", "pages_to_scan": "123", "sleep_millisecs": "45"}
STARTED = "abca73a924774978ad5030564f566168"
REJECTED = "365c679c5a8a4b30a8eb4a54ab67738e"
DROP_IN = "/run/systemd/system/ksmd-plus.service.d"
# The score that the unit's comment names.
SCORE = re.search(r"systemd-analyze security: (\d+\.\d)",
                  (TOP / "systemd/ksmd-plus.service").read_text())
# A target as a service: it is asked through a pipe that stays open.
TARGET = f"""[Service]
ExecStartPre=/bin/sh -c 'mkfifo -m600 /run/%p-%i.in 2>/dev/null || :'
ExecStart=/bin/sh -c 'exec /payload/dup --size {SIZE_MIB} --dup 100 \
--id $0 <>/run/%p-%i.in >/run/%p-%i.out' %i
"""
RULE = """[scan]
cpu_limit = 200%
[target ruled]
unit = ruled@*.service
mode = selective
"""
# Runs behind our own ExecStopPost=, and so sees what that has left.
WITNESS = f"""[Service]
RestartSec=1s
WatchdogSec=10s
TimeoutAbortSec=2s
ExecStopPost=/bin/sh -c 'cd /sys/kernel/mm/ksm; echo $SERVICE_RESULT \
$(head -qn1 {' '.join(KNOBS)}) >>/run/witness'
"""


class Suite:
    """One machine and what its tests have found out."""

    def __init__(self, release, guest):
        self.release = release
        self.guest = guest
        self.run, self.must = guest.run, guest.must
        self.wait = guest.wait
        self.memory_ksm = release != "bookworm"
        self.kinds = ("own", "ruled") if self.memory_ksm else ("ruled",)

    # --- what tests ask --------------------------------------------------

    def knobs(self):
        values = self.must("cd /sys/kernel/mm/ksm; head -qn1 " +
                           " ".join(f"{k} 2>/dev/null" for k in KNOBS)
                           ).split()
        return dict(zip(KNOBS, values))

    def restored(self, what):
        have = self.knobs()
        harness.check(have == self.before, f"{what}: {have}")

    def ctl(self, verb):
        return json.loads(self.must(f"ksmd-plusctl {verb} --json"))

    def main_pid(self, unit="ksmd-plus"):
        return int(self.must(f"systemctl show -P MainPID {unit}"))

    def targets(self):
        return [f"{kind}@{i}" for kind in self.kinds for i in (1, 2)]

    def pids(self):
        return {unit: self.main_pid(unit) for unit in self.targets()}

    def alive(self):
        """Every target is the process it was, and has the bytes it wrote."""
        harness.check(self.pids() == self.started, f"{self.pids()}, not "
                      f"{self.started}")
        for unit in self.targets():
            name = unit.replace("@", "-")
            said = self.must(
                f"n=$(wc -l </run/{name}.out); echo verify >/run/{name}.in; "
                f"until [ $(wc -l </run/{name}.out) -gt $n ]; do sleep 0.1; "
                f"done; tail -n1 /run/{name}.out").strip()
            harness.check(said == "intact", f"{unit}: {said}")

    def merged(self):
        """Each kind's two have merged with one another, at least."""
        wanted = (2 * len(self.kinds) - 1) * PAGES
        self.wait(f"[ $(cat /sys/kernel/mm/ksm/pages_sharing) -ge {wanted} ]",
                  f"merging of {wanted} pages", 300)
        rows = {row["pid"]: row for row in self.ctl("list")}
        for unit, pid in self.started.items():
            harness.check(pid in rows, f"{unit} is not managed")
            row = rows[pid]
            harness.check(row["bytes_saved"] > 0, f"{unit}: {row}")
            if unit.startswith("ruled"):
                harness.check(row["mode"] == "selective" and
                              row["rule"] == "ruled", f"{unit}: {row}")

    def witnessed(self, result, n):
        """The @n-th stop ended so, with everything as it was before."""
        lines = self.wait(f"[ $(wc -l </run/witness) -ge {n} ] && "
                          f"cat /run/witness", f"stop number {n}",
                          300).splitlines()
        harness.check(len(lines) == n, f"{lines}")
        word, *values = lines[-1].split()
        harness.check(word == result, f"{lines[-1]}, not {result}")
        have = dict(zip(KNOBS, values))
        harness.check(have == self.before, f"{have}, not {self.before}")

    def works(self):
        self.wait("ksmd-plusctl status --json", "the daemon's answer")

    # --- the tests, in their order ---------------------------------------

    def boots(self):
        self.guest.wait_boot()
        state = self.run("systemctl is-system-running --wait")[1].strip()
        harness.check(state == "running", self.run("systemctl --failed")[1])
        print("#", self.must("uname -r; systemctl --version | head -n1"
                             ).replace("\n", ", "), flush=True)

    def installing_starts_nothing(self):
        self.must("cd /sys/kernel/mm/ksm; " + "; ".join(
            f"echo {value} >{knob}" for knob, value in BEFORE.items()))
        self.before = self.knobs()
        self.must("dpkg -i /payload/ksmd-plus.deb")
        for unit in ("ksmd-plus.service", "ksmd-plus-metrics.timer"):
            state = self.run(f"systemctl is-enabled {unit}")[1].strip()
            harness.check(state == "disabled", f"{unit} is {state}")
            state = self.run(f"systemctl is-active {unit}")[1].strip()
            harness.check(state == "inactive", f"{unit} is {state}")
        self.must("systemctl preset ksmd-plus.service 2>&1; "
                  "! systemctl -q is-enabled ksmd-plus.service")
        self.restored("after installation")

    def the_unit_is_clean(self):
        said = self.must("systemd-analyze verify --man=no "
                         "ksmd-plus.service ksmd-plus-metrics.timer 2>&1")
        harness.check(said == "", said)
        said = self.must("systemd-analyze security --no-pager ksmd-plus")
        score = re.search(r"exposure level.*: (\d+\.\d)", said)[1]
        print(f"# systemd-analyze security: {score}", flush=True)
        harness.check(SCORE, "the unit names no score")
        harness.check(float(score) <= float(SCORE[1]) + 0.3,
                      f"{score}, and the unit says {SCORE[1]}")

    def services_merge(self):
        """One kind by MemoryKSM= of systemd, the other by a rule of ours."""
        own = "MemoryKSM=yes\n" if self.memory_ksm else ""
        self.must(
            f"cat >/etc/systemd/system/ruled@.service <<'E'\n{TARGET}E\n"
            f"cat >/etc/systemd/system/own@.service <<'E'\n{TARGET}{own}E\n"
            f"cat >/etc/ksmd-plus.conf.d/test.conf <<'E'\n{RULE}E\n"
            f"mkdir -p {DROP_IN}; "
            f"cat >{DROP_IN}/witness.conf <<'E'\n{WITNESS}E\n"
            f"systemctl daemon-reload; systemctl start " +
            " ".join(self.targets()))
        self.wait(" && ".join(f"grep -q ready /run/{u.replace('@', '-')}.out"
                              for u in self.targets()), "the targets")
        self.started = self.pids()
        self.must("systemctl enable --now ksmd-plus")
        self.merged()
        self.alive()

    def strangers_may_not_change_it(self):
        """The group reads; others do not; nobody but root changes."""
        ask = "busctl --system --timeout=60 "
        name = "org.ksmdplus1 /org/ksmdplus1 org.ksmdplus1.Manager"
        read = f"{ask} get-property {name} BytesSaved"
        pause = f"{ask} call {name} Pause"
        member = ("setpriv --reuid=nobody --regid=nogroup "
                  "--groups=$(getent group ksmd-plus | cut -d: -f3) ")
        stranger = "setpriv --reuid=nobody --regid=nogroup --clear-groups "
        self.wait(f"{ask} status org.ksmdplus1", "the name on the bus")
        said = self.must(member + read).split()
        harness.check(said[0] == "t" and int(said[1]) > 0, f"{said}")
        for who, what in ((stranger, read), (stranger, pause),
                          (member, pause)):
            status, said = self.run(who + what)
            harness.check(status != 0 and re.search(
                "denied|is for root|authoriz", said, re.I),
                f"{who}{what}: {status}: {said}")
        harness.check(self.ctl("status")["state"] != "paused", "it is paused")
        self.must(pause)
        harness.check(self.ctl("status")["state"] == "paused", "it is not")
        self.must(f"{ask} call {name} Resume")

    def units_are_enabled(self):
        """MemoryKSM=yes for a unit by a word, where systemd has it."""
        unit = "ruled@1.service"
        status, said = self.run(f"ksmd-plusctl enable {unit} 2>&1")
        if not self.memory_ksm:
            harness.check(status != 0 and "systemd" in said, said)
            return
        harness.check(status == 0 and "restart" in said, said)
        value = self.must(f"systemctl show -P MemoryKSM {unit}").strip()
        harness.check(value == "yes", value)
        self.must(f"ksmd-plusctl disable {unit}")
        value = self.must(f"systemctl show -P MemoryKSM {unit}").strip()
        harness.check(value != "yes", value)
        self.must("! find /etc/systemd -name '*ksmd-plus*' | "
                  "grep -v wants | grep .")

    def reload_takes_good_files_only(self):
        pid = self.main_pid()
        self.must("echo '[numa]' >>/etc/ksmd-plus.conf.d/test.conf; "
                  "systemctl reload ksmd-plus")
        self.must("echo 'polic = fair' >>/etc/ksmd-plus.conf.d/test.conf; "
                  "! systemctl reload ksmd-plus")
        self.wait("journalctl -u ksmd-plus | grep -q polic",
                  "a word about the fault")
        self.must("sed -i '$d' /etc/ksmd-plus.conf.d/test.conf; "
                  "systemctl reload ksmd-plus")
        harness.check(self.main_pid() == pid, "it was restarted")
        harness.check(self.ctl("status")["targets"][0]["name"] == "ruled",
                      "the settings from before are lost")

    def a_killed_daemon_leaves_nothing(self):
        pid = self.main_pid()
        self.must(f"kill -KILL {pid}")
        self.witnessed("signal", 1)
        self.works()
        harness.check(self.main_pid() != pid, "the same process")
        self.alive()

    def a_stuck_daemon_is_ended(self):
        """Stopped, it can neither report nor follow SIGABRT."""
        pid = self.main_pid()
        self.must(f"kill -STOP {pid}")
        self.witnessed("watchdog", 2)
        self.works()
        harness.check(self.main_pid() != pid, "the same process")
        self.alive()

    def the_journal_explains(self):
        self.wait(f"journalctl -u ksmd-plus MESSAGE_ID={STARTED} | grep -q .",
                  "the entry about the start")
        text = self.must("journalctl -o json -u ksmd-plus "
                         f"MESSAGE_ID={STARTED} | tail -n1")
        entry = json.loads(text)
        harness.check("KSMDPLUS_VERSION" in entry, f"{sorted(entry)}")
        harness.check(int(entry["KSMDPLUS_PROCESSES"]) >= 0, f"{entry}")
        text = self.must(f"journalctl -x -u ksmd-plus MESSAGE_ID={STARTED}")
        harness.check("Subject: ksmd-plus is at work" in text, text[-800:])
        harness.check("@KSMDPLUS" not in text, text[-800:])

    def an_upgrade_restarts_it(self):
        pid = self.main_pid()
        self.must("dpkg -i /payload/newer.deb")
        self.witnessed("success", 3)
        self.works()
        harness.check(self.main_pid() not in (0, pid), "it was not restarted")
        self.must("systemctl -q is-enabled ksmd-plus")
        self.alive()

    def a_reboot_comes_up_clean(self):
        self.guest.reboot()
        state = self.run("systemctl is-system-running --wait")[1].strip()
        harness.check(state == "running", self.run("systemctl --failed")[1])
        self.works()
        self.before = None
        self.must("systemctl start " + " ".join(self.targets()))
        self.wait(" && ".join(f"grep -q ready /run/{u.replace('@', '-')}.out"
                              for u in self.targets()), "the targets")
        self.started = self.pids()
        said = self.must("journalctl -b -u ksmd-plus -p warning -o cat")
        harness.check("-- No entries --" in said or not said.strip(), said)
        self.merged()

    def stopping_restores(self):
        self.must("systemctl stop ksmd-plus")
        have = self.knobs()
        harness.check(have["run"] == "0" and have["pages_to_scan"] == "100",
                      f"{have}")
        self.must("[ ! -e /run/ksmd-plus ]")
        self.alive()

    def removing_stops_and_restores(self):
        self.must("systemctl start ksmd-plus")
        self.works()
        if self.memory_ksm:
            self.must("ksmd-plusctl enable ruled@2.service")
        self.must("dpkg -r ksmd-plus")
        self.must("! systemctl -q is-active ksmd-plus; "
                  "[ ! -e /usr/sbin/ksmd-plus ]; [ -e /etc/ksmd-plus.conf ]")
        have = self.knobs()
        harness.check(have["run"] == "0" and have["pages_to_scan"] == "100",
                      f"{have}")
        self.alive()

    def purging_leaves_nothing(self):
        self.must("rm /etc/ksmd-plus.conf.d/test.conf; dpkg -P ksmd-plus")
        left = self.must("find / -xdev -name '*ksmd*plus*' -not -path "
                         "'/payload/*' -not -path '/var/log/journal/*'; "
                         "find /run /etc/systemd -name '*ksmd*plus*'"
                         ).split()
        harness.check(not left, " ".join(left))
        state = self.run("systemctl is-system-running")[1].strip()
        harness.check(state == "running", self.run("systemctl --failed")[1])


TESTS = (Suite.boots, Suite.installing_starts_nothing,
         Suite.the_unit_is_clean, Suite.services_merge,
         Suite.strangers_may_not_change_it, Suite.units_are_enabled,
         Suite.reload_takes_good_files_only,
         Suite.a_killed_daemon_leaves_nothing, Suite.a_stuck_daemon_is_ended,
         Suite.the_journal_explains, Suite.an_upgrade_restarts_it,
         Suite.a_reboot_comes_up_clean, Suite.stopping_restores,
         Suite.removing_stops_and_restores, Suite.purging_leaves_nothing)


def package():
    """Build the Debian package, or fail; where it is."""
    done = subprocess.run(["make", "-s", "-C", TOP, f"B={BUILD}", "deb"],
                          capture_output=True, text=True)
    found = [p for p in (BUILD / "deb").glob("ksmd-plus_*.deb")]
    harness.check(done.returncode == 0 and len(found) == 1,
                  f"make deb: {(done.stdout + done.stderr)[-800:]}")
    return found[0]


def newer(deb, folder):
    """The same package with a higher version."""
    tree = Path(folder, "tree")
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^(Version: .*)$", r"\1+next",
                              control.read_text(), flags=re.M))
    path = Path(folder, "newer.deb")
    subprocess.run(["dpkg-deb", "-b", tree, path], check=True,
                   capture_output=True)
    return path


def needs(deb):
    """Packages that have to be there for it, the first of alternatives."""
    fields = subprocess.run(["dpkg-deb", "-f", deb, "Depends", "Pre-Depends"],
                            capture_output=True, text=True, check=True).stdout
    return re.findall(r"(?:^\S+: |, )([a-z0-9.+-]+)", fields, re.M)


def one(suite, test):
    name = f"{suite.release}: {test.__name__.replace('_', ' ')}"
    started = time.monotonic()
    try:
        test(suite)
    except Exception as e:
        for line in traceback.format_exc().splitlines():
            print(f"# {line}")
        why = " ".join(str(e).split())[:300] or type(e).__name__
        print(f"not ok {name} # {why}", flush=True)
        return False
    print(f"ok {name}\n# {time.monotonic() - started:.1f} s", flush=True)
    return True


def log(suite):
    try:
        for line in suite.run("journalctl -b -u ksmd-plus | tail -n 40"
                              )[1].splitlines():
            print(f"# log: {line}")
    except harness.Failed:
        pass


def on(release, deb, newer_deb):
    """All tests on one machine; True if none failed."""
    packages = ["systemd-sysv", "dbus", "polkitd", *needs(deb)]
    payload = {"ksmd-plus.deb": deb, "newer.deb": newer_deb,
               "dup": BUILD / "tests/targets/dup"}
    try:
        guest = debian_vm.boot(release, packages, payload)
    except kernels.Unavailable as e:
        print(f"ok {release} # SKIP {e}", flush=True)
        return True
    with guest:
        suite = Suite(release, guest)
        for test in TESTS:
            if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
                continue
            if not one(suite, test):
                log(suite)
                return False        # each builds on those before
    return True


def main():
    releases = ["trixie"]
    if os.environ.get("SYSTEMD_ALL") == "1":
        releases.append("bookworm")
    vm.end_at_sigterm()
    if not os.environ.get("SYSTEMD") and not os.environ.get("SYSTEMD_ALL"):
        print("ok systemd # SKIP takes minutes: asked for by SYSTEMD=1, or "
              "SYSTEMD_ALL=1")
        return 0
    for program in ("dh", "dpkg-buildpackage", "mmdebstrap"):
        if not vm.shutil.which(program):
            print(f"ok systemd # SKIP {program} is not installed")
            return 0
    deb = package()
    with tempfile.TemporaryDirectory(prefix="ksmd-plus-vm.") as folder:
        newer_deb = newer(deb, folder)
        results = [on(release, deb, newer_deb) for release in releases]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
