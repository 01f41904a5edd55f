# SPDX-License-Identifier: GPL-2.0-or-later
"""Who competes. Each has a cold start and its best setting.

	stock		ksmd as it is shipped: 100 pages every 20 ms
	tuned		ksmd as it is usually tuned: 4,000 pages every 20 ms
	advisor		the kernel's scan-time advisor, told to be done with a
			scan in a second and not to begin slower than tuned
			ksmd; its own limit of 70 % of a CPU stays
	ksmtuned	Debian's script, unpacked and not installed, with its
			own rules; its configuration says to look each second
			and that all memory is wanted, so that it begins
	floor		exactly the duplicates registered, ksmd at full pace,
			and one copy of each page: what nobody can do without
			who looks at the pages and lets the kernel merge
	ours		ksmd-plus as it is shipped

All but ours (and the floor) have every page of the workload registered.
"""

import mmap
import os
import subprocess
import tempfile
import time
from pathlib import Path

import harness
import kernels
import measuring

# A batch of about 0.1 s, and hardly any sleep between two.
FULL_PACE = {"smart_scan": 0, "pages_to_scan": 20000, "sleep_millisecs": 1}
KSMTUNED_RULES = {"KSM_MONITOR_INTERVAL": "1", "KSM_THRES_COEF": "100"}
REST_LOOKS = 8                  # half seconds of rest that count as rest


class Contender:
    key = title = ""
    register = "prctl"

    def __init__(self):
        self.ksmd = None

    def missing(self):
        """None, or why it cannot compete here."""

    def prepare(self, t):
        """What has to be there before the workload; nothing is counted."""

    def start(self, t, workload):
        self.ksmd = measuring.Ksmd()
        self.go(t, workload)

    def cpu(self):
        """(of ksmd, of whatever else it runs), seconds since start()."""
        return self.ksmd.cpu(), 0.0

    def finish(self, result):
        """What it does after the work is done; may add to @result."""

    def stop(self):
        """Back to a machine on which nobody merges."""


class Knobs(Contender):
    """ksmd alone."""
    values = {}

    def go(self, t, workload):
        measuring.write_knobs(self.values)
        harness.ksm_write("run", 1)


class Stock(Knobs):
    key, title = "stock", "stock ksmd"


class Tuned(Knobs):
    key, title = "tuned", "tuned ksmd"
    values = {"pages_to_scan": 4000, "sleep_millisecs": 20}


class Advisor(Knobs):
    key, title = "advisor", "advisor"
    scan_seconds = 1
    least_pages = 4000

    def missing(self):
        if "advisor_mode" not in harness.knobs():
            return "this kernel has no scan-time advisor (6.8)"
        return None

    def prepare(self, t):
        """It takes all that ksmd has ever used for the cost of its first
        scan, and is slow until the end of the second: on one MiB, here."""
        harness.ksm_write("advisor_target_scan_time", self.scan_seconds)
        harness.ksm_write("advisor_min_pages_to_scan", self.least_pages)
        harness.ksm_write("advisor_mode", "scan-time")
        t.target("dup", "--size", "1", "--dup", "0", "--seed", "7",
                 "--register", "prctl")
        harness.ksm_write("run", 1)
        scans = harness.ksm("full_scans")
        harness.wait_for(lambda: harness.ksm("full_scans") >= scans + 4, 30,
                         "the advisor's first scans")
        harness.ksm_write("run", 0)

    def go(self, t, workload):
        harness.ksm_write("run", 1)

    def retire(self, scan_seconds, least_pages):
        """Another setting for the time after; it goes on without a break."""
        harness.ksm_write("advisor_target_scan_time", scan_seconds)
        harness.ksm_write("advisor_min_pages_to_scan", least_pages)


class Ksmtuned(Contender):
    key, title = "ksmtuned", "ksmtuned"

    def __init__(self):
        super().__init__()
        self.process = None

    def missing(self):
        return None if script() else \
            "Debian's package ksmtuned cannot be downloaded"

    def go(self, t, workload):
        # A process namespace, so that the script's loop ends with it.
        env = dict(os.environ, **KSMTUNED_RULES,
                   PIDFILE=str(t.folder / "ksmtuned.pid"))
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork",
             "--kill-child", "sh", "-c", "bash \"$0\"; exec sleep infinity",
             str(script())], env=env, stdin=subprocess.DEVNULL)
        t.stack.callback(self.stop)

    def cpu(self):
        return self.ksmd.cpu(), measuring.family_cpu(self.process.pid)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def script():
    """The path of Debian's ksmtuned, fetched once, or None."""
    folder = harness.BUILD / "bench"
    path = folder / "ksmtuned"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as where:
        try:
            root = kernels.fetch("ksmtuned", where)
        except kernels.Unavailable:
            return None
        (root / "usr/sbin/ksmtuned").rename(path)
    return path


class Floor(Contender):
    key, title, register = "floor", "floor", "exact"

    def __init__(self):
        super().__init__()
        self.copied = 0.0

    def go(self, t, workload):
        self.copied = copy_cpu(workload.targets)
        measuring.write_knobs(FULL_PACE)
        self.ksmd = measuring.Ksmd()
        harness.ksm_write("run", 1)

    def cpu(self):
        return self.ksmd.cpu(), self.copied


def copy_cpu(targets):
    """CPU of reading every page of the targets once."""
    buffer = mmap.mmap(-1, 2 * measuring.MIB)
    buffer.write(bytes(len(buffer)))
    used = 0.0
    for target in targets:
        start, end = (int(x, 16) for x in target.ask("where").split())
        fd = os.open(f"/proc/{target.pid}/mem", os.O_RDONLY)
        before = time.process_time()
        for at in range(start, end, len(buffer)):
            os.preadv(fd, [buffer], at)
        used += time.process_time() - before
        os.close(fd)
    return used


class Ours(Contender):
    key, title, register = "ours", "ksmd-plus", "no"

    def __init__(self, until_rest=False):
        super().__init__()
        self.until_rest = until_rest
        self.daemon = None

    def go(self, t, workload):
        self.daemon = t.daemon(workload.config(t), wait=False)

    def cpu(self):
        return self.ksmd.cpu(), measuring.family_cpu(self.daemon.pid)

    def finish(self, result):
        if self.until_rest:             # it reads what probes have left out
            wait_rest(self.daemon)
            result.to_rest = sum(self.cpu())

    def stop(self):
        if os.environ.get("BENCH_LOG") == "1":
            print(self.daemon.log())
        self.daemon.terminate()


def wait_rest(daemon, seconds=180):
    """Until it has rested for as long as passes may lie apart at first."""
    calm = 0
    while calm < REST_LOOKS and seconds > 0:
        time.sleep(0.5)
        seconds -= 0.5
        calm = calm + 1 if daemon.status()["state"] == "resting" else 0
    harness.check(calm >= REST_LOOKS, "the daemon does not come to rest")


RIVALS = (Stock, Tuned, Advisor, Ksmtuned)
