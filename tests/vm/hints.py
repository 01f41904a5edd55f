#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 900
"""Every hook of the hints on the kernels that Debian has: what
tests/contract/hints checks, on a disk that can be read directly."""

import sys

import vm

PROGRAM = "build/tests/contract/hints"


def hooks_tell_the_truth(kernel):
    """One machine; True if nothing failed there."""
    def show(line):
        if line.startswith(("ok", "not ok", "#")):
            word, _, rest = line.partition(" - ")
            print(f"{word.rstrip('0123456789 ')} {kernel}: {rest}"
                  if rest else line, flush=True)

    machine = vm.Machine(kernel, disk_mib=16)
    try:
        ended = vm.boot(machine, [PROGRAM], env={"TMPDIR": "/disk"},
                        show=show)
    except vm.kernels.Unavailable as e:
        print(f"ok {kernel} # SKIP {e}", flush=True)
        return True
    if ended.status is None:
        print(f"not ok {kernel} # it ended, or its time was over\n# "
              f"{ended.console[-500:]}", flush=True)
    return ended.status == 0


if __name__ == "__main__":
    sys.exit(0 if all([hooks_tell_the_truth(kernel)
                       for kernel in ("6.1", "6.12")]) else 1)
