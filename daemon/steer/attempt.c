/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "advise.h"
#include "cleanup.h"
#include "clock.h"
#include "injectee.h"
#include "kernel-api.h"
#include "tracee-arch.h"
#include "tracee.h"

#define STACK_BYTES (256U << 10)

/* Offsets in struct rseq and struct rseq_cs of <linux/rseq.h>. */
#define RSEQ_CS		    8
#define RSEQ_CS_START	    8
#define RSEQ_CS_POST_COMMIT 16

/* How long the tracing thread's last steps take, between two looks. */
#define EXIT_NSEC (20 * NSEC_PER_USEC)

struct tracer {
	struct attempt *attempt;
	pid_t tid;
};

static int verdict(struct attempt *a, enum inject_result result,
		   enum inject_reason reason)
{
	a->result = result;
	a->reason = reason;
	return 0;
}

/* What a result of tracee.h other than 0 means for the request. */
static void verdict_of(struct attempt *a, int r)
{
	static const struct {
		enum inject_result result;
		enum inject_reason reason;
	} table[] = {
		[TRACEE_GONE] = { INJECT_RETRY, INJECT_REASON_NO_THREAD },
		[TRACEE_DENIED] = { INJECT_SKIP, INJECT_REASON_PERMISSION },
		[TRACEE_TRACED] = { INJECT_RETRY, INJECT_REASON_TRACED },
		[TRACEE_LATE] = { INJECT_RETRY, INJECT_REASON_NOT_STOPPING },
		[TRACEE_STOPPED] = { INJECT_RETRY,
				     INJECT_REASON_GROUP_STOPPED },
		[TRACEE_SIGNAL] = { INJECT_RETRY, INJECT_REASON_SIGNAL },
		[TRACEE_FAULT] = { INJECT_SKIP, INJECT_REASON_USER_DISPATCH },
		[TRACEE_32BIT] = { INJECT_SKIP, INJECT_REASON_32BIT },
		[TRACEE_BUSY] = { INJECT_RETRY, INJECT_REASON_NO_THREAD },
	};

	if (r > 0) {
		verdict(a, table[r].result, table[r].reason);
	} else {
		verdict(a, INJECT_FAILED, INJECT_REASON_NONE);
		a->error = -r;
	}
}

/*
 * Inside a restartable sequence the kernel would forget about it while the
 * program counter is ours, and the rest would run unprotected. A sequence that
 * is only named, with the program counter elsewhere, is left over: the kernel
 * forgets it in any case.
 */
static bool in_rseq(const struct tracee *t)
{
	struct kapi_ptrace_rseq_configuration conf;
	uint64_t cs, start, length;

	if (ptrace(KAPI_PTRACE_GET_RSEQ_CONFIGURATION, t->tid, sizeof(conf),
		   &conf) < 0 ||
	    !conf.rseq_abi_pointer)
		return false;
	if (tracee_peek(t, conf.rseq_abi_pointer + RSEQ_CS, &cs) < 0)
		return true;
	if (!cs)
		return false;
	if (tracee_peek(t, cs + RSEQ_CS_START, &start) < 0 ||
	    tracee_peek(t, cs + RSEQ_CS_POST_COMMIT, &length) < 0)
		return true;
	return tracee_arch_pc(&t->regs) - start < length;
}

static bool has_user_dispatch(const struct tracee *t)
{
	struct kapi_ptrace_sud_config conf;

	/* Not known before 6.4: there the call's own SIGSYS tells. */
	return ptrace(KAPI_PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, t->tid,
		      sizeof(conf), &conf) == 0 &&
	       conf.mode != 0;
}

/*
 * Filters are suspended only now that the thread stands still, so that no
 * call of its own slips through; the detach puts them in force again.
 */
static bool seccomp_suspended(const struct tracee *t)
{
	return ptrace(PTRACE_SETOPTIONS, t->tid, NULL,
		      PTRACE_O_TRACESYSGOOD | KAPI_PTRACE_O_SUSPEND_SECCOMP) ==
		       0 ||
	       !tracee_has_seccomp(t);
}

