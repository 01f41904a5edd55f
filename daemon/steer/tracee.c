/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tracee.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "kernel-api.h"
#include "tracee-arch.h"

/*
 * A running thread stops as soon as it has a CPU: on a busy machine, with 50
 * others before it, after as many slices of 3 ms. It is not held meanwhile.
 */
#define STOP_NSEC (500 * NSEC_PER_SEC / 1000)

/*
 * Between our registers and the entry of our call there is only the way back
 * to user mode. Longer: a freezer or a busy machine has it.
 */
#define ENTRY_NSEC (20 * NSEC_PER_SEC / 1000)

/* How often an unlimited wait looks whether there is still someone there. */
#define SLICE_NSEC (50 * NSEC_PER_SEC / 1000)

/*
 * A thread that is not at its next stop after this has no CPU, or its call is
 * a long one: then it gets priority. Not at once, because it makes each stop
 * slower where nobody else wants the CPU (30 instead of 10 us).
 */
#define PATIENCE_NSEC (150 * NSEC_PER_USEC)

/* Of /proc/PID/task/TID/status; it lists supplementary groups, too. */
#define STATUS_BYTES 16384

#define FOREVER UINT64_MAX

enum stop { STOP_TRAP = 100, STOP_SYSCALL };

static const uint64_t no_args[6];

/* The number after @name at the beginning of a line, or @otherwise. */
static uint64_t status_field(const char *text, const char *name, int base,
			     uint64_t otherwise)
{
	const char *p = strstr(text, name);

	return p ? strtoull(p + strlen(name), NULL, base) : otherwise;
}

static bool status_read(const struct tracee *t, char *text, size_t size)
{
	ssize_t n = pread(t->status, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/*
 * Exited, but perhaps still to be waited for by others. That the file cannot
 * be read, for want of memory, says nothing: who believed it would leave a
 * living thread with our registers.
 */
static bool is_dead(const struct tracee *t)
{
	const char *state;
	char text[STATUS_BYTES];

	errno = 0;
	if (!status_read(t, text, sizeof(text)))
		return errno == ESRCH;
	state = strstr(text, "\nState:\t");
	return state && (state[8] == 'Z' || state[8] == 'X');
}

/*
 * Wait until the thread stops or dies. SIGCHLD is blocked in all our threads
 * and stays pending, so no change can be missed between looking and sleeping.
 */
static int wait_change(const struct tracee *t, uint64_t timeout_nsec,
		       int *ret_status)
{
	uint64_t start = clock_nsec(CLOCK_MONOTONIC), waited = 0, slice;
	struct timespec ts;
	sigset_t chld;
	pid_t r;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	for (;;) {
		r = waitpid(t->tid, ret_status, __WALL | WNOHANG);
		if (r == t->tid)
			return 0;
		if (r < 0)
			return TRACEE_GONE;
		if (waited >= timeout_nsec)
			return TRACEE_LATE;
		slice = timeout_nsec - waited;
		if (slice > SLICE_NSEC)
			slice = SLICE_NSEC;
		ts = (struct timespec){ .tv_nsec = (long)slice };
		if (sigtimedwait(&chld, NULL, &ts) < 0 && is_dead(t))
			return TRACEE_GONE;
		waited = clock_nsec(CLOCK_MONOTONIC) - start;
	}
}

/* Whether the signal in @t is one that the call we made has raised itself. */
static bool signal_is_ours(const struct tracee *t)
{
	uint64_t at;
	siginfo_t info;

	if (!t->changed || ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &info) < 0 ||
	    info.si_code <= 0)
		return false;
	if (info.si_signo == SIGSYS)
		at = (uint64_t)(uintptr_t)info.si_call_addr;
	else if (info.si_signo == SIGSEGV || info.si_signo == SIGBUS ||
		 info.si_signo == SIGILL)
		at = (uint64_t)(uintptr_t)info.si_addr;
	else
		return false;
	return at == t->insn || at == t->insn + tracee_arch.insn_len;
}

/* STOP_TRAP, STOP_SYSCALL or what ends the hold. */
static int wait_stop(struct tracee *t, uint64_t timeout_nsec)
{
	int status, sig, r = wait_change(t, timeout_nsec, &status);

	if (r)
		return r;
	if (!WIFSTOPPED(status)) {
		t->attached = false;
		return TRACEE_GONE;
	}
	t->held = true;
	if (!t->held_since_nsec)
		t->held_since_nsec = clock_nsec(CLOCK_MONOTONIC);
	sig = WSTOPSIG(status);
	if (status >> 16 == PTRACE_EVENT_STOP)
		return sig == SIGTRAP ? STOP_TRAP : TRACEE_STOPPED;
	if (sig == (SIGTRAP | 0x80))
		return STOP_SYSCALL;
	t->signal = sig;
	if (signal_is_ours(t)) {
		t->signal = 0;
		return TRACEE_FAULT;
	}
	return TRACEE_SIGNAL;
}

static int ptrace_error(void)
{
	return errno == ESRCH ? TRACEE_GONE : -errno;
}

static pid_t tracer_of(const struct tracee *t)
{
	char text[STATUS_BYTES];

	if (!status_read(t, text, sizeof(text)))
		return 0;
	return (pid_t)status_field(text, "\nTracerPid:", 10, 0);
}

int tracee_seize(struct tracee *t, pid_t tid, int status)
{
	*t = (struct tracee){ .tid = tid, .status = status, .policy = -1 };
	if (ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACESYSGOOD) < 0) {
		if (errno != EPERM)
			return ptrace_error();
		if (is_dead(t))
			return TRACEE_GONE;
		return tracer_of(t) ? TRACEE_TRACED : TRACEE_DENIED;
	}
	t->attached = true;
	return tracer_of(t) == gettid() ? 0 : TRACEE_GONE;
}

