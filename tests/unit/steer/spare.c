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

/* As if the last count were long ago. */
static bool has(struct spare *spare, uint64_t more)
{
	spare->again_nsec = 0;
	return spare_has(spare, &root, dir, more);
}

/* Of 640 mappings 20 are the target's alone, and of what is left of 600 a
 * twentieth may be ours. */
static void test_a_part_is_the_targets_alone(void **state)
{
	struct spare spare = { 0 };

	(void)state;
	maps_make(621);
	assert_false(has(&spare, 0));
	assert_int_equal(spare.n, 621);
	maps_make(620);
	assert_true(has(&spare, 0));
	assert_false(has(&spare, 1));
	maps_make(400);
	assert_true(has(&spare, 10));
	assert_false(has(&spare, 11));
	/* with less than half in use there are enough */
	maps_make(321);
	assert_false(has(&spare, 14));
	maps_make(320);
	assert_true(has(&spare, 300));
}

static void test_it_is_a_part_in_all(void **state)
{
	struct spare spare = { 0 };

	(void)state;
	maps_make(400);
	assert_true(has(&spare, 6));
	spare_take(&spare, 6);
	maps_make(406);
	assert_true(has(&spare, 4));
	assert_false(has(&spare, 5));
	spare_take(&spare, 4);
	maps_make(410);
	assert_true(has(&spare, 0));
	assert_false(has(&spare, 1));
	/* un-marked again, they are the target's */
	maps_make(406);
	assert_true(has(&spare, 4));
	assert_int_equal(spare.added, 6);
	assert_false(has(&spare, 5));
	maps_make(330);
	assert_true(has(&spare, 13));
	assert_int_equal(spare.added, 0);
}

static void test_not_too_soon(void **state)
{
	struct spare spare = { 0 };

	(void)state;
	maps_make(560);
	assert_true(has(&spare, 2));
	assert_true(spare.again_nsec > 0);
	spare.again_nsec = UINT64_MAX;
	maps_make(621);
	assert_true(spare_has(&spare, &root, dir, 2));
	/* what was marked meanwhile counts all the same */
	spare_take(&spare, 2);
	assert_false(spare_has(&spare, &root, dir, 2));
	assert_int_equal(spare.n, 562);
}

static void test_nothing_to_count(void **state)
{
	struct spare spare = { 0 };
	char path[128];

	(void)state;
	maps_make(30);
	faketree_path("proc/sys/vm/max_map_count", path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	assert_true(has(&spare, 100000));
	faketree_file("proc/sys/vm/max_map_count", "%s", "640\n");
	faketree_path("proc/42/maps", path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	spare = (struct spare){ 0 };
	assert_true(has(&spare, 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_part_is_the_targets_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_it_is_a_part_in_all, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_not_too_soon, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_nothing_to_count, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