/* Whether the held thread can be used; else the verdict is given. */
static bool fit(struct attempt *a, const struct tracee *t)
{
	if (injectee_mm_is_gone(a->injectee, a->tid))
		verdict(a, INJECT_GONE, INJECT_REASON_NONE);
	else if (!t->insn)
		verdict(a, INJECT_SKIP, INJECT_REASON_NO_SYSCALL_INSN);
	else if (!tracee_insn_at(t, t->insn))
		verdict(a, INJECT_GONE, INJECT_REASON_NONE);
	else if (has_user_dispatch(t))
		verdict(a, INJECT_SKIP, INJECT_REASON_USER_DISPATCH);
	else if (in_rseq(t))
		verdict(a, INJECT_RETRY, INJECT_REASON_RSEQ);
	else if (!seccomp_suspended(t))
		verdict(a, INJECT_SKIP, INJECT_REASON_SECCOMP);
	else
		return true;
	return false;
}

static int call_once(struct attempt *a, struct tracee *t)
{
	const uint64_t args[6] = { PR_SET_MEMORY_MERGE,
				   a->op == INJECT_MERGE_ANY };
	long nr = a->op == INJECT_PROBE ? SYS_getppid : SYS_prctl;
	int64_t value;
	int r = tracee_call(t, nr, args, &value);

	if (r)
		return r;
	if (value >= 0)
		return verdict(a, INJECT_DONE, INJECT_REASON_NONE);
	a->error = (int)-value;
	return verdict(a, INJECT_FAILED, INJECT_REASON_NONE);
}

static int work(struct attempt *a, struct tracee *t)
{
	int r;

	if (!fit(a, t))
		return 0;
	r = advise_drop_scratch(a, t);
	if (r)
		return r;
	switch (a->op) {
	case 0:
		return verdict(a, INJECT_DONE, INJECT_REASON_NONE);
	case INJECT_MERGEABLE:
	case INJECT_UNMERGEABLE:
		return advise_pieces(a, t);
	default:
		return call_once(a, t);
	}
}

/*
 * The shorter the tracer waits for its CPU, the shorter the target is held.
 * Where neither is allowed it takes its turn.
 */
static void hurry(void)
{
	struct sched_param param = { .sched_priority = 1 };

	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
}

static void *tracer_main(void *arg)
{
	struct tracer *tracer = arg;
	struct attempt *a = tracer->attempt;
	_cleanup_close_ int status = -1;
	struct tracee t;
	char path[32];
	int r;

	tracer->tid = gettid();
	snprintf(path, sizeof(path), "task/%d/status", a->tid);
	status = openat(a->injectee->dir, path, O_RDONLY | O_CLOEXEC);
	if (status < 0) {
		verdict_of(a, TRACEE_GONE);
		return NULL;
	}
	hurry();
	r = tracee_seize(&t, a->tid, status);
	t.insn = a->injectee->insn;
	if (!r)
		r = tracee_hold(&t);
	if (!r)
		r = work(a, &t);
	tracee_release(&t);
	if (r)
		verdict_of(a, r);
	a->hold_nsec = t.hold_nsec;
	a->repaired = t.repaired;
	return NULL;
}

/*
 * The joined thread has still to leave the target; only when its id is gone
 * has it done so.
 */
static void wait_until_free(pid_t tid)
{
	const struct timespec pause = { .tv_nsec = EXIT_NSEC };

	while (tgkill(getpid(), tid, 0) == 0)
		nanosleep(&pause, NULL);
}

void attempt_run(struct attempt *a)
{
	static _Alignas(PAGE_BYTES) char stack[STACK_BYTES];
	struct tracer tracer = { .attempt = a };
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, sizeof(stack));
	r = pthread_create(&thread, &attr, tracer_main, &tracer);
	pthread_attr_destroy(&attr);
	if (r) {
		a->error = r;
		verdict(a, INJECT_FAILED, INJECT_REASON_NONE);
		return;
	}
	pthread_join(thread, NULL);
	wait_until_free(tracer.tid);
}
