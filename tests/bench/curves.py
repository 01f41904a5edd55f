# SPDX-License-Identifier: GPL-2.0-or-later
"""Curves as PNG: memory merged and CPU used over time, all contenders.

Colours are those of Okabe and Ito, which people tell apart who see colours
in another way; lines also differ by their dashes and marks.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

# key: (colour, dash type, width, mark)
STYLES = {
    "ours": ("#0072B2", 1, 3.5, 7),
    "nohints": ("#56B4E9", 1, 2, 6),
    "tuned": ("#D55E00", 2, 2, 5),
    "advisor": ("#E69F00", 4, 2, 9),
    "ksmtuned": ("#009E73", 5, 2, 11),
    "stock": ("#666666", 3, 2, 13),
    "floor": ("#000000", 3, 1.5, 2),
}
ORDER = tuple(STYLES)
PAGES_PER_MIB = 256
MARKS = 10                      # on a line, at least, if it has so many points

HEAD = """\
set terminal pngcairo size 1000,900 font "sans,13" linewidth 1
set output "{output}"
set multiplot title "{title}" font ",15" layout 2,1 \\
	margins 0.09,0.97,0.07,0.85 spacing 0,0.04
set grid linecolor "#dddddd" linetype 1
set xrange [{low}:{high}]
{logscale}
set yrange [0:*]
set key at screen 0.5,0.945 center top horizontal \\
	Left reverse maxcols 3 samplen 4 spacing 1.1
set format x ""
set ylabel "merged, MiB" offset 1
"""
BETWEEN = """\
unset key
set format x "%g"
set xlabel "seconds since the contender was started{what}"
set ylabel "CPU used, seconds" offset 1
"""


def missing():
    """None, or why there are no curves."""
    if not shutil.which("gnuplot"):
        return "gnuplot is not installed (gnuplot-nox): no curves"
    return None


def plot(series, folder, column, factor):
    """The plot command of one panel."""
    lines = []
    for key, (title, points) in series.items():
        colour, dash, width, mark = STYLES[key]
        every = max(1, len(points) // MARKS)
        lines.append(
            f'"{folder}/{key}" using 1:(${column}*{factor}) with linespoints '
            f'linecolor rgb "{colour}" dashtype {dash} linewidth {width} '
            f'pointtype {mark} pointsize 1.1 pointinterval {every} '
            f'title "{title}"')
    return "plot " + ", \\\n  ".join(lines) + "\n"


def draw(path, title, series, log=False):
    """Write @path from @series: key -> (title, [(seconds, pages, CPU)])."""
    series = {key: series[key] for key in ORDER if key in series}
    end = max(points[-1][0] for _, points in series.values())
    head = HEAD.format(
        output=path, title=title, low=0.05 if log else 0,
        high=end * (1.15 if log else 1.03),
        logscale="set logscale x" if log else "")
    between = BETWEEN.format(what=" (logarithmic)" if log else "")
    with tempfile.TemporaryDirectory() as folder:
        for key, (_, points) in series.items():
            text = "\n".join(" ".join(map(str, p)) for p in points)
            Path(folder, key).write_text(text + "\n")
        script = (head + plot(series, folder, 2, 1 / PAGES_PER_MIB) +
                  between + plot(series, folder, 3, 1))
        subprocess.run(["gnuplot"], input=script, text=True, check=True,
                       capture_output=True)


RACE = """\
set terminal pngcairo size 1000,600 font "sans,13" linewidth 1
set output "{output}"
set title "{title}" font ",15"
set grid linecolor "#dddddd" linetype 1
set xlabel "seconds since the job was started"
set ylabel "memory used in the cgroup, MiB" offset 1
set yrange [0:{limit}*1.12]
set xrange [0:{end}*1.03]
set key bottom right Left reverse samplen 4 spacing 1.2
set arrow from 0,{limit} to graph 1,first {limit} nohead \\
	linewidth 2 linecolor rgb "#666666"
set label "limit" at 0,{limit} offset 1,0.7
"""


def draw_race(path, title, series, limit_mib):
    """Write @path from @series: key -> (title, won, [(seconds, MiB, ...)]).
    Who lost has a cross at the end."""
    end = max(points[-1][0] for _, _, points in series.values())
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for key, (name, won, points) in series.items():
            colour, dash, width, _ = STYLES[key]
            Path(folder, key).write_text(
                "".join(f"{p[0]} {p[1]}\n" for p in points))
            Path(folder, f"{key}.end").write_text(
                f"{points[-1][0]} {points[-1][1]}\n")
            lines.append(f'"{folder}/{key}" using 1:2 with lines linecolor '
                         f'rgb "{colour}" dashtype {dash} linewidth {width} '
                         f'title "{name}{"" if won else ": killed"}"')
            if not won:
                lines.append(f'"{folder}/{key}.end" using 1:2 with points '
                             f'linecolor rgb "{colour}" pointtype 2 linewidth '
                             f'4 pointsize 3 notitle')
        script = RACE.format(output=path, title=title, limit=limit_mib,
                             end=end) + "plot " + ", \\\n  ".join(lines)
        subprocess.run(["gnuplot"], input=script + "\n", text=True, check=True,
                       capture_output=True)
