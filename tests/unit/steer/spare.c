/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>

#include "cleanup.h"
#include "faketree.h"
#include "files.h"

static struct root root;
static int dir;

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	faketree_file("proc/sys/vm/max_map_count", "%s", "640\n");
	faketree_file("proc/42/stat", "%s", "");
	faketree_file("sys/x", "%s", "");
	if (root_open(faketree_top, &root))
		return -1;
	dir = openat(root.proc, "42", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0;
}

static int teardown(void **state)
{
	(void)state;
	close_fd(dir);
	root_close(&root);
	faketree_end();
	return 0;
}

/* Lines as long as the longest path, so that they straddle every block. */
static void maps_make(unsigned int n)
{
	size_t size = n * 301 + 1;
	char *text = malloc(size), *p = text;

	assert_non_null(text);
	for (unsigned int i = 0; i < n; i++)
		p += snprintf(p, size - (size_t)(p - text), "%0300u\n", i);
	*p = '\0';
	faketree_file("proc/42/maps", "%s", text);
	free(text);
}

static void test_a_part_is_the_targets_alone(void **state)
{
	struct spare spare = { 0 };

	(void)state;
	maps_make(621);
	/* 640 less a part of 32 */
	assert_false(spare_has(&spare, &root, dir, 0));
	assert_int_equal(spare.n, 621);
	maps_make(600);
	assert_true(spare_has(&spare, &root, dir, 20));
	assert_false(spare_has(&spare, &root, dir, 21));
	maps_make(10);
	assert_true(spare_has(&spare, &root, dir, 610));
	assert_false(spare_has(&spare, &root, dir, 611));
}

static void test_few_are_counted_once(void **state)
{
	struct spare spare = { 0 };

	(void)state;
	maps_make(320);
	assert_true(spare_has(&spare, &root, dir, 300));
	maps_make(640);
	assert_true(spare_has(&spare, &root, dir, 300));
	/* more than half of all: counted each time */
	spare.n = 321;
	assert_false(spare_has(&spare, &root, dir, 0));
	maps_make(30);
	assert_true(spare_has(&spare, &root, dir, 300));
}

static void test_nothing_to_count(void **state)
{
	struct spare spare = { 0 };
	char path[128];

	(void)state;
	maps_make(30);
	faketree_path("proc/sys/vm/max_map_count", path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	assert_true(spare_has(&spare, &root, dir, 100000));
	faketree_file("proc/sys/vm/max_map_count", "%s", "640\n");
	faketree_path("proc/42/maps", path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	spare = (struct spare){ 0 };
	assert_true(spare_has(&spare, &root, dir, 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_part_is_the_targets_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_few_are_counted_once,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_to_count, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
