/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject-refused - what the injector must leave alone, and what it says then
 *
 * Each time the target is asked for once more when the obstacle is away, and
 * verifies itself at the end.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#include "injecting.h"

static void probe(struct inject *inject, const struct victim *v,
		  struct inject_reply *ret)
{
	struct inject_request q;

	request_pages(v, &q, INJECT_MERGEABLE, 0, 10);
	ask_all(inject, v, &q, ret);
}

static void expect(struct inject *inject, const struct victim *v,
		   const char *name, enum inject_result result,
		   enum inject_reason reason)
{
	struct inject_reply a;

	probe(inject, v, &a);
	check(a.result == result && a.reason == reason, name,
	      "result %u, %s, error %d", a.result, inject_reason_name(a.reason),
	      a.error);
}

/* Afterwards it can be done: a few tries, as the daemon would. */
static void expect_done(struct inject *inject, struct victim *v,
			const char *name)
{
	struct inject_reply a = { 0 };
	char text[128];
	const char *last;

	for (int i = 0; i < 200; i++) {
		probe(inject, v, &a);
		if (a.result == INJECT_DONE)
			break;
		sleep_msec(5);
	}
	snprintf(text, sizeof(text), "%s: done afterwards", name);
	check(a.result == INJECT_DONE && mergeable_pages(v->pid) >= 10, text,
	      "result %u, %s", a.result, inject_reason_name(a.reason));
	last = victim_stop(v);
	snprintf(text, sizeof(text), "%s: intact", name);
	check(is_intact(last), text, "%s", last);
}

static bool wait_state(pid_t pid, char state)
{
	for (int i = 0; i < 2000; i++) {
		if (state_of(pid) == state)
			return true;
		sleep_msec(1);
	}
	return false;
}

/* Something that comes over a target, and goes away again. */
struct obstacle {
	void (*put)(const struct victim *v, const void *arg);
	void (*take)(const struct victim *v, const void *arg);
	const void *arg;
};

/*
 * Put it in the way at a random instant of an injection, for some
 * milliseconds, again and again. How often the injection was done.
 */
static unsigned int put_in_the_way(struct inject *inject,
				   const struct victim *v,
				   const struct obstacle *o, unsigned int n)
{
	struct pollfd pfd = { .fd = inject_fd(inject), .events = POLLIN };
	unsigned int n_done = 0;
	struct inject_request q;
	struct inject_reply a;

	for (unsigned int i = 0; i < n; i++) {
		request_pages(v, &q, INJECT_MERGEABLE, i % 300, 100);
		if (inject_send(inject, &q, v->pidfd))
			errx(2, "inject_send");
		for (volatile long k = random() % 400000; k > 0; k--)
			;
		o->put(v, o->arg);
		sleep_msec((unsigned int)random() % 4);
		o->take(v, o->arg);
		poll(&pfd, 1, ANSWER_MSEC);
		if (inject_receive(inject, &a))
			errx(2, "no answer");
		n_done += a.n_done > 0;
	}
	return n_done;
}

static void send_stop(const struct victim *v, const void *arg)
{
	(void)arg;
	kill(v->pid, SIGSTOP);
}

static void send_continue(const struct victim *v, const void *arg)
{
	(void)arg;
	kill(v->pid, SIGCONT);
}

static void test_stopped(struct inject *inject)
{
	const struct obstacle o = { send_stop, send_continue, NULL };
	unsigned int n_done;
	struct victim v;

	if (!victim_start(&v, "stopped", "blocked", "--call", "futex"))
		return;
	kill(v.pid, SIGSTOP);
	wait_state(v.pid, 'T');
	expect(inject, &v, "stopped", INJECT_RETRY,
	       INJECT_REASON_GROUP_STOPPED);
	check(state_of(v.pid) == 'T', "stopped: still is", "%c",
	      state_of(v.pid));
	kill(v.pid, SIGCONT);
	n_done = put_in_the_way(inject, &v, &o, 300);
	printf("# stopped 300 times in the midst: done %u times\n", n_done);
	kill(v.pid, SIGSTOP);
	check(wait_state(v.pid, 'T'), "stopped: was not lost", "%c",
	      state_of(v.pid));
	kill(v.pid, SIGCONT);
	expect_done(inject, &v, "stopped");
}

/* A tracer that lets the target run. Ends with the returned process. */
static pid_t start_tracer(pid_t target)
{
	int fd[2], ok = 0;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) < 0)
		err(2, "pipe");
	pid = fork();
	if (pid == 0) {
		ok = ptrace(PTRACE_SEIZE, target, NULL, NULL) == 0;
		if (write(fd[1], &ok, sizeof(ok)) < 0)
			_exit(1);
		pause();
	}
	if (read(fd[0], &ok, sizeof(ok)) != sizeof(ok) || !ok)
		errx(2, "the tracer cannot trace");
	close(fd[0]);
	close(fd[1]);
	return pid;
}

