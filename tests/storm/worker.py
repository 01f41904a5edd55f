#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Python program that checks itself while the daemon merges its memory.

The same in four languages (worker.py, .js, .go, Worker.java), each with what
is peculiar to its run time: several threads, garbage collection, timers and
signals. Each holds BLOCKS blocks of memory; all words of a block are one
number, so that its pages are duplicates. All the time one block is checked and
made anew. Says "ready"; answers a line "verify" by "intact" or by what is
broken; at the end of input it verifies a last time, and exits with 1 for
broken.
"""

import ctypes
import gc
import mmap
import os
import signal
import sys
import threading
import time

BLOCKS = 24
BLOCK_BYTES = 64 << 10
THREADS = 3
PAUSE_SECONDS = 0.1     # of each thread, between two blocks
TICK_SECONDS = 0.01     # of the timer

libc = ctypes.CDLL(None, use_errno=True)
lock = threading.Lock()
blocks = [None] * BLOCKS        # (number, memory)
broken = []
ticks = 0
signals_fd, signalled_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
signals_lock = threading.Lock()
n_signals = 0


def make(number):
    memory = mmap.mmap(-1, BLOCK_BYTES,
                       flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:] = number.to_bytes(8, "little") * (BLOCK_BYTES // 8)
    return number, memory


def check(block):
    number, memory = block
    if memory[:] != number.to_bytes(8, "little") * (BLOCK_BYTES // 8):
        broken.append(f"block {number:#x} has changed")


def signals():
    """How many there were, of any thread: the main thread, in which on_tick()
    runs, may be later, and is when it is held."""
    global n_signals
    with signals_lock:
        try:
            n_signals += len(os.read(signals_fd, 65536))
        except BlockingIOError:
            pass
        return n_signals


def interrupted():
    """What Python would hide: a call that a handler breaks off says so, one
    that only a tracer does goes on."""
    before = signals()
    if libc.usleep(1000) != 0:
        error = ctypes.get_errno()
        if signals() == before:
            broken.append(f"usleep: errno {error} without a signal")


def work(mine):
    number = mine << 40
    while True:
        number += 1
        place = number % BLOCKS
        time.sleep(PAUSE_SECONDS)
        interrupted()
        with lock:
            old, blocks[place] = blocks[place], make(number)
        check(old)
        if number % 16 == 0:
            gc.collect()


def on_tick(signum, frame):
    global ticks
    ticks += 1


def verify():
    with lock:
        for block in blocks:
            check(block)
    return f"broken {broken[0]}" if broken else "intact"


def main():
    os.nice(10)
    blocks[:] = [make(place) for place in range(BLOCKS)]
    signal.signal(signal.SIGALRM, on_tick)
    signal.set_wakeup_fd(signalled_fd, warn_on_full_buffer=False)
    signal.setitimer(signal.ITIMER_REAL, TICK_SECONDS, TICK_SECONDS)
    for mine in range(1, THREADS + 1):
        threading.Thread(target=work, args=(mine,), daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        print(verify(), flush=True)
    said = verify()
    print(said, flush=True)
    os._exit(said != "intact")


if __name__ == "__main__":
    main()
