#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A prefork server in CPython, as the benchmark starts them.

	fleet.py NAME WORKERS prctl|no

The master imports what a web application imports, reads its source files (as
templates and static files lie in memory) and parses a catalogue of records,
then forks the workers. Each answers requests: looking at an object writes its
reference count, and a collection writes the head of every container, so that
what was shared by fork becomes equal copies. A second master that is started
by itself, as containers are, has the same files and data at other addresses,
with other pointers in them.

With prctl everything is registered with KSM from the start. Answers to
"verify" with "intact" or "broken", and ends with its input.
"""

import argparse
import asyncio                  # noqa: F401
import concurrent.futures       # noqa: F401
import ctypes
import decimal                  # noqa: F401
import email.mime.multipart     # noqa: F401
import gc
import hashlib
import http.server              # noqa: F401
import inspect                  # noqa: F401
import json
import logging.config           # noqa: F401
import os
import random
import re
import signal
import sqlite3                  # noqa: F401
import ssl                      # noqa: F401
import sys
import sysconfig
import unittest.mock            # noqa: F401
import urllib.request           # noqa: F401
import xml.etree.ElementTree    # noqa: F401
from pathlib import Path

TEXT_BYTES = 16 << 20
RECORDS = 24000
REQUESTS = 2000
PR_SET_PDEATHSIG = 1
PR_SET_MEMORY_MERGE = 67        # 6.4
WORD = re.compile(rb"[A-Za-z_]{4,}")


def prctl(option, value):
    return ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class Application:
    def __init__(self):
        self.files = {}
        left = TEXT_BYTES
        folder = Path(sysconfig.get_paths()["stdlib"])
        for path in sorted(folder.rglob("*.py")):
            if left <= 0:
                break
            self.files[str(path)] = data = path.read_bytes()[:left]
            left -= len(data)
        self.catalogue = json.loads(self.document())
        self.first = self.digest()

    def document(self):
        """Records made of the files' words, as another service sends them."""
        words = [w.decode() for data in list(self.files.values())[:100]
                 for w in WORD.findall(data)]
        chance = random.Random(1)
        return json.dumps([
            {"id": i, "name": " ".join(chance.choices(words, k=3)),
             "price": chance.random() * 100,
             "tags": chance.choices(words, k=6),
             "text": " ".join(chance.choices(words, k=24)),
             "stock": {str(place): chance.randrange(1000)
                       for place in range(5)}}
            for i in range(RECORDS)])

    def serve(self, seed):
        """Some requests: search, render, count."""
        chance = random.Random(seed)
        seen = 0
        for _ in range(REQUESTS):
            record = chance.choice(self.catalogue)
            page = "".join(f"<li>{tag}</li>" for tag in record["tags"])
            seen += len(page) + sum(record["stock"].values())
        gc.collect()
        return seen

    def digest(self):
        h = hashlib.blake2b(json.dumps(self.catalogue).encode())
        for data in self.files.values():
            h.update(data)
        return h.digest()


def work(application, seed, ask, answer):
    """A worker's life: one byte for each thing said."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    application.serve(seed)
    os.write(answer, b"+")
    while os.read(ask, 1):
        good = application.digest() == application.first
        os.write(answer, b"+" if good else b"-")


class Worker:
    def __init__(self, application, seed, others):
        ask, self.ask = os.pipe()
        self.answer, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for other in others:        # it must see the end of its own only
                os.close(other.ask)
            os.close(self.ask)
            work(application, seed, ask, answer)
            os._exit(0)
        os.close(ask)
        os.close(answer)

    def said(self):
        return os.read(self.answer, 1) == b"+"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("workers", type=int)
    parser.add_argument("register", choices=["prctl", "no"])
    args = parser.parse_args()
    Path("/proc/self/comm").write_text(args.name)
    if args.register == "prctl" and prctl(PR_SET_MEMORY_MERGE, 1) != 0:
        sys.exit("this kernel has no PR_SET_MEMORY_MERGE")
    application = Application()
    workers = []
    for seed in range(args.workers):
        workers.append(Worker(application, seed, workers))
    good = all([worker.said() for worker in workers])
    print("ready" if good else "failed", flush=True)
    for _ in sys.stdin:
        for worker in workers:
            os.write(worker.ask, b"?")
        good = all([worker.said() for worker in workers])
        print("intact" if good else "broken", flush=True)
    for worker in workers:
        os.close(worker.ask)
        os.waitpid(worker.pid, 0)


if __name__ == "__main__":
    main()
