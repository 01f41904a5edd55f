/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <ksmd-plus/types.h>

#include "index.h"

#define SEED 0x123456789abcdef0ULL

static struct page_ref ref_of(uint32_t n)
{
	return (struct page_ref){ n / REGION_PAGES, n % REGION_PAGES };
}

/* A bijection, so that keys differ and are spread like checksums. */
static uint32_t key_of(uint32_t n)
{
	return n * 2654435761U;
}

static void test_second_page_finds_first(void **state)
{
	struct index_hit hit = { 0 };
	struct index *index;

	(void)state;
	assert_int_equal(index_new(1 << 20, SEED, &index), 0);
	assert_int_equal(index_put(index, 7, ref_of(100), &hit), INDEX_NEW);
	assert_int_equal(index_put(index, 7, ref_of(100), &hit), INDEX_SELF);
	assert_int_equal(index_put(index, 7, ref_of(900), &hit), INDEX_FOUND);
	assert_int_equal(hit.ref.region, 0);
	assert_int_equal(hit.ref.page, 100);
	assert_false(hit.duplicate);
	index_mark_duplicate(index, 7);
	assert_int_equal(index_get(index, 7, &hit), INDEX_FOUND);
	assert_true(hit.duplicate);
	assert_int_equal(index_get(index, 8, &hit), INDEX_NEW);
	index_represent(index, 7, ref_of(900));
	assert_int_equal(index_get(index, 7, &hit), INDEX_FOUND);
	assert_int_equal(hit.ref.page, ref_of(900).page);
	assert_int_equal(hit.ref.region, ref_of(900).region);
	assert_true(hit.duplicate);
	index_represent(index, 8, ref_of(900));
	assert_int_equal(index_get(index, 8, &hit), INDEX_NEW);
	index_remove(index, 7, ref_of(100));
	assert_int_equal(index_entries(index), 1);
	index_remove(index, 7, ref_of(900));
	assert_int_equal(index_entries(index), 0);
	index_free(index);
}

static void test_only_the_representative_is_removed(void **state)
{
	struct index_hit hit = { 0 };
	struct index *index;

	(void)state;
	assert_int_equal(index_new(1 << 20, SEED, &index), 0);
	index_put(index, 7, ref_of(100), &hit);
	index_remove(index, 7, ref_of(900));
	assert_int_equal(index_get(index, 7, &hit), INDEX_FOUND);
	index_remove(index, 7, ref_of(100));
	assert_int_equal(index_get(index, 7, &hit), INDEX_NEW);
	assert_int_equal(index_entries(index), 0);
	index_free(index);
}

/* Everything is found again after many growths, at the promised price. */
static void test_growing_keeps_everything(void **state)
{
	const uint32_t n = 2000000;
	uint32_t lost = 0;
	struct index_hit hit = { 0 };
	struct index *index;

	(void)state;
	assert_int_equal(index_new(1ULL << 30, SEED, &index), 0);
	for (uint32_t i = 0; i < n; i++) {
		/* lost: a full neighbourhood, before the table is full */
		lost += index_put(index, key_of(i), ref_of(i), &hit) !=
			INDEX_NEW;
		if (i % 1000 == 0)
			index_mark_duplicate(index, key_of(i));
		if (i > 20000 && i % 4096 == 0)
			assert_true(index_bytes(index) <= 11.2 * i);
	}
	assert_int_equal(index_entries(index) + index_lost(index), n);
	assert_true(lost <= index_lost(index));
	assert_true(index_lost(index) < n / 1000);
	assert_false(index_is_at_bound(index));
	for (uint32_t i = 0; i < n; i++) {
		if (index_get(index, key_of(i), &hit) != INDEX_FOUND)
			continue;
		assert_int_equal(hit.ref.region, ref_of(i).region);
		assert_int_equal(hit.ref.page, ref_of(i).page);
		assert_int_equal(hit.duplicate, i % 1000 == 0);
	}
	index_free(index);
}

