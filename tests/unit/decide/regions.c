/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "regions.h"

#define WHOLE (sizeof(struct region) + REGION_PAGES * sizeof(uint32_t))

static struct regions regions;

static int setup(void **state)
{
	(void)state;
	regions = (struct regions){ .max_bytes = 10 * WHOLE };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	regions_clear(&regions);
	return 0;
}

static uint32_t add(uint64_t base)
{
	struct region region = { .base = base };
	uint32_t number;

	assert_int_equal(regions_add(&regions, &region, &number), 0);
	assert_int_equal(regions.table.v[number]->base, base);
	return number;
}

/* @n pages from @first on, whose checksums are their numbers. */
static void know(uint32_t number, unsigned int first, unsigned int n)
{
	struct pagemask known = { 0 };
	uint32_t *crc = calloc(n, sizeof(*crc));

	assert_non_null(crc);
	pagemask_set_range(&known, first, first + n);
	for (unsigned int i = 0; i < n; i++)
		crc[i] = first + i;
	regions_set_known(&regions, regions.table.v[number], &known, crc, n);
}

static void test_room_is_kept_for_what_was_not_looked_at(void **state)
{
	struct region region = { 0 };
	uint32_t number;

	(void)state;
	for (uint64_t i = 0; i < 10; i++) {
		assert_int_equal(regions_room(&regions), 10 - i);
		add(i * REGION_BYTES);
	}
	assert_int_equal(regions_room(&regions), 0);
	assert_int_equal(regions_add(&regions, &region, &number), 1);
	/* one that turns out to be nearly empty leaves its room to others */
	know(3, 0, 1);
	regions_set_seen(&regions, regions.table.v[3]);
	assert_false(regions_are_full(&regions, 4));
	assert_true(regions_are_full(&regions, WHOLE));
}

static void test_numbers_come_again(void **state)
{
	uint32_t a, b;

	(void)state;
	a = add(0);
	b = add(REGION_BYTES);
	assert_int_not_equal(a, b);
	regions_remove(&regions, a);
	assert_null(regions.table.v[a]);
	assert_int_equal(regions.n, 1);
	assert_int_equal(add(2 * REGION_BYTES), a);
}

static void test_checksums_are_those_of_the_known_pages(void **state)
{
	uint32_t a = add(0);
	const struct region *region = regions.table.v[a];

	(void)state;
	know(a, 100, 50);
	assert_int_equal(regions_crc(region, 100), 100);
	assert_int_equal(regions_crc(region, 149), 149);
	assert_int_equal(regions.n_pages, 50);
	know(a, 511, 1);
	assert_int_equal(regions_crc(region, 511), 511);
	assert_int_equal(regions.n_pages, 1);
}

static void test_all_memory_is_accounted_for(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 5; i++) {
		uint32_t a = add(i * REGION_BYTES);

		know(a, 0, (unsigned int)(i * 100));
		regions_set_seen(&regions, regions.table.v[a]);
	}
	assert_int_equal(regions.bytes, 5 * sizeof(struct region) + 1000 * 4);
	for (uint32_t i = 0; i < 5; i++)
		regions_remove(&regions, i);
	assert_int_equal(regions.bytes, 0);
	assert_int_equal(regions.n_pages, 0);
	assert_int_equal(regions_room(&regions), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_room_is_kept_for_what_was_not_looked_at, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_numbers_come_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_checksums_are_those_of_the_known_pages, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_all_memory_is_accounted_for, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