static void test_traced(struct inject *inject)
{
	struct victim v;
	pid_t tracer;

	if (!victim_start(&v, "traced", "blocked", "--call", "epoll_wait"))
		return;
	tracer = start_tracer(v.pid);
	expect(inject, &v, "traced", INJECT_RETRY, INJECT_REASON_TRACED);
	kill(tracer, SIGKILL);
	waitpid(tracer, NULL, 0);
	expect_done(inject, &v, "traced");
}

static void test_gdb(struct inject *inject)
{
	struct victim v;
	char number[16];
	pid_t gdb;
	int null;

	if (access("/usr/bin/gdb", X_OK) < 0) {
		skip("gdb", "gdb is not installed");
		return;
	}
	if (!victim_start(&v, "gdb", "blocked", "--call", "futex"))
		return;
	snprintf(number, sizeof(number), "%d", v.pid);
	gdb = fork();
	if (gdb == 0) {
		null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execl("/usr/bin/gdb", "gdb", "-q", "-nx", "-batch", "-p",
		      number, "-ex", "shell sleep 2", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 20000 && state_of(v.pid) != 't'; i++)
		sleep_msec(1);
	expect(inject, &v, "gdb", INJECT_RETRY, INJECT_REASON_TRACED);
	waitpid(gdb, NULL, 0);
	expect_done(inject, &v, "gdb");
}

static bool write_file(const char *dir, const char *name, const char *text)
{
	char path[300];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return ok;
}

struct freezer {
	const char *mount; /* where a group can be made */
	const char *file;
	const char *on;
	const char *off;
	char dir[200];
};

static void freeze(const struct victim *v, const void *arg)
{
	const struct freezer *f = arg;

	(void)v;
	write_file(f->dir, f->file, f->on);
}

static void thaw(const struct victim *v, const void *arg)
{
	const struct freezer *f = arg;

	(void)v;
	write_file(f->dir, f->file, f->off);
}

static void test_frozen(struct inject *inject, struct freezer *f,
			const char *name)
{
	const struct obstacle o = { freeze, thaw, f };
	char number[16];
	struct victim v;

	snprintf(f->dir, sizeof(f->dir), "%s/ksmd-plus-test-%d", f->mount,
		 getpid());
	if (mkdir(f->dir, 0755) < 0) {
		skip(name, "no such cgroups here");
		return;
	}
	if (!victim_start(&v, name, "blocked", "--call", "futex"))
		return;
	snprintf(number, sizeof(number), "%d", v.pid);
	if (!write_file(f->dir, "cgroup.procs", number) ||
	    !write_file(f->dir, f->file, f->on)) {
		skip(name, "cgroups cannot be frozen here");
		victim_stop(&v);
	} else {
		sleep_msec(50);
		expect(inject, &v, name, INJECT_RETRY,
		       INJECT_REASON_NOT_STOPPING);
		thaw(&v, f);
		printf("# %s 100 times in the midst: done %u times\n", name,
		       put_in_the_way(inject, &v, &o, 100));
		expect_done(inject, &v, name);
	}
	rmdir(f->dir);
}

static void test_bits32(struct inject *inject)
{
	struct victim v;
	const char *last;

	if (!victim_start(&v, "32 bits", "bits32", NULL, NULL))
		return;
	sleep_msec(100); /* it says that it is ready, then becomes 32-bit */
	v.memory = (struct range){ 0x10000, 0x1000000 };
	if (kill(v.pid, 0) < 0 || state_of(v.pid) == 'Z') {
		skip("32 bits", "no 32-bit programs here");
	} else {
		for (int i = 0; i < 50; i++) {
			struct inject_reply a;

			probe(inject, &v, &a);
		}
		expect(inject, &v, "32 bits", INJECT_SKIP, INJECT_REASON_32BIT);
	}
	last = victim_stop(&v);
	check(is_intact(last), "32 bits: intact", "%s", last);
}

static void test_skipped(struct inject *inject, const char *target,
			 enum inject_reason reason)
{
	struct inject_reply a;
	struct victim v;
	const char *last;
	char text[128];

	if (!victim_start(&v, target, target, NULL, NULL))
		return;
	for (int i = 0; i < 100; i++)
		probe(inject, &v, &a);
	expect(inject, &v, target, INJECT_SKIP, reason);
	last = victim_stop(&v);
	snprintf(text, sizeof(text), "%s: intact", target);
	check(is_intact(last), text, "%s", last);
}

static pid_t child_of(pid_t pid)
{
	char path[64];
	int child = 0, first = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	/* The first one reads its input, the next is the vfork child. */
	if (fscanf(f, "%d %d", &first, &child) < 2)
		child = 0;
	fclose(f);
	return child;
}

static void test_vfork(struct inject *inject)
{
	unsigned int n_late = 0, n_shared = 0, n_other = 0;
	struct inject_reply a;
	struct victim v, child;
	const char *last;

	if (!victim_start(&v, "vfork", "vforker", NULL, NULL))
		return;
	for (int i = 0; i < 200; i++) {
		probe(inject, &v, &a);
		n_late += a.reason == INJECT_REASON_NOT_STOPPING;
		child = v;
		child.pid = child_of(v.pid);
		child.start_time = child.pid ? start_time_of(child.pid) : 0;
		if (!child.start_time)
			continue;
		child.pidfd = (int)syscall(SYS_pidfd_open, child.pid, 0);
		if (child.pidfd < 0)
			continue;
		probe(inject, &child, &a);
		close(child.pidfd);
		if (a.reason == INJECT_REASON_SHARED_MM)
			n_shared++;
		else if (a.result == INJECT_DONE)
			n_other++; /* it had exec'ed by then */
	}
	printf("# vfork: parent not stopping %u times, child shared %u times, "
	       "exec'ed %u times, of 200\n",
	       n_late, n_shared, n_other);
	check(n_late > 0, "vfork: the parent does not stop", "always did");
	check(n_shared > 0, "vfork: the child shares its memory", "never");
	last = victim_stop(&v);
	check(is_intact(last), "vfork: intact", "%s", last);
}

static void test_kernel_thread(struct inject *inject)
{
	struct victim v = { .pid = 2 };
	char path[64], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", v.pid);
	f = fopen(path, "re");
	if (f && fgets(text, sizeof(text), f) && !strcmp(text, "kthreadd\n")) {
		v.pidfd = (int)syscall(SYS_pidfd_open, v.pid, 0);
		v.start_time = start_time_of(v.pid);
		v.memory = (struct range){ 0x10000, 0x1000000 };
		expect(inject, &v, "a kernel thread", INJECT_SKIP,
		       INJECT_REASON_NO_THREAD);
		close(v.pidfd);
	} else {
		skip("a kernel thread", "none to be seen in this container");
	}
	if (f)
		fclose(f);
}

/* Become the injector under a filter that allows everything. */
static int under_seccomp(const char *injector)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K,
					       SECCOMP_RET_ALLOW) };
	struct sock_fprog prog = { 1, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return 1;
	execl(injector, "ksmd-plus-injector", (char *)NULL);
	return 1;
}

