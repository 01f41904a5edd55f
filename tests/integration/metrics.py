#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ksmd-plusctl metrics: read by a strict parser of our own and by promtool,
whatever the targets are called; and the dashboard asks for nothing that is
not there."""

import functools
import json
import os
import re
import shutil
import stat
import subprocess

import harness
from accounts import is_harmless
from harness import check, skip

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
SUFFIX = {"counter": "_total", "info": "_info", "gauge": ""}
# Names of targets that would end a label, a line or a parser.
HOSTILE = ['q"uo}te', "back\\slash\\", "a{b}=c,#", "x\\n", "\u00e4\u4e2d",
           "y" * 64]
DASHBOARD = harness.TOP / "etc/grafana/ksmd-plus.json"
MANUAL = harness.TOP / "man/ksmd-plusctl.1"


def ctl(*args):
    return subprocess.run([str(harness.BUILD / "ksmd-plusctl"), *args],
                          capture_output=True, timeout=60)


def parse(text):
    """{sample name: {labels: value}} of OpenMetrics 1.0 as we write it, or
    Failed: more is refused here than the specification refuses."""
    check(text.endswith("\n# EOF\n"), "no end mark")
    samples, families, family = {}, {}, None
    for line in text[:-len("# EOF\n")].split("\n")[:-1]:
        words = line.split(" ", 3)
        if line.startswith("# TYPE "):
            family = words[2]
            check(len(words) == 4 and words[3] in SUFFIX, line)
            check(re.fullmatch(NAME, family) and family not in families, line)
            families[family] = {"TYPE": words[3]}
        elif line.startswith("# "):
            check(len(words) == 4 and words[1] in ("UNIT", "HELP"), line)
            check(words[2] == family and words[1] not in families[family] and
                  "\\" not in words[3] and "samples" not in families[family],
                  line)
            families[family][words[1]] = words[3]
        else:
            sample(line, family, families[family], samples)
    for name, seen in families.items():
        check("HELP" in seen and seen["HELP"].endswith("."), f"{name}: help")
        unit = next((u for u in ("bytes", "seconds", "ratio", "pages")
                     if name.endswith("_" + u)), None)
        check(seen.get("UNIT") == unit, f"{name}: its unit")
    return samples


def sample(line, family, seen, samples):
    match = SAMPLE.fullmatch(line)
    check(match, f"no sample: {line}")
    name, labels, value = match.groups()
    check(name == family + SUFFIX[seen["TYPE"]], f"{name} in {family}")
    check(name.startswith("ksmd_plus_"), name)
    check(re.fullmatch(r"\d+(\.\d+)?" if "profit" not in name else r"-?\d+",
                       value), f"value: {line}")
    check(labels not in samples.setdefault(name, {}), f"twice: {line}")
    check(is_harmless(line), "a control character")
    samples[name][labels] = float(value)
    seen["samples"] = True


@functools.cache
def promtool():
    """Path of promtool: installed, or unpacked beside the build."""
    found = shutil.which("promtool")
    folder = harness.BUILD / "promtool"
    if found or (folder / "promtool").exists():
        return found or str(folder / "promtool")
    folder.mkdir(parents=True, exist_ok=True)
    if not shutil.which("apt-get"):
        skip("there is no promtool, and no apt-get to fetch it by")
    subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root",
                    "download", "prometheus"], cwd=folder, timeout=120,
                   capture_output=True)
    for package in folder.glob("prometheus_*.deb"):
        tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)],
                             stdout=subprocess.PIPE, check=True).stdout
        done = subprocess.run(
            ["tar", "-x", "--strip-components=3", "-C", str(folder),
             "./usr/bin/promtool"], input=tar, capture_output=True)
        package.unlink()
        if done.returncode:
            skip("this Debian's package prometheus has no promtool")
        return str(folder / "promtool")
    return skip("the Debian package prometheus cannot be fetched")


def hostile_daemon(t):
    """A daemon whose targets have such names; some match processes."""
    sections = [f"[target {name}]\nexe = {t.folder}/n{i}\n"
                for i, name in enumerate(HOSTILE)]
    config = t.config().replace("[target test]",
                                "".join(sections) + "[target test]")
    t.target("dup", "--size", "16")
    harness.guest(t, b"\x1b[2J\n\"}\\\xff")
    daemon = t.daemon(config)
    harness.wait_for(lambda: sum(p["tracked_pages"] > 0
                                 for p in daemon.ctl_json("list")) == 2,
                     30, "processes that are tracked")
    return daemon


def is_what_status_tells(t):
    daemon = hostile_daemon(t)
    samples = parse(daemon.ctl("metrics").stdout)
    check(samples["ksmd_plus_up"] == {None: 1}, "up")
    check(sum(samples["ksmd_plus_state"].values()) == 1, "one state")
    check(samples["ksmd_plus_target_tracked_bytes"]['target="test"'] > 0,
          "what a target has tracked")
    check(samples["ksmd_plus_target_processes"]['target="test"'] == 2,
          "processes of a target")
    told = {re.sub(r"\\(.)", r"\1", labels[len('target="'):-1])
            for labels in samples["ksmd_plus_target_processes"]}
    missing = set(HOSTILE) - told
    check(not missing, f"targets: {missing} not in {told}")
    check(len(told) == len(daemon.status()["targets"]), "one set per target")
    check(len(samples) < 60, "cardinality")
    check(set(samples["ksmd_plus_guest_processes"]) ==
          {r'guest="?[2J?\"}\\?"'}, samples["ksmd_plus_guest_processes"])
    check(sum(samples["ksmd_plus_unit_processes"].values()) == 2, "units")
    spend = daemon.status()["cpu_usec"]["daemon"] / 1e6
    said = samples["ksmd_plus_cpu_seconds_total"]['consumer="daemon"']
    check(0 < said <= spend, f"{said} s, then {spend} s")


def promtool_accepts_it(t):
    """Both forms: `check metrics` reads the older one alone, so OpenMetrics
    goes through Prometheus' own parser by way of a backfill, which wants
    a time behind each sample."""
    program = promtool()
    daemon = hostile_daemon(t)
    done = subprocess.run([program, "check", "metrics"], text=True,
                          input=daemon.ctl("metrics", "--textfile").stdout,
                          capture_output=True)
    check(done.returncode == 0 and not done.stderr, done.stderr)
    text = re.sub(r"(?m)^([^#].*)$", r"\1 1700000000",
                  daemon.ctl("metrics").stdout)
    stamped = t.folder / "stamped"
    stamped.write_text(text)
    backfill = [program, "tsdb", "create-blocks-from", "openmetrics",
                str(stamped), str(t.folder / "blocks")]
    done = subprocess.run(backfill, text=True, capture_output=True)
    check(done.returncode == 0, done.stderr)
    stamped.write_text(text.replace("\n# EOF", ""))
    check(subprocess.run(backfill, capture_output=True).returncode != 0,
          "promtool misses an end mark")


def tells_that_no_daemon_answers(t):
    done = ctl("metrics", "--socket", "/nonexistent/bus")
    check(done.returncode == 0, f"exit {done.returncode}")
    check(parse(done.stdout.decode()) == {"ksmd_plus_up": {None: 0}}, "down")
    check(b"not running" in done.stderr, "why")


def writes_a_file_as_a_whole(t):
    place = t.folder / "ksmd-plus.prom"
    place.write_text("old")
    os.chmod(place, 0o600)
    with open(place) as reader:         # who has the old one keeps it
        done = ctl("metrics", "--textfile", "--output", str(place),
                   "--socket", "/nonexistent/bus")
        check(done.returncode == 0 and not done.stdout, "written")
        check(reader.read() == "old", "it was written into")
    check(place.read_text().endswith("\nksmd_plus_up 0\n"), "the text")
    check(stat.S_IMODE(place.stat().st_mode) == 0o644, "node_exporter's user")
    check(os.listdir(t.folder) == [place.name], "something is left behind")
    for bad in ("/nonexistent/x", str(t.folder), "/dev/full/x"):
        done = ctl("metrics", "--output", bad)
        check(done.returncode == 1 and b"Cannot write" in done.stderr, bad)
    check(not list(t.folder.glob(".*")), "something is left behind")
    check(ctl("metrics", "--socket", "/x").returncode == 0, "it works")


def every_name_is_known(t):
    """The manual tells of all, the dashboard of no other."""
    daemon = hostile_daemon(t)
    told = set(parse(daemon.ctl("metrics").stdout))
    # No warning may be there just now; its family is.
    told.add("ksmd_plus_warning_active")
    manual = set(re.findall(r"ksmd_plus_\w+", MANUAL.read_text()))
    check(told <= manual, f"not in the manual: {told - manual}")
    extra = {n for n in manual - told if "_numa_" not in n}
    check(not extra, f"only in the manual: {extra}")
    dashboard = json.loads(DASHBOARD.read_text())
    asked = {name for panel in dashboard["panels"]
             for target in panel["targets"]
             for name in re.findall(r"ksmd_plus_\w+", target["expr"])}
    check(len(asked) > 10, f"the dashboard asks for {asked}")
    check(asked <= told, f"the dashboard asks for {asked - told}")


if __name__ == "__main__":
    harness.run(is_what_status_tells, promtool_accepts_it,
                tells_that_no_daemon_answers, writes_a_file_as_a_whole,
                every_name_is_known)
