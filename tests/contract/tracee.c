/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracee - behaviour of ptrace that tracee.c relies on, taken by itself
 *
 * What the injector avoids by looking first is met head-on here: it is the
 * answer of older kernels, and of races.
 */
#include <pthread.h>
#include <signal.h>

#include "cleanup.h"
#include "injecting.h"
#include "tracee-arch.h"
#include "tracee.h"

/* What a tracing thread is to do to whom, and what came of it. */
struct task {
	const struct victim *v;
	uint64_t insn;
	int seize;
	int hold;
	int call;
	int64_t value;
};

static int status_open(const struct victim *v)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", v->pid, v->pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void *trace(void *arg)
{
	struct task *task = arg;
	int status = status_open(task->v);
	struct tracee t;

	task->call = task->hold = -1;
	task->seize = tracee_seize(&t, task->v->pid, status);
	t.insn = task->insn;
	if (!task->seize)
		task->hold = tracee_hold(&t);
	if (!task->hold)
		task->call = tracee_call(&t, SYS_getpid, NULL, &task->value);
	tracee_release(&t);
	close(status);
	return NULL;
}

/* Signals are blocked as in the injector, but not when targets start. */
static void run(struct task *task)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, trace, task))
		errx(2, "no thread");
	pthread_join(thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The address of a system call in the vdso of @v; 0: there is none. */
static uint64_t find_insn(const struct victim *v)
{
	unsigned long long start = 0, end = 0, at;
	char path[64], line[512], *code;
	uint64_t found = 0;
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/maps", v->pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "[vdso]") &&
		    sscanf(line, "%llx-%llx", &start, &end) == 2)
			break;
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/mem", v->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	code = malloc(end - start);
	if (fd < 0 || !code ||
	    pread(fd, code, end - start, (off_t)start) < (ssize_t)(end - start))
		end = start;
	for (at = start; !found && at + tracee_arch.insn_len <= end;
	     at += tracee_arch.insn_align)
		if (!memcmp(code + (at - start), tracee_arch.insn,
			    tracee_arch.insn_len))
			found = at;
	free(code);
	close(fd);
	return found;
}

static bool start(struct victim *v, struct task *task, const char *name,
		  const char *target, const char *option, const char *value)
{
	if (!victim_start(v, name, target, option, value))
		return false;
	*task = (struct task){ .v = v, .insn = find_insn(v) };
	if (task->insn)
		return true;
	skip(name, "no system call in the vdso");
	victim_stop(v);
	return false;
}

static void test_call(void)
{
	struct victim v;
	struct task task;

	if (!start(&v, &task, "a call", "blocked", NULL, NULL))
		return;
	for (int i = 0; i < 200; i++)
		run(&task);
	check(!task.call && task.value == v.pid, "a call in its name",
	      "seize %d, hold %d, call %d, %lld", task.seize, task.hold,
	      task.call, (long long)task.value);
	check(is_intact(victim_stop(&v)), "a call: intact", "no");
}

/* The SIGSYS that our call raises is dropped; its handler never runs. */
static void test_dispatched(void)
{
	struct victim v;
	struct task task;

	if (!start(&v, &task, "user dispatch", "dispatch", NULL, NULL))
		return;
	for (int i = 0; i < 200; i++)
		run(&task);
	check(task.call == TRACEE_FAULT, "our own SIGSYS is recognised",
	      "seize %d, hold %d, call %d", task.seize, task.hold, task.call);
	check(is_intact(victim_stop(&v)), "our own SIGSYS: intact", "no");
}

/* Where no code is, our call raises SIGSEGV: that is ours, too. */
static void test_no_code(void)
{
	struct victim v;
	struct task task;

	if (!start(&v, &task, "no code", "blocked", NULL, NULL))
		return;
	task.insn = v.memory.start; /* not executable */
	for (int i = 0; i < 200; i++)
		run(&task);
	check(task.call == TRACEE_FAULT, "our own SIGSEGV is recognised",
	      "seize %d, hold %d, call %d", task.seize, task.hold, task.call);
	check(is_intact(victim_stop(&v)), "our own SIGSEGV: intact", "no");
}

/* A vfork parent cannot be stopped: our thread's exit sets it free. */
static void test_unstoppable(void)
{
	unsigned int n_late = 0;
	struct victim v;
	struct task task;

	/* Each child lives for longer than we wait. */
	if (!start(&v, &task, "unstoppable", "vforker", "--msec", "900"))
		return;
	for (int i = 0; i < 10; i++) {
		run(&task);
		n_late += task.hold == TRACEE_LATE;
	}
	check(n_late > 0, "a vfork parent does not stop", "it always did");
	check(!task.seize, "it can be attached again", "%d", task.seize);
	check(is_intact(victim_stop(&v)), "a vfork parent: intact", "no");
}

/* Hold the thread, make @n_calls in its name, and be killed. */
static void die_holding(const struct task *task, int n_calls)
{
	int status = status_open(task->v);
	struct tracee t;
	int64_t value;

	if (tracee_seize(&t, task->v->pid, status))
		_exit(1);
	t.insn = task->insn;
	if (tracee_hold(&t))
		_exit(2);
	for (int i = 0; i < n_calls; i++)
		if (tracee_call(&t, SYS_getpid, NULL, &value))
			_exit(3);
	/* as the injector does: its own registers back, then let go */
	if (n_calls && tracee_arch_restore(t.tid, &t.regs))
		_exit(4);
	kill(getpid(), SIGKILL);
}

/*
 * The tracer is killed while the thread stands with its own registers: it goes
 * on with its call, also with one that the kernel itself does not restart.
 */
static void test_the_tracer_dies(const char *call)
{
	unsigned int n_killed = 0;
	struct victim v;
	struct task task;
	int status;

	if (!start(&v, &task, call, "blocked", "--call", call))
		return;
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			sigset_t all;

			sigfillset(&all);
			sigprocmask(SIG_SETMASK, &all, NULL);
			die_holding(&task, i % 3);
			_exit(5);
		}
		waitpid(pid, &status, 0);
		n_killed += WIFSIGNALED(status);
	}
	check(n_killed > 15, "killed while it held", "%s: %u of 20 times", call,
	      n_killed);
	check(is_intact(victim_stop(&v)), "the tracer was killed: intact", "%s",
	      call);
}

int main(void)
{
	static const char *const calls[] = {
		"pause",	  "futex-timeout", "semop",
		"semtimedop",	  "epoll_wait",	   "epoll_wait-timeout",
		"epoll_pwait2",	  "sigwaitinfo",   "recv-timeout",
		"accept-timeout", "io_getevents",  "io_uring_enter",
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0) {
		puts("1..0 # SKIP needs root");
		return 0;
	}
	test_call();
	test_dispatched();
	test_no_code();
	test_unstoppable();
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		test_the_tracer_dies(calls[i]);
	return n_failed > 0;
}
