# SPDX-License-Identifier: GPL-2.0-or-later
"""Real programs beside every rival: prefork servers in CPython and virtual
machines. What can be merged is counted from page contents."""

import contenders
import guest
import harness
import measuring
from names.rivals import TITLES, compare
from workloads import Fleet, Guests

N_MASTERS, N_WORKERS = 2, 3
FLEET_SECONDS = 15
N_GUESTS = 3
GUESTS_SECONDS = 25
ALL = (*contenders.RIVALS, contenders.Ours)


def fleet(bench):
    results = bench.compete(lambda: Fleet(N_MASTERS, N_WORKERS), ALL,
                            FLEET_SECONDS)
    bench.keep("fleet", results)
    compare(bench, results)
    bench.curve(f"{N_MASTERS} CPython masters, started by themselves, with "
                f"{N_WORKERS} forked workers each", results, TITLES)


def weigh(t):
    measuring.cold()
    return Guests(N_GUESTS).weigh(t)


def guests(bench):
    why = guest.missing()
    if why:
        raise harness.Skip(why)
    try:
        guest.kernel()
        guest.initramfs()
    except guest.Unavailable as e:
        raise harness.Skip(str(e)) from None
    possible = bench.locked(weigh)
    results = bench.compete(lambda: Guests(N_GUESTS, possible), ALL,
                            GUESTS_SECONDS)
    bench.keep("guests", results)
    compare(bench, results)
    bench.curve(f"{N_GUESTS} virtual machines of {guest.MEMORY_MIB} MiB, "
                "booted one after another", results, TITLES)


BENCHMARKS = {"fleet": (170, fleet), "guests": (270, guests)}