/* What has become empty gives its memory back, and loses nothing by that. */
static void test_fitting_keeps_everything(void **state)
{
	const uint32_t n = 1000000, kept = 50000;
	struct index_hit hit = { 0 };
	struct index *index;
	uint64_t entries;

	(void)state;
	assert_int_equal(index_new(1ULL << 30, SEED, &index), 0);
	assert_false(index_fit(index));
	for (uint32_t i = 0; i < n; i++) {
		index_put(index, key_of(i), ref_of(i), &hit);
		if (i % 1000 == 0)
			index_mark_duplicate(index, key_of(i));
	}
	assert_false(index_fit(index));
	for (uint32_t i = kept; i < n; i++)
		index_remove(index, key_of(i), ref_of(i));
	entries = index_entries(index);
	assert_true(entries > kept * 0.99);
	assert_true(index_fit(index));
	assert_false(index_fit(index));
	assert_true(index_bytes(index) <= 14 * entries);
	assert_int_equal(index_entries(index), entries);
	for (uint32_t i = 0; i < n; i++) {
		if (index_get(index, key_of(i), &hit) != INDEX_FOUND)
			continue;
		entries--;
		assert_true(i < kept);
		assert_int_equal(hit.ref.region, ref_of(i).region);
		assert_int_equal(hit.ref.page, ref_of(i).page);
		assert_int_equal(hit.duplicate, i % 1000 == 0);
	}
	assert_int_equal(entries, 0);
	/* it may grow again, and become as small as at first */
	for (uint32_t i = 0; i < n; i++)
		index_put(index, key_of(i), ref_of(i), &hit);
	assert_true(index_entries(index) > n * 0.99);
	for (uint32_t i = 0; i < n; i++)
		index_remove(index, key_of(i), ref_of(i));
	assert_int_equal(index_entries(index), 0);
	assert_true(index_fit(index));
	assert_true(index_bytes(index) < 1 << 17);
	index_free(index);
}

static void test_memory_is_bounded_and_loss_is_told(void **state)
{
	const uint64_t bound = 1 << 20;
	struct index_hit hit = { 0 };
	struct index *index;
	uint32_t young = 0;

	(void)state;
	assert_int_equal(index_new(bound, SEED, &index), 0);
	for (uint32_t i = 0; i < 1000000; i++) {
		if (i % 50000 == 0)
			index_age(index);
		index_put(index, key_of(i), ref_of(i), &hit);
	}
	assert_true(index_bytes(index) <= bound);
	assert_true(index_lost(index) > 800000);
	assert_true(index_is_at_bound(index));
	assert_int_equal(index_entries(index) + index_lost(index), 1000000);
	/* what gave way was old: the last epoch's are mostly there */
	for (uint32_t i = 950000; i < 1000000; i++)
		young += index_get(index, key_of(i), &hit) == INDEX_FOUND;
	assert_true(young > 40000);
	index_free(index);
}

static void test_known_duplicates_do_not_give_way(void **state)
{
	struct index_hit hit = { 0 };
	struct index *index;

	(void)state;
	assert_int_equal(index_new(1 << 17, SEED, &index), 0);
	index_put(index, 42, ref_of(1), &hit);
	index_mark_duplicate(index, 42);
	for (uint32_t i = 0; i < 300000; i++) {
		if (i % 10000 == 0)
			index_age(index);
		index_put(index, key_of(i + 1000), ref_of(i), &hit);
	}
	assert_int_equal(index_get(index, 42, &hit), INDEX_FOUND);
	assert_int_equal(hit.ref.page, 1);
	index_free(index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_second_page_finds_first),
		cmocka_unit_test(test_only_the_representative_is_removed),
		cmocka_unit_test(test_growing_keeps_everything),
		cmocka_unit_test(test_fitting_keeps_everything),
		cmocka_unit_test(test_memory_is_bounded_and_loss_is_told),
		cmocka_unit_test(test_known_duplicates_do_not_give_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
