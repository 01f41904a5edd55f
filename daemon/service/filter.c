/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * filter - the list of system calls, each with its reason
 *
 * What is not on it fails with ENOSYS, as on a kernel that does not know the
 * call: libc, which may try a newer one first, then takes the older. Nobody is
 * killed: a call that a future libc makes is worth no daemon. In particular
 * nothing here traces, reads or writes another process by its pid, signals it,
 * starts a program or a thread, opens a connection to a network or makes
 * memory executable.
 *
 * The list is what strace(1) shows of a life (tests/integration/privileges.py),
 * and what libc and sd-bus do only where memory is short or a kernel is older,
 * which that test names with a reason for each. Names that this libseccomp or
 * this machine does not know are passed over.
 *
 * Threads other than the main one have their filter from their first job on;
 * the main one, from the moment on when all parts are set up.
 */
#include "filter.h"

#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "kernel-api.h"

#define L FILTER_LOOP
#define R FILTER_READER
#define M FILTER_MOVER

static const struct call {
	const char *name;
	unsigned int roles;
} calls[] = {
	/* what is open: pages, pagemaps, counters, the journal, sockets */
	{ "read", L | R | M },
	{ "pread64", L | R | M },
	{ "write", L | R | M }, /* eventfd, knobs, ledger, a DSA's queue */
	{ "writev", L },
	{ "pwrite64", L },
	{ "close", L | R | M },
	{ "lseek", L | R | M },
	/* files of /proc and /sys, the ledger, the configuration */
	{ "openat", L | M },
	{ "getdents64", L | M },
	{ "fstat", L | R | M },
	{ "newfstatat", L | R | M }, /* libc's fstat, before 2.39 */
	{ "statx", L },
	{ "statfs", L },
	{ "fstatfs", L },
	{ "access", L },
	{ "faccessat", L },
	{ "faccessat2", L },
	{ "readlink", L },
	{ "readlinkat", L },
	{ "name_to_handle_at", L }, /* sd-id128, cgroups */
	/* the ledger: a new one, then over the old one */
	{ "fcntl", L | R | M },
	{ "dup", L },
	{ "dup3", L }, /* libbpf moves descriptors */
	{ "ftruncate", L },
	{ "renameat", L },
	{ "renameat2", L },
	{ "rename", L },
	{ "unlink", L }, /* the socket, at the end */
	{ "unlinkat", L },
	/* memory; see also the rules below */
	{ "brk", L | R | M },
	{ "munmap", L | R | M },
	{ "mremap", L | R | M },
	{ "madvise", L | R | M },
	{ "mlock", L },
	{ "munlock", L },
	/* the loop: descriptors, timers, signals */
	{ "epoll_create1", L },
	{ "epoll_ctl", L },
	{ "epoll_wait", L },
	{ "epoll_pwait", L },
	{ "epoll_pwait2", L },
	{ "poll", L | R | M },
	{ "ppoll", L | R | M },
	{ "timerfd_create", L },
	{ "timerfd_settime", L },
	{ "eventfd2", L },
	{ "signalfd4", L },
	{ "rt_sigprocmask", L | R | M },
	{ "rt_sigaction", L | R | M },
	{ "rt_sigreturn", L | R | M },
	{ "sigaltstack", L | R | M },
	{ "restart_syscall", L | R | M },
	/* locks, and a thread's beginning and end */
	{ "futex", L | R | M },
	{ "futex_time64", L | R | M },
	{ "futex_wait", L | R | M },
	{ "futex_wake", L | R | M },
	{ "sched_yield", L | R | M },
	{ "sched_getaffinity", L | R | M }, /* malloc: how many arenas */
	{ "getcpu", L | R | M }, /* the nearest DSA */
	{ "set_robust_list", L | R | M },
	{ "rseq", L | R | M },
	{ "membarrier", L | R | M },
	{ "exit", L | R | M },
	{ "exit_group", L | R | M },
	/* clocks; mostly without the kernel's help */
	{ "clock_gettime", L | R | M },
	{ "clock_getres", L | R | M },
	{ "clock_nanosleep", L | R | M },
	{ "nanosleep", L | R | M },
	{ "gettimeofday", L | R | M },
	/* who we are */
	{ "getpid", L | R | M },
	{ "gettid", L | R | M },
	{ "getuid", L },
	{ "geteuid", L },
	{ "getgid", L },
	{ "getegid", L },
	{ "getgroups", L },
	{ "uname", L },
	{ "sysinfo", L },
	{ "getrandom", L | R | M },
	/* the control socket, systemd and its journal, the injector */
	{ "accept4", L },
	{ "bind", L }, /* sd-bus of systemd 254 and later names itself so */
	{ "connect", L },
	{ "shutdown", L },
	{ "getsockopt", L },
	{ "setsockopt", L },
	{ "getsockname", L },
	{ "getpeername", L },
	{ "sendmsg", L },
	{ "sendmmsg", L },
	{ "recvmsg", L },
	{ "recvfrom", L },
	{ "sendto", L },
	{ "memfd_create", L }, /* a long entry of the journal */
	/* other processes: their death, and that of our children */
	{ "pidfd_open", L },
	{ "kcmp", L }, /* is that its parent's memory? */
	{ "wait4", L },
	{ "waitid", L },
	{ "prctl", L },
	/* hints */
	{ "ioctl", L }, /* perf events; a terminal, if the log is one */
	{ "bpf", L },
	{ "perf_event_open", L },
	/* moving; asks for CAP_SYS_NICE and CAP_SYS_PTRACE */
	{ "move_pages", M },
};