/* Then filters of targets cannot be suspended, and those targets are left. */
static void test_seccomp(const char *self)
{
	char wrapper[] = "/tmp/injector.XXXXXX", command[1200], path[512];
	struct inject *inject;
	struct victim v;
	int fd = mkstemp(wrapper);

	if (!realpath(build_path("ksmd-plus-injector"), path))
		err(2, "realpath");
	snprintf(command, sizeof(command),
		 "#!/bin/sh\nexec %s --under-seccomp %s\n", self, path);
	if (write(fd, command, strlen(command)) < 0 || fchmod(fd, 0700) < 0)
		err(2, "%s", wrapper);
	close(fd);
	inject = start_injector(wrapper);
	test_skipped(inject, "sandbox", INJECT_REASON_SECCOMP);
	if (victim_start(&v, "no filter", "blocked", NULL, NULL))
		expect_done(inject, &v, "no filter of its own");
	inject_free(inject);
	unlink(wrapper);
}

static void test_no_vdso(struct inject *inject)
{
	struct victim v;

	if (victim_start(&v, "no vdso", "novdso", NULL, NULL))
		expect_done(inject, &v, "no vdso");
}

int main(int argc, char **argv)
{
	static struct freezer v1 = { "/sys/fs/cgroup/freezer", "freezer.state",
				     "FROZEN", "THAWED", "" };
	static struct freezer v2 = { "/sys/fs/cgroup", "cgroup.freeze", "1",
				     "0", "" };
	struct inject *inject;
	char self[512];

	if (argc == 3 && !strcmp(argv[1], "--under-seccomp"))
		return under_seccomp(argv[2]);
	inject = start_injector(build_path("ksmd-plus-injector"));
	test_stopped(inject);
	test_traced(inject);
	test_gdb(inject);
	test_frozen(inject, &v1, "frozen");
	if (access("/sys/fs/cgroup/unified", F_OK) == 0)
		v2.mount = "/sys/fs/cgroup/unified";
	test_frozen(inject, &v2, "frozen by a v2 group");
	test_bits32(inject);
	test_skipped(inject, "dispatch", INJECT_REASON_USER_DISPATCH);
	test_vfork(inject);
	test_kernel_thread(inject);
	test_no_vdso(inject);
	inject_free(inject);
	if (!realpath(argv[0], self))
		err(2, "realpath");
	test_seccomp(self);
	skip("ptrace forbidden by Yama", "cannot be undone without a reboot");
	return n_failed > 0;
}
