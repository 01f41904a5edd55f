/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forecast.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "cleanup.h"

#define MAX_PAGES 64U

/* One frame that was read, region by region and page by page. */
struct brief {
	uint64_t key;
	uint32_t owner;
	bool merged;
	bool gone;
	bool uncovered;
};

/* A region for each owner, in their order. */
struct model {
	struct forecast forecast;
	struct forecast_record records[MAX_PAGES];
	struct forecast_region regions[8];
	struct forecast_counts owners[8];
	struct forecast_counts total;
	uint64_t twins;
};

static void sort_all(struct forecast_record *v, size_t n)
{
	size_t ends[FORECAST_PARTS], from = 0;

	forecast_split(v, n, ends);
	for (unsigned int i = 0; i < FORECAST_PARTS; i++) {
		forecast_sort(v + from, ends[i] - from);
		from = ends[i];
	}
	assert_int_equal(from, n);
}

static void model_make(struct model *m, const struct brief *briefs, size_t n)
{
	*m = (struct model){ 0 };
	m->forecast = (struct forecast){ .records = m->records,
					 .n = n,
					 .regions = m->regions,
					 .n_regions = ARRAY_SIZE(m->regions),
					 .max_sharing = 256,
					 .zero_pages = true };
	for (uint32_t i = 0; i < ARRAY_SIZE(m->regions); i++) {
		m->regions[i].owner = i;
		assert_int_equal(forecast_marks_need(&m->regions[i]), 0);
	}
	for (unsigned int i = 0; i < n; i++) {
		const struct brief *b = &briefs[i];
		struct forecast_marks *marks = m->regions[b->owner].marks;

		m->records[n - 1 - i] = forecast_record(b->key, b->owner, i);
		if (b->merged)
			pagemask_set(&marks->merged, i);
		if (b->gone)
			pagemask_set(&marks->gone, i);
		if (!b->uncovered)
			pagemask_set(&marks->covered, i);
	}
	sort_all(m->records, n);
}

static void model_clear(struct model *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(m->regions); i++)
		free(m->regions[i].marks);
}

static void count(struct model *m, const struct brief *briefs, size_t n)
{
	model_make(m, briefs, n);
	assert_int_equal(forecast_mark(&m->forecast, &m->twins), 0);
	forecast_count(&m->forecast, m->owners, &m->total);
}

static void sorts(void **state)
{
	static struct forecast_record v[20000];
	uint64_t random = 1, sum = 0, sorted = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		random = random * 6364136223846793005ULL +
			 1442695040888963407ULL;
		/* some keys many times, some that differ in the last bits */
		v[i] = forecast_record(i % 3 ? random >> 60 << 60 | random >> 58
					     : random,
				       (uint32_t)(ARRAY_SIZE(v) - i), 3);
		sum += forecast_key(&v[i]) * v[i].page;
	}
	sort_all(v, ARRAY_SIZE(v));
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		sorted += forecast_key(&v[i]) * v[i].page;
		if (!i)
			continue;
		assert_true(forecast_key(&v[i - 1]) <= forecast_key(&v[i]));
		if (forecast_key(&v[i - 1]) == forecast_key(&v[i]))
			assert_true(v[i - 1].page < v[i].page);
		assert_true(forecast_has(v, ARRAY_SIZE(v), &v[i]));
	}
	assert_int_equal(sum, sorted);
	v[0].page++;
	assert_false(forecast_has(v + 1, ARRAY_SIZE(v) - 1, &v[0]));
	assert_false(forecast_has(v, 0, &v[0]));
}

static void counts_frames_that_are_freed(void **state)
{
	static const struct brief briefs[] = {
		{ .key = 5, .owner = 0 }, { .key = 6, .owner = 0 },
		{ .key = 7, .owner = 0 }, { .key = 5, .owner = 1 },
		{ .key = 5, .owner = 2 }, { .key = 7, .owner = 2 },
		{ .key = 8, .owner = 2 },
	};
	struct model m;

	(void)state;
	count(&m, briefs, ARRAY_SIZE(briefs));
	assert_int_equal(m.twins, 5);
	assert_true(m.total.saved > 2.99 && m.total.saved < 3.01);
	assert_int_equal(m.total.merging, 5);
	assert_int_equal(m.total.inside, 0);
	/* 2/3 of the one group, 1/2 of the other */
	assert_true(m.owners[0].saved > 1.16 && m.owners[0].saved < 1.17);
	assert_true(m.owners[1].saved > 0.66 && m.owners[1].saved < 0.67);
	assert_int_equal(m.owners[3].merging, 0);
	model_clear(&m);
}

static void tells_inside_from_between(void **state)
{
	static const struct brief briefs[] = {
		{ .key = 5, .owner = 0 }, { .key = 5, .owner = 0 },
		{ .key = 5, .owner = 0 }, { .key = 5, .owner = 1 },
		{ .key = 9, .owner = 1 }, { .key = 9, .owner = 1 },
	};
	struct model m;

	(void)state;
	count(&m, briefs, ARRAY_SIZE(briefs));
	assert_true(m.total.saved > 3.99 && m.total.saved < 4.01);
	assert_int_equal(m.total.inside, 3);
	assert_int_equal(m.owners[0].inside, 2);
	assert_int_equal(m.owners[1].inside, 1);
	model_clear(&m);
}

