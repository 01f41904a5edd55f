#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One of several workers of a search service, as the demo starts them.

	worker.py NAME FILE

Every worker loads the same text and builds the same index of it, each in its
own address space, as prefork servers without copy-on-write do: the text and
the table of lines are large buffers, equal page by page in all workers; the
dictionary of words is made of objects full of pointers, which differ.

Answers to "verify" with "intact" or "broken", and ends with its input.
"""

import hashlib
import re
import sys
from array import array

# Of the text, how much goes into the dictionary of words; Python is slow.
WORDS_BYTES = 8 << 20


class Index:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.text = f.read()
        self.lines = array("Q", (m.end() for m in
                                 re.finditer(rb"\n", self.text)))
        self.words = {}
        for match in re.finditer(rb"\w{3,}", self.text[:WORDS_BYTES]):
            self.words.setdefault(match[0], array("I")).append(match.start())

    def digest(self):
        """Of everything that the worker holds."""
        h = hashlib.blake2b(self.text)
        h.update(self.lines)
        for word, places in self.words.items():
            h.update(word)
            h.update(places)
        return h.digest()


def main():
    name, path = sys.argv[1:]
    with open("/proc/self/comm", "w") as f:
        f.write(name)
    index = Index(path)
    first = index.digest()
    print("ready", flush=True)
    for line in sys.stdin:
        if line == "verify\n":
            print("intact" if index.digest() == first else "broken",
                  flush=True)
    return 0 if index.digest() == first else 1


if __name__ == "__main__":
    sys.exit(main())
