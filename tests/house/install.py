#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`make install` puts everything where the programs look for it, never over
an edited configuration, and `make uninstall` takes all but that away."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KSMD_PLUS_BUILD", TOP / "build"))
CONF = "etc/ksmd-plus.conf"
EXPECTED = {
    "opt/sbin/ksmd-plus", "opt/bin/ksmd-plusctl",
    "opt/libexec/ksmd-plus/ksmd-plus-injector",
    "opt/share/man/man8/ksmd-plus.8", "opt/share/man/man5/ksmd-plus.conf.5",
    "opt/share/man/man1/ksmd-plusctl.1",
    "opt/share/bash-completion/completions/ksmd-plusctl",
    "opt/share/zsh/site-functions/_ksmd-plusctl",
    "opt/share/fish/vendor_completions.d/ksmd-plusctl.fish",
    "opt/share/fish/vendor_completions.d/ksmd-plus.fish",
    "opt/share/ksmd-plus/ksmd-plus-dsa.sh",
    "opt/share/ksmd-plus/60-ksmd-plus-dsa.rules",
    "opt/share/ksmd-plus/grafana/ksmd-plus.json",
    "usr/lib/systemd/system/ksmd-plus.service",
    "usr/lib/systemd/system/ksmd-plus-metrics.service",
    "usr/lib/systemd/system/ksmd-plus-metrics.timer",
    "usr/lib/systemd/catalog/ksmd-plus.catalog",
    "usr/lib/systemd/system-preset/90-ksmd-plus.preset",
    "usr/lib/sysusers.d/ksmd-plus.conf",
    "usr/share/dbus-1/system.d/org.ksmdplus1.conf",
    "usr/share/dbus-1/interfaces/org.ksmdplus1.Manager.xml",
    "usr/share/polkit-1/actions/org.ksmdplus1.policy",
    "opt/share/man/man5/org.ksmdplus1.5", CONF,
}


# The GNU names, each somewhere else, and what has to be there then.
GNU = {"bindir": "a/ksmd-plusctl", "sbindir": "b/ksmd-plus",
       "libexecdir": "c/ksmd-plus/ksmd-plus-injector",
       "mandir": "d/man8/ksmd-plus.8", "sysconfdir": "e/ksmd-plus.conf",
       "datadir": "f/ksmd-plus/grafana/ksmd-plus.json"}


def make(target, folder, *variables):
    """What the programs were built for is not asked: they are only copied."""
    subprocess.run(["make", "-s", "-o", "all", target, f"B={BUILD}",
                    *(variables or ["PREFIX=/opt"]), f"DESTDIR={folder}"],
                   cwd=TOP, check=True, stdout=subprocess.DEVNULL)


def files(folder):
    return {str(p.relative_to(folder)) for p in Path(folder).rglob("*")
            if p.is_file()}


def everything_is_installed(folder):
    make("install", folder)
    missing = EXPECTED - files(folder)
    return f"missing: {' '.join(sorted(missing))}" if missing else None


def the_unit_starts_what_is_installed(folder):
    units = Path(folder, "usr/lib/systemd/system")
    text = (units / "ksmd-plus.service").read_text()
    if "=/opt/sbin/ksmd-plus" not in text or "/usr/sbin" in text:
        return "the unit names another path"
    text = (units / "ksmd-plus-metrics.service").read_text()
    if "=/opt/bin/ksmd-plusctl" not in text or "/usr/bin" in text:
        return "the unit for metrics names another path"
    return None


def an_edited_configuration_is_kept(folder):
    conf = Path(folder, CONF)
    conf.write_text(conf.read_text() + "; mine\n")
    make("install", folder)
    if not conf.read_text().endswith("; mine\n"):
        return "it was overwritten"
    new = Path(folder, CONF + ".new")
    if new.read_text() != (TOP / CONF).read_text():
        return "the new one is not beside it"
    return None


def uninstall_leaves_only_that(folder):
    make("uninstall", folder)
    left = files(folder) - {CONF}
    return f"left: {' '.join(sorted(left))}" if left else None


def it_follows_the_gnu_variables(folder):
    folder = Path(folder, "gnu")
    where = [f"{name}=/{path[0]}" for name, path in GNU.items()]
    make("install", folder, "prefix=/p", *where)
    for path in GNU.values():
        if path not in files(folder):
            return f"{path} is missing"
    if "p/share/bash-completion" in " ".join(files(folder)):
        return "datadir is not followed"
    unit = folder / "usr/lib/systemd/system/ksmd-plus.service"
    if "=/b/ksmd-plus" not in unit.read_text():
        return "the unit names another path"
    make("uninstall", folder, "prefix=/p", *where)
    return f"left: {files(folder)}" if files(folder) else None


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for step in (everything_is_installed,
                     the_unit_starts_what_is_installed,
                     an_edited_configuration_is_kept,
                     uninstall_leaves_only_that,
                     it_follows_the_gnu_variables):
            why = step(folder)
            name = step.__name__.replace("_", " ")
            print(f"not ok {name} # {why}" if why else f"ok {name}")
            failed |= bool(why)
    return failed


if __name__ == "__main__":
    sys.exit(main())
