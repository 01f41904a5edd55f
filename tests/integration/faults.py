#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# test-timeout: 600
"""Every call to the system fails once, at every place where it is made.

tests/faults/faults.so stands before each function of boundary.def, in the
daemon and in its injector. Daemons live through a scenario: they begin, find
and merge, answer, reload, pause, and end; the first only records the places
from which calls are made, the others have plans of what shall fail. What is
reached only because something has failed is planned, too, until there is
nothing new. After each life: it did not crash, it said why it ended early,
what it had changed is put back, and no target has noticed anything. And if it
lived on, it still does its work.

A plan holds several failures. When a life ends badly its halves are tried, to
learn which it was.

	FAULTS=all tests/integration/faults.py		all (make faults): in
							slices of FAULTS_SECONDS
							(150), so that others
							have KSM in between
	FAULTS=injector tests/integration/faults.py	FAULTS_SECONDS (25) of
							the injector's

Without FAULTS only the lists are checked: not every failure has been tried.
A campaign that was interrupted goes on where it was; what it knows is in
faults.json of the build directory, until that is deleted or the programs
change.

SEED=N chooses another order. FAULTS_ONLY=REGEX: only failures whose
program:function:error it matches. FAULTS_TOGETHER: how many in one life.
FAULTS_VERBOSE=1 tells about each life.
"""

import os
import re
import subprocess
import sys
import time

import harness
from faultcampaign import Campaign
from faultlife import LIBRARY, PROGRAMS, World
from harness import check

FAULTS = os.environ.get("FAULTS")
ALL = FAULTS in ("all", "slice")        # slice: one of those of all
SECONDS = float(os.environ.get("FAULTS_SECONDS", "150" if ALL else "25"))

# Uses of the system that are not called, but cannot fail as they are used:
# no memory, no descriptor and no permission is asked for.
CANNOT_FAIL = set("""
__assert_fail __ctype_b_loc __cxa_finalize __errno_location sscanf
__libc_start_main malloc_trim mallopt __sched_cpucount __sched_cpufree _exit
abort
clock_gettime closedir fnmatch free getenv geteuid getopt_long getpid getppid
gettid memchr memcmp memcpy memmove memset munmap pause qsort signal
sigaddset sigemptyset sigfillset sigprocmask snprintf strcasecmp strchr strcmp
strcspn strerror strlen strncmp strrchr strspn strstr strtok_r strtol strtoll
strtoul strtoull sysconf tdestroy tfind umask uname vsnprintf
posix_spawn_file_actions_destroy posix_spawnattr_destroy
posix_spawnattr_setflags posix_spawnattr_setsigdefault
posix_spawnattr_setsigmask
pthread_attr_destroy pthread_attr_init pthread_attr_setstack
pthread_cond_broadcast pthread_cond_destroy pthread_cond_init
pthread_cond_signal pthread_cond_timedwait pthread_cond_wait
pthread_condattr_destroy pthread_condattr_init pthread_condattr_setclock
pthread_detach pthread_join
pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock
pthread_mutex_unlock pthread_self pthread_setname_np pthread_sigmask
XXH3_64bits_withSecret_dispatch crc32_iscsi isal_zero_detect
accfg_device_get_devname accfg_device_get_first accfg_device_get_next
accfg_device_get_state accfg_device_get_type accfg_set_log_fn accfg_unref
accfg_wq_get_devname accfg_wq_get_first accfg_wq_get_next accfg_wq_get_state
accfg_wq_get_type accfg_wq_get_user_dev_path
bpf_link__destroy bpf_object__close bpf_object__next_program
bpf_program__name libbpf_set_print
sd_bus_close_unref sd_bus_error_setf sd_bus_message_get_member
sd_bus_message_is_signal sd_bus_message_unref sd_bus_object_vtable_format
sd_bus_error_free sd_bus_error_is_set sd_bus_error_set sd_bus_is_open
sd_bus_message_get_allow_interactive_authorization sd_bus_message_get_errno
sd_bus_message_get_sender sd_bus_message_is_method_call
sd_bus_message_is_method_error sd_bus_message_ref sd_bus_ref sd_bus_slot_unref
sd_bus_unref seccomp_release seccomp_syscall_resolve_name
explicit_bzero sigaction strnlen
sd_event_exit sd_event_loop sd_event_ref sd_event_source_disable_unref
sd_event_source_set_enabled sd_event_source_set_time sd_event_source_unref
sd_event_unref
""".split())
# Words of ours on their way to a terminal: whoever prints looks away.
CANNOT_FAIL |= {"fprintf", "fputs", "fwrite", "puts"}
# Of a counter that is full, which can then be read.
CANNOT_FAIL |= {"eventfd_write"}


def nothing_is_left_out(t):
    """Each function that the programs take from a library can fail, or is
    known not to."""
    text = (harness.TOP / "tests/faults/boundary.def").read_text()
    known = set(re.findall(r"^CALL\((\w+),", text, re.M)) | CANNOT_FAIL
    for program in PROGRAMS:
        done = subprocess.run(["nm", "-D", "-u", harness.BUILD / program],
                              capture_output=True, text=True, check=True)
        used = {line.split()[-1].split("@")[0]
                for line in done.stdout.splitlines() if " w " not in line}
        used = {re.sub("^__isoc(99|23)_", "", name) for name in used}
        left = sorted(used - known)
        check(not left, f"{program} calls what is in neither list: {left}")


def campaign():
    only = os.environ.get("FAULTS_ONLY", "" if ALL else "injector:")
    return Campaign(re.compile(only),
                    int(os.environ.get("SEED", time.strftime("%j"))),
                    int(os.environ.get("FAULTS_TOGETHER", "12")),
                    os.environ.get("FAULTS_VERBOSE") == "1",
                    harness.BUILD / "faults.json" if ALL else None)


def each_call_fails_once(t):
    if not FAULTS:
        harness.skip("FAULTS=all (make faults) takes half an hour")
    c = campaign()
    before = len(c.findings)
    try:
        c.run(World(t), SECONDS)
    finally:
        c.report()
    check(c.count["injected"] > 0, "nothing has failed")
    check(len(c.findings) == before,
          f"{len(c.findings) - before} ended badly: {c.findings[-1:]}")


def all_in_slices():
    """Each takes the lock for itself. 0 where nothing was bad in any."""
    env = dict(os.environ, FAULTS="slice")
    status = 0
    while status <= 1 and not campaign().finished():
        status = subprocess.run([sys.executable, *sys.argv], env=env,
                                check=False).returncode
        time.sleep(1)           # whoever waits for the lock has it first
    c = campaign()
    c.report()
    for found in c.findings:
        print(f"# FOUND {found}")
    return bool(status > 1 or c.findings or not c.finished())


def need_library():
    harness.need_ksm()
    if not LIBRARY.exists():
        harness.skip("the library is written for x86-64 only")


if __name__ == "__main__":
    if FAULTS == "all":
        sys.exit(all_in_slices())
    harness.run(nothing_is_left_out, each_call_fails_once, needs=need_library)
