/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tenant.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "files.h"

#define USER 54321

static struct root root;

static int setup(void **state)
{
	(void)state;
	return root_open("", &root);
}

static int teardown(void **state)
{
	(void)state;
	root_close(&root);
	return 0;
}

static bool write_to(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	bool well = f && fputs(text, f) >= 0;

	return f && fclose(f) == 0 && well;
}

/* One more user namespace, with its user: else there is none in it. */
static bool nest(void)
{
	char uid[32], gid[32];

	snprintf(uid, sizeof(uid), "0 %u 1", geteuid());
	snprintf(gid, sizeof(gid), "0 %u 1", getegid());
	return unshare(CLONE_NEWUSER) == 0 &&
	       write_to("/proc/self/uid_map", uid) &&
	       write_to("/proc/self/setgroups", "deny") &&
	       write_to("/proc/self/gid_map", gid);
}

/* A process of @uid that is so many user namespaces further in. */
static pid_t start(uid_t uid, int depth)
{
	int said[2];
	char well = 0;
	pid_t pid;

	assert_int_equal(pipe(said), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (uid && (setresgid(uid, uid, uid) < 0 ||
			    setresuid(uid, uid, uid) < 0))
			_exit(1);
		prctl(PR_SET_DUMPABLE, 1);
		while (depth--)
			if (!nest())
				_exit(1);
		if (write(said[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(said[1]);
	if (read(said[0], &well, 1) != 1) {
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	close(said[0]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static struct tenant tenant(pid_t pid)
{
	struct tenant t;

	assert_int_equal(tenant_of(&root, pid, &t), 0);
	return t;
}

static uint64_t namespace(pid_t pid)
{
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void need_root(void)
{
	pid_t pid = geteuid() == 0 ? start(USER, 2) : -1;

	if (pid < 0) {
		print_message("it takes root and user namespaces\n");
		skip();
	}
	stop(pid);
}

static void test_user(void **state)
{
	struct tenant t = tenant(getpid());

	(void)state;
	assert_int_equal(t.uid, geteuid());
	assert_int_equal(t.user_ns, 0);
	assert_true(tenant_equal(t, t));
	assert_int_equal(tenant_of(&root, 0x7fffffff, &t), -ENOENT);
}

/* However many namespaces a user makes, he stays one. */
static void test_namespaces_of_a_user(void **state)
{
	struct tenant first;

	(void)state;
	need_root();
	for (int depth = 0; depth < 3; depth++) {
		pid_t pid = start(USER, depth);
		struct tenant t = tenant(pid);

		if (depth == 0)
			first = t;
		assert_int_equal(t.uid, USER);
		assert_int_equal(t.user_ns, 0);
		assert_true(tenant_equal(t, first));
		stop(pid);
	}
}

/* What root makes is one of many: a container. */
static void test_namespaces_of_root(void **state)
{
	struct tenant a, b;
	pid_t one, two;

	(void)state;
	need_root();
	one = start(0, 1);
	two = start(0, 1);
	a = tenant(one);
	b = tenant(two);
	assert_int_equal(a.user_ns, namespace(one));
	assert_int_equal(b.user_ns, namespace(two));
	assert_false(tenant_equal(a, b));
	assert_false(tenant_equal(a, tenant(getpid())));
	stop(one);
	stop(two);
}

/* ... with whatever it has in it. */
static void test_nested(void **state)
{
	pid_t pid;
	struct tenant t;

	(void)state;
	need_root();
	pid = start(0, 3);
	t = tenant(pid);
	assert_true(t.user_ns != 0);
	assert_int_not_equal(t.user_ns, namespace(pid));
	assert_int_equal(t.uid, 0);
	stop(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_namespaces_of_a_user),
		cmocka_unit_test(test_namespaces_of_root),
		cmocka_unit_test(test_nested),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