/* What depends on an argument: it has to be @value, under @mask. */
static const struct argument {
	const char *name;
	unsigned int roles;
	unsigned int number;
	uint64_t mask;
	uint64_t value;
} arguments[] = {
	/* nothing is made executable */
	{ "mmap", L | R | M, 2, PROT_EXEC, 0 },
	{ "mprotect", L | R | M, 2, PROT_EXEC, 0 },
	/* which of a process's pages are there */
	{ "ioctl", R | M, 1, UINT32_MAX, KAPI_PAGEMAP_SCAN },
	{ "socket", L, 0, UINT32_MAX, AF_UNIX },
	{ "socketpair", L, 0, UINT32_MAX, AF_UNIX },
	/* our own limits only */
	{ "prlimit64", L, 0, UINT32_MAX, 0 },
};

#undef L
#undef R
#undef M

/* A name that is not known is no fault, nor one with no number here. */
static int allow(scmp_filter_ctx ctx, const char *name,
		 const struct scmp_arg_cmp *condition)
{
	int number = seccomp_syscall_resolve_name(name);
	int r;

	if (number == __NR_SCMP_ERROR || number < 0)
		return 0;
	r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, number,
				   condition ? 1 : 0, condition);
	return r == -EDOM ? 0 : r;
}

/* For abort(): a signal to ourselves. */
static int allow_own_signal(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp own = {
		.arg = 0,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = UINT32_MAX,
		.datum_b = (uint32_t)getpid(),
	};

	return allow(ctx, "tgkill", &own);
}

static int rules_add(scmp_filter_ctx ctx, enum filter_role role)
{
	int r = allow_own_signal(ctx);

	for (size_t i = 0; !r && i < ARRAY_SIZE(calls); i++)
		if (calls[i].roles & role)
			r = allow(ctx, calls[i].name, NULL);
	for (size_t i = 0; !r && i < ARRAY_SIZE(arguments); i++) {
		const struct argument *a = &arguments[i];
		const struct scmp_arg_cmp condition = {
			.arg = a->number,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = a->mask,
			.datum_b = a->value,
		};

		if (a->roles & role)
			r = allow(ctx, a->name, &condition);
	}
	return r;
}

int filter_install(enum filter_role role)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r;

	if (!ctx)
		return -ENOMEM;
	r = rules_add(ctx, role);
	if (!r)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	/* CONFIG_SECCOMP_FILTER=n */
	return r == -EINVAL || r == -ENOSYS ? FILTER_ABSENT : r;
}