static void zeros_are_all_freed_or_merged(void **state)
{
	static const struct brief briefs[] = {
		{ .key = FORECAST_ZERO, .owner = 0 },
		{ .key = FORECAST_ZERO, .owner = 0 },
		{ .key = FORECAST_ZERO, .owner = 1 },
	};
	struct model m;

	(void)state;
	count(&m, briefs, ARRAY_SIZE(briefs));
	assert_int_equal(m.total.zero, 3);
	assert_int_equal(m.owners[0].zero, 2);
	assert_int_equal(m.total.inside, 0);
	assert_true(m.total.saved > 2.99);
	m.forecast.zero_pages = false;
	forecast_count(&m.forecast, m.owners, &m.total);
	assert_int_equal(m.total.zero, 2);
	model_clear(&m);
	/* one alone is freed as well */
	count(&m, briefs, 1);
	assert_int_equal(m.twins, 1);
	assert_int_equal(m.total.zero, 1);
	model_clear(&m);
}

static void what_changed_is_no_twin(void **state)
{
	static const struct brief briefs[] = {
		{ .key = 5, .owner = 0 },
		{ .key = 5, .owner = 1, .gone = true },
		{ .key = 6, .owner = 0 },
		{ .key = 6, .owner = 1, .gone = true },
		{ .key = 6, .owner = 2 },
	};
	struct model m;

	(void)state;
	count(&m, briefs, ARRAY_SIZE(briefs));
	assert_int_equal(m.twins, 2);
	assert_int_equal(m.total.gone, 2);
	assert_int_equal(m.owners[1].gone, 2);
	assert_true(m.total.saved > 0.99 && m.total.saved < 1.01);
	model_clear(&m);
}

static void a_merged_copy_takes_all_others(void **state)
{
	static const struct brief briefs[] = {
		{ .key = 5, .owner = 0, .merged = true },
		{ .key = 5, .owner = 1 },
		{ .key = 5, .owner = 2 },
		{ .key = 6, .owner = 0, .merged = true },
	};
	struct model m;

	(void)state;
	count(&m, briefs, ARRAY_SIZE(briefs));
	assert_true(m.total.saved > 1.99 && m.total.saved < 2.01);
	assert_int_equal(m.total.merging, 2);
	assert_int_equal(m.owners[0].merging, 0);
	model_clear(&m);
}

static void what_has_no_range_is_left(void **state)
{
	static const struct brief briefs[] = {
		{ .key = 5, .owner = 0 },
		{ .key = 5, .owner = 1, .uncovered = true },
		{ .key = 6, .owner = 0, .uncovered = true },
	};
	struct model m;

	(void)state;
	count(&m, briefs, ARRAY_SIZE(briefs));
	assert_int_equal(m.total.left, 1);
	assert_int_equal(m.owners[1].left, 1);
	assert_true(m.total.saved < 0.01);
	model_clear(&m);
}

static void a_copy_serves_so_many(void **state)
{
	struct brief briefs[40];
	struct model m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(briefs); i++)
		briefs[i] = (struct brief){ .key = 5, .owner = i % 8 };
	model_make(&m, briefs, ARRAY_SIZE(briefs));
	m.forecast.max_sharing = 10;
	assert_int_equal(forecast_mark(&m.forecast, &m.twins), 0);
	forecast_count(&m.forecast, m.owners, &m.total);
	/* 39, and a further copy for each 10 */
	assert_true(m.total.saved > 35.99 && m.total.saved < 36.01);
	model_clear(&m);
}

static void says_who_shares_with_whom(void **state)
{
	static const struct brief briefs[] = {
		{ .key = 5, .owner = 0 },
		{ .key = 5, .owner = 0 },
		{ .key = 5, .owner = 1 },
		{ .key = 5, .owner = 2 },
		{ .key = 6, .owner = 1 },
		{ .key = 6, .owner = 2 },
		{ .key = 7, .owner = 2 },
		{ .key = 7, .owner = 2 },
		{ .key = 8, .owner = 0 },
		{ .key = 8, .owner = 3 },
		{ .key = FORECAST_ZERO, .owner = 0 },
		{ .key = FORECAST_ZERO, .owner = 1 },
	};
	/* owner 3 is left out; the others stand in another order */
	static const int places[8] = { 2, 1, 0, -1, -1, -1, -1, -1 };
	static const uint64_t expected[9] = { 0, 2, 1, 0, 0, 1, 0, 0, 0 };
	uint64_t matrix[9] = { 0 };
	struct model m;

	(void)state;
	count(&m, briefs, ARRAY_SIZE(briefs));
	forecast_pairs(&m.forecast, places, 3, matrix);
	for (size_t i = 0; i < ARRAY_SIZE(matrix); i++)
		assert_int_equal(matrix[i], expected[i]);
	model_clear(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorts),
		cmocka_unit_test(counts_frames_that_are_freed),
		cmocka_unit_test(tells_inside_from_between),
		cmocka_unit_test(zeros_are_all_freed_or_merged),
		cmocka_unit_test(what_changed_is_no_twin),
		cmocka_unit_test(a_merged_copy_takes_all_others),
		cmocka_unit_test(what_has_no_range_is_left),
		cmocka_unit_test(a_copy_serves_so_many),
		cmocka_unit_test(says_who_shares_with_whom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
