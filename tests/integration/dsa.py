#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checksums by an accelerator that is a program: the daemon merges the same.

In a mount namespace of its own /sys/bus and /dev are made anew, with one
device that the daemon finds through libaccel-config. Behind its node stands
tests/dsa/model (a FIFO; system calls are real), or the daemon is the one that
has the model inside, which knows the portal, too.
"""

import os
import subprocess
import sys
from pathlib import Path

import frames
import harness
from harness import check, wait_for

INSIDE = "KSMD_PLUS_TEST_NAMESPACE"
MODEL = harness.BUILD / "tests/dsa/model"
WITH_MODEL = harness.BUILD / "tests/dsa/ksmd-plus"
NODE = Path("/dev/dsa/wq0.0")
SIZE_MIB = 64
# The daemon lets a handful of pages wait for a pulse that is worth its CPU.
COMPLETE = 0.99
OPS = "00000000," * 6 + "00000001,"

DEVICE = {
    "cmd_status": "0x0", "state": "enabled", "max_groups": "4",
    "max_work_queues": "8", "max_engines": "4",
    "max_work_queues_size": "128", "numa_node": "0",
    "max_batch_size": "1024", "max_transfer_size": "2147483648",
    "gen_cap": "0x40915f010f", "configurable": "1", "pasid_enabled": "1",
    "max_read_buffers": "96", "read_buffer_limit": "0", "cdev_major": "236",
    "version": "0x100", "clients": "0", "op_cap": OPS + "003f03ff",
    "errors": "00000000," * 7 + "00000000",
}
GROUP = {
    "engines": "engine0.0", "work_queues": "wq0.0", "traffic_class_a": "1",
    "traffic_class_b": "1", "read_buffers_reserved": "0",
    "read_buffers_allowed": "96", "use_read_buffer_limit": "0",
}
QUEUE = {
    "group_id": "0", "size": "64", "priority": "10", "block_on_fault": "0",
    "mode": "shared", "state": "enabled", "cdev_minor": "0", "type": "user",
    "name": "ksmd-plus", "driver_name": "user", "threshold": "60",
    "max_batch_size": "256", "max_transfer_size": "2097152",
    "ats_disable": "0", "clients": "0", "occupancy": "0",
}
NO_QUEUE = dict(QUEUE, group_id="-1", size="0", mode="dedicated",
                state="disabled", type="none")


def mount(*args):
    subprocess.run(["mount", *map(str, args)], check=True)


def write_all(folder, files):
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text + "\n")


def make_dev(old):
    """/dev on a tmpfs, everything in it bound to what it was."""
    mount("--rbind", "/dev", old)
    mount("-t", "tmpfs", "tmpfs", "/dev")
    for entry in old.iterdir():
        new = Path("/dev") / entry.name
        if entry.is_symlink():
            new.symlink_to(os.readlink(entry))
        elif entry.is_dir():
            new.mkdir()
            mount("--rbind", entry, new)
        else:
            new.touch()
            mount("--bind", entry, new)


def make_trees():
    mount("-t", "tmpfs", "tmpfs", "/sys/bus")
    dsa = Path("/sys/bus/dsa")
    for name in ("idxd", "user"):
        (dsa / "drivers" / name).mkdir(parents=True)
    device = dsa / "devices/dsa0"
    write_all(device, DEVICE)
    write_all(device / "group0.0", GROUP)
    write_all(device / "engine0.0", {"group_id": "0"})
    write_all(device / "wq0.0", QUEUE)
    write_all(device / "wq0.1", NO_QUEUE)
    mount("-t", "tmpfs", "tmpfs", "/mnt")
    old = Path("/mnt/dev")
    old.mkdir()
    make_dev(old)
    NODE.parent.mkdir()
    os.mkfifo(NODE)


def need_model():
    harness.need_ksm()
    if not MODEL.exists():
        harness.skip("built without DSA")


def batches(withheld):
    ops = "003f03fd" if withheld else "003f03ff"
    Path("/sys/bus/dsa/devices/dsa0/op_cap").write_text(f"{OPS}{ops}\n")


class Model:
    """tests/dsa/model behind the node."""

    def __init__(self, *args):
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", str(MODEL), *args, str(NODE)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        check(self.process.stdout.readline() == "ready\n", "no model")

    def counts(self):
        """(done, refused, touched) when it is told to end."""
        out, _ = self.process.communicate("", timeout=60)
        return tuple(map(int, out.split()))

    def stop(self):
        self.process.kill()
        self.process.wait()


def sharing(targets, starts):
    """How many pages the bulks have, and which of them share a frame."""
    groups = {}
    for i, (target, start) in enumerate(zip(targets, starts)):
        for found in frames.pages(target.pid):
            for page, frame in found:
                if 0 <= page - start < SIZE_MIB * 256:
                    groups.setdefault(frame, []).append((i, page - start))
    pages = sum(map(len, groups.values()))
    groups.pop(frames.zero_frame(), None)
    return pages, {tuple(group) for group in groups.values()}


def merged(t, engine, rung=None, program=None, env=()):
    """(pages, which share a frame, engine's state) of three processes, the
    same each time, when the daemon has merged them."""
    targets = [t.target("dup", "--size", str(SIZE_MIB), "--id", str(i),
                        "--dup", "50") for i in range(3)]
    words = [p.ask("count").split() for p in targets]
    counts = [dict(zip(w[::2], map(int, w[1::2]))) for w in words]
    possible = (sum(c["duplicate"] + c["zero"] for c in counts) -
                counts[0]["duplicate"])
    env = dict(env, **({"KSMD_PLUS_DSA_RUNG": rung} if rung else {}))
    daemon = harness.Daemon(
        t.folder, t.config("[scan]", f"engine = {engine}"), env=env,
        program=program)
    t.daemons.append(daemon)
    t.stack.callback(daemon.terminate)
    daemon.wait_ready()
    starts = [int(p.ask("where").split()[0], 16) // 4096 for p in targets]

    def all_merged():
        pages, groups = sharing(targets, starts)
        return (pages - len(groups) >= COMPLETE * possible and
                (pages, groups))

    pages, groups = wait_for(all_merged, 120, "merging", pause=0.5)
    status = daemon.status()
    check(status["engine"] == engine, f"the engine is {status['engine']}")
    for target in targets:
        target.finish()
    daemon.terminate()
    harness.settle()
    return pages, groups, status["engine_state"]


def agree(one, other):
    """Whether no frame of @one holds pages of two shared frames of @other."""
    frame = {page: i for i, group in enumerate(other) if len(group) > 1
             for page in group}
    return all(len({frame[page] for page in group if page in frame}) <= 1
               for group in one)


BY_CPU = []     # what the CPU merges of the same processes, each time


def same_as_cpu(t, rung, faulty=False, **kwargs):
    if not BY_CPU:
        BY_CPU.append(merged(t, "cpu"))
    by_cpu = BY_CPU[0]
    by_dsa = merged(t, "dsa", rung, **kwargs)
    state = by_dsa[2]
    print(f"# {rung}: {by_dsa[0] - len(by_dsa[1])} pages saved, by the CPU "
          f"{by_cpu[0] - len(by_cpu[1])}; {state['detail']}", flush=True)
    check(by_cpu[0] == by_dsa[0], "other pages are present")
    check(agree(by_cpu[1], by_dsa[1]) and agree(by_dsa[1], by_cpu[1]),
          f"{len(by_cpu[1] ^ by_dsa[1])} groups of pages differ")
    # a faulty queue may just be given up
    check(faulty or rung in state["detail"], state["detail"])
    check(faulty or state["pages"] > 3 * SIZE_MIB * 256 / 2,
          f"only {state['pages']} pages by the device")
    return state


def portal_merges_what_the_cpu_merges(t):
    same_as_cpu(t, "portal", program=WITH_MODEL)


def write_of_batches_merges_what_the_cpu_merges(t):
    model = t.own(Model())
    same_as_cpu(t, "write-batch")
    done, refused, touched = model.counts()
    check(done and not refused and not touched,
          f"done {done}, refused {refused}, touched {touched}")


def write_of_vectors_merges_what_the_cpu_merges(t):
    batches(withheld=True)
    model = t.own(Model())
    same_as_cpu(t, "write-vector")
    done, refused, touched = model.counts()
    batches(withheld=False)
    check(done and not refused and not touched,
          f"done {done}, refused {refused}, touched {touched}")


def a_faulty_device_merges_the_same(t):
    t.own(Model("fault=20", "hardware=500", "refused=20000", "lost=20000"))
    state = same_as_cpu(t, "write-batch", faulty=True)
    # on a busy machine the first answer may come too late, and be the last
    check(any(state[cause] for cause in ("fault", "hardware", "lost")),
          f"nothing went wrong: {state}")


def a_device_that_dies_is_the_cpus_work(t):
    model = t.own(Model())
    targets = [t.target("dup", "--size", "32", "--id", str(i))
               for i in range(2)]
    daemon = t.daemon(t.config("[scan]", "engine = dsa"))
    wait_for(lambda: daemon.status()["engine_state"]["pages"] > 1000, 60)
    model.stop()
    more = [t.target("dup", "--size", "32", "--id", str(i))
            for i in range(2, 4)]
    wait_for(lambda: daemon.status()["engine_state"]["lost"] > 0, 60,
             "noticing that the device is gone")
    saved = daemon.status()["pages_saved"]
    wait_for(lambda: daemon.status()["pages_saved"] > saved, 60, "merging")
    wait_for(lambda: any(w["name"] == "engine"
                         for w in daemon.status()["warnings"]), 60,
             "the warning")
    for target in targets + more:
        target.intact()
    check(daemon.terminate() == 0, "exit status")


def doctor_sees_the_queue(t):
    done = subprocess.run([harness.BUILD / "ksmd-plusctl", "doctor"],
                          capture_output=True, text=True)
    check("1 work queue for programs" in done.stdout, done.stdout)


def no_daemon_crashes_on_a_tree_with_holes(t):
    hole = Path("/sys/bus/dsa/devices/dsa0/wq0.1/type")
    hole.unlink()
    try:
        daemon = t.daemon(t.config("[scan]", "engine = dsa"))
        check(daemon.status()["engine_state"]["queues"] == 0, "used anyway")
        check("wq0.1/type" in daemon.log(), daemon.log())
        check(daemon.terminate() == 0, "exit status")
    finally:
        hole.write_text("none\n")


if __name__ == "__main__":
    if os.environ.get(INSIDE) is None and os.geteuid() == 0:
        os.environ[INSIDE] = "new"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
    if os.geteuid() == 0:
        make_trees()
    harness.run(
        doctor_sees_the_queue,
        no_daemon_crashes_on_a_tree_with_holes,
        portal_merges_what_the_cpu_merges,
        write_of_batches_merges_what_the_cpu_merges,
        write_of_vectors_merges_what_the_cpu_merges,
        a_faulty_device_merges_the_same,
        a_device_that_dies_is_the_cpus_work,
        needs=need_model)