/*
 * The stop made the call that the thread was blocked in return EINTR, which
 * the program would not have seen without us: have the kernel make it again.
 * At once, and not when the thread is let go: should we die, it is, too.
 */
static int call_repair(struct tracee *t)
{
	uint64_t insn;
	int r;

	if (!tracee_arch_interrupted(&t->regs, &insn) ||
	    !tracee_insn_at(t, insn))
		return 0;
	tracee_arch_again(&t->regs);
	r = tracee_arch_write(t->tid, &t->regs);
	if (r)
		return r == -ESRCH ? TRACEE_GONE : r;
	t->repaired = true;
	return 0;
}

static int registers_read(struct tracee *t)
{
	int r = tracee_arch_read(t->tid, &t->regs);

	if (r == TRACEE_ARCH_32BIT)
		return TRACEE_32BIT;
	if (r == TRACEE_ARCH_BUSY)
		return TRACEE_BUSY;
	if (r < 0)
		return r == -ESRCH ? TRACEE_GONE : r;
	return call_repair(t);
}

int tracee_hold(struct tracee *t)
{
	int r;

	if (ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) < 0)
		return ptrace_error();
	r = wait_stop(t, STOP_NSEC);
	if (r == STOP_SYSCALL)
		return TRACEE_LATE;
	if (r == STOP_TRAP)
		return registers_read(t);
	/* The call that we broke off may need repair even so. */
	if (r == TRACEE_SIGNAL)
		registers_read(t);
	return r;
}

/*
 * Only between changing and restoring the registers: if we die in between,
 * the thread does too, so that none is ever left with it. sched_setscheduler()
 * leaves the nice value alone, which is in force again afterwards.
 */
static void hurry(struct tracee *t)
{
	const struct sched_param fifo = { .sched_priority = 2 };
	int policy = t->policy < 0 ? sched_getscheduler(t->tid) : SCHED_FIFO;
	int keep = policy & SCHED_RESET_ON_FORK;

	switch (policy & ~SCHED_RESET_ON_FORK) {
	case SCHED_OTHER:
	case SCHED_BATCH:
	case SCHED_IDLE:
		if (sched_setscheduler(t->tid, SCHED_FIFO | keep, &fifo) == 0)
			t->policy = policy;
		break;
	default:
		break;
	}
}

