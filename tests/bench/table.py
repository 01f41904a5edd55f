# SPDX-License-Identifier: GPL-2.0-or-later
"""The one table: measure, aim, result, verdict, and why where it is missed."""

import dataclasses
import textwrap

MET, MISSED, INFO, SKIPPED = "met", "missed", "-", "skipped"
FAILED = "failed"              # to be measured, or a process was harmed
WIDTH = 79
COLUMNS = ((44, "<"), (10, ">"), (10, ">"))


@dataclasses.dataclass
class Row:
    measure: str
    aim: str
    result: str
    verdict: str
    reason: str = ""

    def lines(self):
        measure = textwrap.wrap(self.measure, COLUMNS[0][0]) or [""]
        yield (f"{measure[0]:<44} {self.aim:>10} {self.result:>10}  "
               f"{self.verdict}").rstrip()
        yield from (f"  {line}" for line in measure[1:])
        if self.reason:
            yield from textwrap.wrap(self.reason, WIDTH,
                                     initial_indent="    ",
                                     subsequent_indent="    ")


def judge(measure, value, aim, form, reason=""):
    """A row for what should be at most @aim; @reason is told if it is not."""
    met = value <= aim
    return Row(measure, form(aim), form(value), MET if met else MISSED,
               "" if met else reason)


def info(measure, result, reason=""):
    """A figure for which no aim was set."""
    return Row(measure, "", result, INFO, reason)


def skipped(measure, why):
    return Row(measure, "", "", SKIPPED, why)


def failed(measure, why):
    return Row(measure, "", "", FAILED, why)


def share(value):
    """1/4, or 1.25 x."""
    return f"1/{1 / value:.2g}" if value < 0.995 else f"{value:.2f} x"


def times(value):
    return f"{value:.2f} x"


def percent(value):
    return f"{value:.2%}"


def seconds(value):
    return f"{value:.1f} s"


def show(rows):
    print(f"{'measure':<44} {'aim':>10} {'result':>10}  verdict")
    print("-" * WIDTH)
    for row in rows:
        print(*row.lines(), sep="\n")
    count = {v: sum(row.verdict == v for row in rows)
             for v in (MET, MISSED, SKIPPED, FAILED)}
    print("-" * WIDTH)
    print(f"{count[MET]} aims met, {count[MISSED]} missed, "
          f"{count[SKIPPED]} not measured, {count[FAILED]} failed")
