/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "adopt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "faketree.h"
#include "files.h"

static struct root root;
static struct adopt *adopt;

static void process(int pid, int ppid, int start_time)
{
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/stat", pid);
	faketree_file(path,
		      "%d (a) b) S %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d\n",
		      pid, ppid, start_time);
}

static void ends(int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/stat", pid);
	faketree_drop(path);
}

static bool has(int pid, unsigned int start_time)
{
	return adopt_has(adopt, (struct process_id){ pid, start_time });
}

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	faketree_file("sys/x", "\n");
	process(1, 0, 1);
	process(10, 1, 100); /* adopted in most tests */
	process(5, 10, 200); /* its child, with a lower pid */
	process(30, 5, 300);
	process(40, 1, 400); /* a stranger */
	assert_int_equal(root_open(faketree_top, &root), 0);
	assert_int_equal(adopt_new(&root, &adopt), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	adopt = adopt_free(adopt);
	root_close(&root);
	faketree_end();
	return 0;
}

static void nobody_at_first(void **state)
{
	(void)state;
	assert_false(has(10, 100));
	assert_false(has(1, 1));
}

static void descendants_and_no_others(void **state)
{
	(void)state;
	assert_int_equal(adopt_add(adopt, 10), 0);
	assert_true(has(30, 300)); /* before its parent was asked for */
	assert_true(has(5, 200));
	assert_true(has(10, 100));
	assert_false(has(40, 400));
	assert_false(has(1, 1));
}

static void orphans_stay(void **state)
{
	(void)state;
	assert_int_equal(adopt_add(adopt, 10), 0);
	assert_true(has(30, 300));
	ends(10);
	ends(5);
	process(30, 1, 300);
	process(31, 30, 500);
	for (int i = 0; i < 100; i++)
		adopt_prune(adopt);
	assert_true(has(30, 300));
	assert_true(has(31, 500));
}

static void numbers_are_reused(void **state)
{
	(void)state;
	assert_int_equal(adopt_add(adopt, 10), 0);
	ends(10);
	process(10, 1, 900);
	process(11, 10, 901);
	assert_false(has(10, 900));
	assert_false(has(11, 901));
	for (int i = 0; i < 100; i++)
		adopt_prune(adopt);
	assert_false(has(10, 900));
	assert_int_equal(adopt_add(adopt, 10), 0);
	assert_true(has(11, 901));
}

static void who_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(adopt_add(adopt, 77), ADOPT_GONE);
	faketree_file("proc/78/stat",
		      "78 (x) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7\n");
	assert_int_equal(adopt_add(adopt, 78), ADOPT_GONE);
	assert_int_equal(adopt_add(adopt, 10), 0);
	assert_false(has(77, 1));
}

/* Read while processes come and go, parents may seem to go round. */
static void a_circle_ends(void **state)
{
	(void)state;
	assert_int_equal(adopt_add(adopt, 10), 0);
	process(50, 51, 1);
	process(51, 50, 2);
	assert_false(has(50, 1));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nobody_at_first),	TEST(descendants_and_no_others),
		TEST(orphans_stay),	TEST(numbers_are_reused),
		TEST(who_is_not_there), TEST(a_circle_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