static void unhurry(struct tracee *t)
{
	const struct sched_param none = { 0 };

	if (t->policy >= 0)
		sched_setscheduler(t->tid, t->policy, &none);
	t->policy = -1;
}

/* Run until the next stop: 0 at a system call, else what ends the hold. */
static int resume(struct tracee *t, uint64_t timeout_nsec)
{
	int r;

	t->held = false;
	if (ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL) < 0)
		return ptrace_error();
	r = wait_stop(t, PATIENCE_NSEC);
	if (r == TRACEE_LATE) {
		hurry(t);
		r = wait_stop(t, timeout_nsec);
	}
	if (r == TRACEE_LATE) {
		/* With our registers it must not be left: stop it again. */
		if (ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) < 0)
			return ptrace_error();
		r = wait_stop(t, FOREVER);
	}
	if (r == STOP_SYSCALL)
		return 0;
	return r == STOP_TRAP ? TRACEE_LATE : r;
}

int tracee_call(struct tracee *t, long nr, const uint64_t *args, int64_t *ret)
{
	struct __ptrace_syscall_info info;
	struct user_regs_struct regs = t->regs;
	int r;

	tracee_arch_prepare(&regs, t->insn, nr, args ? args : no_args);
	r = tracee_arch_write(t->tid, &regs);
	if (r < 0)
		return r == -ESRCH ? TRACEE_GONE : r;
	t->changed = true;
	r = resume(t, ENTRY_NSEC);
	if (r)
		return r;
	/* In the kernel: it comes back when it is done, and not before. */
	r = resume(t, FOREVER);
	if (r)
		return r;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(info), &info) < 0)
		return ptrace_error();
	if (info.op != PTRACE_SYSCALL_INFO_EXIT)
		return -EPROTO;
	*ret = info.exit.rval;
	return 0;
}

void tracee_release(struct tracee *t)
{
	if (!t->attached || !t->held)
		return;
	unhurry(t);
	if (t->changed)
		tracee_arch_restore(t->tid, &t->regs);
	ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(intptr_t)t->signal);
	t->hold_nsec = tracee_held_nsec(t);
	t->attached = t->held = t->changed = false;
}

int tracee_peek(const struct tracee *t, uint64_t address, uint64_t *ret)
{
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, t->tid, (void *)(uintptr_t)address,
		      NULL);
	if (errno)
		return -errno;
	*ret = (uint64_t)word;
	return 0;
}

bool tracee_insn_at(const struct tracee *t, uint64_t address)
{
	uint64_t words[2] = { 0 }, first = address & ~7ULL;
	size_t offset = address & 7;

	if (tracee_peek(t, first, &words[0]) < 0)
		return false;
	if (offset + tracee_arch.insn_len > 8 &&
	    tracee_peek(t, first + 8, &words[1]) < 0)
		return false;
	return memcmp((const char *)words + offset, tracee_arch.insn,
		      tracee_arch.insn_len) == 0;
}

int tracee_write(const struct tracee *t, uint64_t address, const void *from,
		 size_t size)
{
	struct iovec local = { (void *)from, size };
	struct iovec remote = { (void *)(uintptr_t)address, size };
	ssize_t n = process_vm_writev(t->tid, &local, 1, &remote, 1, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EFAULT;
}

bool tracee_has_seccomp(const struct tracee *t)
{
	char text[STATUS_BYTES];

	return !status_read(t, text, sizeof(text)) ||
	       status_field(text, "\nSeccomp:", 10, 1) != 0;
}

uint64_t tracee_held_nsec(const struct tracee *t)
{
	return clock_nsec(CLOCK_MONOTONIC) - t->held_since_nsec;
}
