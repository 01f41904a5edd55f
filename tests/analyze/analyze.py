#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Have programs read the daemon's source that find faults without running it.

	tests/analyze/analyze.py cppcheck|gcc|tidy

Each finding is a failure, but for those in `exceptions' beside this file, which
says of each why it is none. An exception that nothing needs any more is a
failure, too. Each version of these programs finds something else; the
exceptions are for the one that VERSIONS names, and with another it is skipped.
"""

import concurrent.futures
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]

# Of Debian 12, where CI runs.
VERSIONS = {"cppcheck": ("cppcheck", r"Cppcheck (2\.10)"),
            "gcc": ("gcc", r"gcc .* (12)\.\d+\.\d+"),
            "tidy": ("clang-tidy", r"LLVM version (14)\.")}
# Leaks are for gcc, ASan and valgrind to find: these two do not know what
# __attribute__((cleanup)) does.
TIDY_CHECKS = ",".join([
    "-*", "clang-analyzer-*", "bugprone-*", "cert-*", "misc-redundant-*",
    "concurrency-*", "-clang-analyzer-unix.Malloc",
    # it wants memcpy_s(), which no libc here has
    "-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling",
    # matters of taste, about which style.md says otherwise or nothing
    "-bugprone-easily-swappable-parameters", "-bugprone-narrowing-conversions",
    "-bugprone-reserved-identifier", "-cert-dcl37-c", "-cert-dcl51-cpp",
    "-bugprone-assignment-in-if-condition", "-bugprone-macro-parentheses",
    "-bugprone-implicit-widening-of-multiplication-result",
    # a vector of pointers
    "-bugprone-sizeof-expression",
    # sscanf() and atoi() on what the kernel wrote
    "-cert-err34-c", "-cert-err33-c",
    "-concurrency-mt-unsafe", "-cert-msc30-c", "-cert-msc50-cpp",
    "-cert-msc32-c", "-cert-msc51-cpp", "-cert-env33-c"])
FINDING = re.compile(r"^(?:.*/)?((?:daemon|include)/\S+?):\d+:\d+: "
                     r"(?:warning|error): (.*) \[([^\]]+)\]$")


def commands():
    """{source: flags} as the Makefile compiles them."""
    text = subprocess.run(["make", "-C", str(TOP), "-nB", "B=build/analyze",
                           "V=1", "CC=gcc", "all"], capture_output=True,
                          text=True, check=True).stdout
    found = {}
    for line in text.replace("\\\n", " ").splitlines():
        match = re.match(r"\s*gcc (.*) -c -o \S+ (daemon/\S+\.c)\s*$", line)
        if match:
            found[match[2]] = [
                f for f in shlex.split(match[1])
                if not f.startswith("-M") and f != "-Werror" and f != "-g"]
    return found


def argv_of(tool, source, flags):
    if tool == "gcc":
        return ["gcc", *flags, "-O1", "-Wno-format-truncation",
                "-fanalyzer", "-c", "-o", "/dev/null",
                source]
    return ["clang-tidy", "--quiet", f"--checks={TIDY_CHECKS}", source, "--",
            *flags]


def by_file(tool, sources):
    def one(source):
        done = subprocess.run(argv_of(tool, source, sources[source]), cwd=TOP,
                              capture_output=True, text=True)
        return done.stdout + "\n" + done.stderr

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return "\n".join(pool.map(one, sources))


def cppcheck(sources):
    flags = sorted({f for of in sources.values() for f in of
                    if f.startswith(("-D", "-I"))} |
                   {f"-Idaemon/{layer.name}" for layer in
                    (TOP / "daemon").iterdir()})
    done = subprocess.run(
        ["cppcheck", "--quiet", "--std=c11", f"-j{os.cpu_count()}",
         "--enable=warning,performance,portability", "--suppress=memleak",
         "--suppress=internalAstError",     # MIN() is beyond its parser
         "--template={file}:{line}:{column}: warning: {message} [{id}]",
         "-DLIBBPF_OPTS(type,name,...)=struct type name = { 0 }",
         "-D__x86_64__", *flags, *sources], cwd=TOP, capture_output=True,
        text=True)
    return done.stdout + done.stderr


def exceptions(tool):
    """[(file, check, words)] of this tool."""
    for line in (HERE / "exceptions").read_text().splitlines():
        words = line.split("#")[0].split()
        if words and words[0] == tool:
            yield words[1], words[2]


def findings(output):
    """{(file, check): first line}; what is found twice counts once."""
    found = {}
    for line in output.splitlines():
        match = FINDING.match(line.strip())
        if match:
            found.setdefault((match[1], match[3]), line.strip())
    return found


def version_is_known(tool):
    program, pattern = VERSIONS[tool]
    if not shutil.which(program):
        print(f"ok {tool} # SKIP {program} is not installed")
        return False
    text = subprocess.run([program, "--version"], capture_output=True,
                          text=True).stdout
    if not re.search(pattern, text):
        print(f"ok {tool} # SKIP its exceptions are for another version of "
              f"{program}")
        return False
    return True


def main(tool):
    if not version_is_known(tool):
        return 0
    sources = commands()
    if len(sources) < 50:
        print(f"not ok {tool} # only {len(sources)} sources were found")
        return 1
    output = cppcheck(sources) if tool == "cppcheck" else \
        by_file(tool, sources)
    found, excepted = findings(output), set(exceptions(tool))
    for key in sorted(found.keys() - excepted):
        print(f"not ok {tool} {key[0]} # {found[key]}")
    for key in sorted(excepted - found.keys()):
        print(f"not ok {tool} {key[0]} # {key[1]} is not found any more: "
              "delete its exception")
    if found.keys() != excepted:
        return 1
    print(f"ok {tool}: {len(sources)} files, {len(found)} exceptions")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
