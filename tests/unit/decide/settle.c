/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "settle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#define MAX_SHARING 256

/* An item as a short word: what it is equal to, and on which frame. */
struct brief {
	uint64_t hash;
	uint64_t pfn;
	uint32_t domain;
	bool zero;
	bool merged;
	bool confirmed; /* what is expected */
	bool uncovered;
};

static struct settle settle_of(const struct brief *briefs, size_t n)
{
	struct settle settle = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct settle_item item = {
			.hash = briefs[i].hash,
			.pfn = briefs[i].pfn,
			/* the last first, so that sorting has to work */
			.ref = { (uint32_t)(n - i), (uint16_t)(i % 512) },
			.domain = briefs[i].domain,
			.zero = briefs[i].zero,
			.merged = briefs[i].merged,
			.covered = !briefs[i].uncovered,
		};

		assert_int_equal(vec_push(&settle, item), 0);
	}
	return settle;
}

/* Group @briefs, check what is confirmed, and return what is promised. */
static uint64_t promise_of(const struct brief *briefs, size_t n)
{
	struct settle settle = settle_of(briefs, n);
	uint64_t n_confirmed = 0, promise;

	for (size_t i = 0; i < n; i++)
		n_confirmed += briefs[i].confirmed;
	assert_int_equal(settle_group(&settle), n_confirmed);
	assert_int_equal(settle.n, n);
	for (size_t i = 0; i < n; i++) {
		const struct brief *b = &briefs[n - settle.v[i].ref.region];

		assert_int_equal(settle.v[i].confirmed, b->confirmed);
	}
	promise = settle_promise(&settle, MAX_SHARING);
	vec_free(&settle);
	return promise;
}

#define PROMISE(...)                                                           \
	promise_of((const struct brief[]){ __VA_ARGS__ },                      \
		   sizeof((const struct brief[]){ __VA_ARGS__ }) /             \
			   sizeof(struct brief))

static void test_nothing_comes_of_nothing(void **state)
{
	struct settle settle = { 0 };

	(void)state;
	assert_int_equal(settle_group(&settle), 0);
	assert_int_equal(settle_promise(&settle, MAX_SHARING), 0);
}

static void test_equal_pages_on_two_frames_are_duplicates(void **state)
{
	(void)state;
	assert_int_equal(PROMISE({ .hash = 5, .pfn = 10, .confirmed = true },
				 { .hash = 7, .pfn = 30 },
				 { .hash = 5, .pfn = 20, .confirmed = true },
				 { .hash = 5, .pfn = 40, .confirmed = true }),
			 2);
}

/* Equal because it is one page: fork's, or merged already. */
static void test_one_frame_is_no_duplicate(void **state)
{
	(void)state;
	assert_int_equal(
		PROMISE({ .hash = 5, .pfn = 10 }, { .hash = 5, .pfn = 10 }), 0);
	assert_int_equal(PROMISE({ .hash = 5, .pfn = 10, .merged = true },
				 { .hash = 5, .pfn = 10, .merged = true }),
			 0);
}

static void test_domains_do_not_meet(void **state)
{
	(void)state;
	assert_int_equal(PROMISE({ .hash = 5, .pfn = 10, .domain = 1 },
				 { .hash = 5, .pfn = 20, .domain = 2 }),
			 0);
	assert_int_equal(PROMISE({ .hash = 5, .pfn = 10, .domain = 1 },
				 { .hash = 5,
				   .pfn = 20,
				   .domain = 2,
				   .confirmed = true },
				 { .hash = 5,
				   .pfn = 30,
				   .domain = 2,
				   .confirmed = true }),
			 1);
}

/* A page of zeros needs no partner, and its hash means nothing. */
static void test_zero_pages_stand_for_themselves(void **state)
{
	(void)state;
	assert_int_equal(PROMISE({ .zero = true, .pfn = 1, .confirmed = true }),
			 1);
	assert_int_equal(PROMISE({ .zero = true,
				   .hash = 5,
				   .pfn = 1,
				   .confirmed = true },
				 { .zero = true,
				   .hash = 5,
				   .pfn = 2,
				   .confirmed = true },
				 { .hash = 5, .pfn = 3 }),
			 2);
}

static void test_what_joins_a_merged_page_saves_all_of_itself(void **state)
{
	(void)state;
	assert_int_equal(PROMISE({ .hash = 5,
				   .pfn = 10,
				   .merged = true,
				   .confirmed = true },
				 { .hash = 5, .pfn = 20, .confirmed = true }),
			 1);
	/* two merged frames with one content: nothing more to be had */
	assert_int_equal(PROMISE({ .hash = 5,
				   .pfn = 10,
				   .merged = true,
				   .confirmed = true },
				 { .hash = 5,
				   .pfn = 20,
				   .merged = true,
				   .confirmed = true }),
			 0);
}

static void test_only_what_is_covered_is_promised(void **state)
{
	(void)state;
	assert_int_equal(PROMISE({ .hash = 5, .pfn = 10, .confirmed = true },
				 { .hash = 5,
				   .pfn = 20,
				   .confirmed = true,
				   .uncovered = true }),
			 0);
	assert_int_equal(PROMISE({ .hash = 5, .pfn = 10, .confirmed = true },
				 { .hash = 5, .pfn = 30, .confirmed = true },
				 { .hash = 5,
				   .pfn = 20,
				   .confirmed = true,
				   .uncovered = true }),
			 1);
	assert_int_equal(
		PROMISE({ .zero = true, .confirmed = true, .uncovered = true }),
		0);
}

/* Facts 1.7: 600 equal pages gave pages_sharing=597 at 256. */
static void test_a_further_copy_per_max_page_sharing(void **state)
{
	static const struct {
		size_t n;
		uint64_t max_sharing, promise;
	} cases[] = {
		{ 600, 256, 597 },
		{ 2, 256, 1 },
		{ 256, 256, 255 },
		{ 257, 256, 255 },
		{ 512, 256, 510 },
		{ 600, 2, 300 },
		/* values the kernel refuses are no reason to divide by 0 */
		{ 600, 0, 300 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settle settle = { 0 };

		for (size_t k = 0; k < cases[i].n; k++)
			assert_int_equal(vec_push(&settle,
						  ((struct settle_item){
							  .hash = 5,
							  .pfn = k + 1,
							  .covered = true })),
					 0);
		assert_int_equal(settle_group(&settle), cases[i].n);
		assert_int_equal(settle_promise(&settle, cases[i].max_sharing),
				 cases[i].promise);
		vec_free(&settle);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_comes_of_nothing),
		cmocka_unit_test(test_equal_pages_on_two_frames_are_duplicates),
		cmocka_unit_test(test_one_frame_is_no_duplicate),
		cmocka_unit_test(test_domains_do_not_meet),
		cmocka_unit_test(test_zero_pages_stand_for_themselves),
		cmocka_unit_test(
			test_what_joins_a_merged_page_saves_all_of_itself),
		cmocka_unit_test(test_only_what_is_covered_is_promised),
		cmocka_unit_test(test_a_further_copy_per_max_page_sharing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
