/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The choice of a thread, on processes made of files.
 */
#include "pick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ksmd-plus/inject.h>

#include "cleanup.h"

static char top[64];

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int set_up(void **state)
{
	char path[128];

	(void)state;
	snprintf(top, sizeof(top), "/tmp/pick.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(path, sizeof(path), "%s/task", top);
	return mkdir(path, 0755);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_file(int tid, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/task/%d/%s", top, tid, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void make_thread(int tid, char state, unsigned int flags,
			const char *syscall)
{
	char path[128], text[256];

	snprintf(path, sizeof(path), "%s/task/%d", top, tid);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(text, sizeof(text),
		 "%d (a) R (b) %c 1 2 3 0 -1 %u 5 0 0 0 1 2 0 0 20 0 1 0 4711 "
		 "9 9 9\n",
		 tid, state, flags);
	make_file(tid, "stat", text);
	make_file(tid, "syscall", syscall);
}

static const char *in_call(long nr)
{
	static char text[4][160];
	static unsigned int n;
	char *p = text[n++ % 4];

	snprintf(p, sizeof(text[0]),
		 "%ld 0x1 0x2 0x3 0xffffffffffffffff 0x0 0x0 0x7ffe 0x7f00\n",
		 nr);
	return p;
}

/* The thread that is chosen, or minus the reason why none is. */
static int choose(void)
{
	_cleanup_close_ int dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t tid = 0;
	int r = pick_thread(dir, &tid);

	return r ? -r : tid;
}

static void test_parse(void **state)
{
	char text[] = "12 (a) R (b) S 34 1 1 0 -1 4194624 1 0 0 0 1 2 0 0 20 0 "
		      "1 0 987654321 1 1 2 3 4 140729292062432 6";
	char broken[] = "12 (a S 34";
	struct pick_stat st;

	(void)state;
	assert_int_equal(pick_stat_parse(text, &st), 0);
	assert_int_equal(st.state, 'S');
	assert_int_equal(st.parent, 34);
	assert_int_equal(st.flags, 4194624);
	assert_int_equal(st.start_time, 987654321);
	assert_int_equal(st.stack, 140729292062432);
	assert_int_equal(pick_stat_parse(broken, &st), -EINVAL);
}

static void test_best(void **state)
{
	(void)state;
	make_thread(10, 'R', 0, "running\n");
	assert_int_equal(choose(), 10);
	make_thread(11, 'S', 0, in_call(SYS_futex));
	assert_int_equal(choose(), 11);
	/* Whatever its neighbours are. */
	make_thread(12, 'D', 0, in_call(SYS_futex));
	make_thread(13, 'S', 0, in_call(SYS_ioctl));
	make_thread(14, 'Z', 0, "");
	assert_int_equal(choose(), 11);
}

static void test_running_before_interrupted(void **state)
{
	(void)state;
	make_thread(10, 'S', 0, in_call(SYS_epoll_pwait));
	make_thread(11, 'R', 0, "running\n");
	assert_int_equal(choose(), 11);
}

static void test_never(void **state)
{
	(void)state;
	make_thread(10, 'S', 0x1, in_call(SYS_futex)); /* PF_VCPU */
	make_thread(11, 'R', 0x4, "running\n"); /* PF_EXITING */
	make_thread(12, 'S', 0x10, "running\n"); /* PF_IO_WORKER */
	make_thread(13, 'S', 0x4000, "running\n"); /* PF_USER_WORKER */
	make_thread(14, 'S', 0, in_call(SYS_ioctl));
	make_thread(15, 'Z', 0, "");
	assert_int_equal(choose(), -INJECT_REASON_NO_THREAD);
}

static void test_reasons(void **state)
{
	(void)state;
	assert_int_equal(choose(), -INJECT_REASON_NO_THREAD);
	make_thread(10, 'D', 0, in_call(SYS_read));
	assert_int_equal(choose(), -INJECT_REASON_NOT_STOPPING);
	make_thread(11, 'T', 0, in_call(SYS_read));
	assert_int_equal(choose(), -INJECT_REASON_GROUP_STOPPED);
	make_thread(12, 't', 0, in_call(SYS_read));
	assert_int_equal(choose(), -INJECT_REASON_TRACED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test_setup_teardown(test_best, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_running_before_interrupted,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_never, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reasons, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
