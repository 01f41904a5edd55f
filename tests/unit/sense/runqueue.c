/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runqueue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cleanup.h"
#include "faketree.h"

static struct root root;

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	faketree_file("proc/loadavg", "10.20 0.30 0.04 17/1234 4321\n");
	faketree_file("sys/kernel/mm/ksm/run", "0\n");
	return root_open(faketree_top, &root);
}

static int teardown(void **state)
{
	(void)state;
	root_close(&root);
	faketree_end();
	return 0;
}

static void test_length(void **state)
{
	unsigned int n = 0;

	(void)state;
	assert_int_equal(runqueue_length(&root, &n), 0);
	assert_int_equal(n, 17);
}

static void test_what_is_none(void **state)
{
	static const char *const texts[] = { "", "\n", "1 2 3", "1 2 3 x/4 5" };
	unsigned int n = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		faketree_file("proc/loadavg", "%s", texts[i]);
		assert_int_equal(runqueue_length(&root, &n), -EINVAL);
	}
	assert_int_equal(n, 5);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_length),
		TEST(test_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
