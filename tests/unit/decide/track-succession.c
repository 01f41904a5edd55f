/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * track, when the one page by which others of its content are known goes: the
 * pages of three owners that hold 77, and those that hold nothing of interest.
 */
#include "track.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define CRC_ZERO 0x98f94189U

static struct track *track;
static uint32_t a, b, c;

static uint32_t add(uint32_t owner)
{
	uint32_t number = UINT32_MAX;

	assert_int_equal(track_region_add(track, owner * REGION_BYTES, owner, 0,
					  &number),
			 0);
	return number;
}

static int setup(void **state)
{
	int r = track_new(64 << 20, 4711, true, &track);

	(void)state;
	if (r)
		return r;
	a = add(1);
	b = add(2);
	c = add(3);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	track = track_free(track);
	return 0;
}

/* Page 3 of @region holds @crc. @merged: on a shared frame, mergeable. */
static void look(uint32_t region, uint32_t crc, bool merged)
{
	struct look look = { .crc = { [3] = crc } };

	pagemask_set(&look.present, 3);
	pagemask_set(&look.checked, 3);
	if (merged) {
		pagemask_set(&look.shared, 3);
		pagemask_set(&look.mergeable, 3);
	}
	assert_int_equal(track_look(track, region, &look, NULL), 0);
}

static uint64_t candidates(void)
{
	struct track_counters counters;

	track_counters(track, &counters);
	return counters.candidates;
}

/* All candidates get that verdict, as settle gives it. */
static void settle(bool equal)
{
	static const struct track_slice everything = { 0, 1, UINT64_MAX };
	struct track_queue queue = { 0 };

	assert_int_equal(track_take(track, &everything, &queue), 0);
	for (size_t i = 0; i < queue.n; i++) {
		struct page_ref ref = { queue.v[i].region, 3 };

		if (equal)
			track_confirm(track, ref);
		else
			track_reject(track, ref);
	}
	for (size_t i = 0; i < queue.n; i++)
		track_settled(track, (struct page_ref){ queue.v[i].region, 3 },
			      !equal && queue.n == 1);
	vec_free(&queue);
	assert_int_equal(candidates(), 0);
}

static void round_and_succession(void)
{
	track_round_done(track);
	while (track_succeed(track, 1))
		;
}

/* Both hold 77, found by the page of @a, and are merged. */
static void merged_pair(void)
{
	look(a, 77, false);
	look(b, 77, false);
	settle(true);
	look(a, 77, true);
	look(b, 77, true);
}

static void test_a_merged_page_is_met_by_those_that_come_later(void **state)
{
	(void)state;
	merged_pair();
	track_region_remove(track, a);
	round_and_succession();
	assert_int_equal(candidates(), 0);
	look(c, 77, false);
	assert_int_equal(candidates(), 2);
}

static void test_a_merged_page_meets_who_came_before(void **state)
{
	(void)state;
	merged_pair();
	track_region_remove(track, a);
	look(c, 77, false);
	assert_int_equal(candidates(), 0);
	round_and_succession();
	assert_int_equal(candidates(), 2);
	/* which is done once */
	settle(true);
	look(b, 77, true);
	look(c, 77, true);
	track_region_remove(track, add(4));
	round_and_succession();
	assert_int_equal(candidates(), 0);
}

static void test_who_waits_for_a_pulse_is_met_too(void **state)
{
	(void)state;
	look(a, 77, false);
	look(b, 77, false);
	settle(true);
	track_region_remove(track, a);
	round_and_succession();
	look(c, 77, false);
	assert_int_equal(candidates(), 2);
}

/* It is the same if the page was written. */
static void test_a_page_that_is_written_leaves_heirs(void **state)
{
	(void)state;
	merged_pair();
	look(a, 78, false);
	round_and_succession();
	look(c, 77, false);
	assert_int_equal(candidates(), 2);
}

/* A content that was merged is known to be worth it, over generations. */
static void test_heirs_leave_heirs(void **state)
{
	(void)state;
	merged_pair();
	track_region_remove(track, a);
	round_and_succession();
	look(c, 77, false);
	settle(true);
	look(c, 77, true);
	look(b, 78, false);
	a = add(5);
	round_and_succession();
	look(a, 77, false);
	assert_int_equal(candidates(), 2);
}

/* Forked pages, of which one is known and the others only by its frame. */
static void test_an_alias_takes_the_place_of_its_parent(void **state)
{
	struct look alias = { .crc = { [3] = 77 } };

	(void)state;
	look(a, 77, false);
	pagemask_set(&alias.present, 3);
	alias.checked = alias.shared = alias.alias = alias.present;
	assert_int_equal(track_look(track, b, &alias, NULL), 0);
	track_region_remove(track, a);
	for (unsigned int i = 0; i < TRACK_FAILED_ROUNDS; i++)
		round_and_succession();
	assert_int_equal(candidates(), 0);
	look(c, 77, false);
	assert_int_equal(candidates(), 2);
}

/* Its twin is gone before it was settled: it was alone for no fault of its. */
static void test_who_is_left_alone_is_met_by_the_next(void **state)
{
	(void)state;
	look(a, 77, false);
	look(b, 77, false);
	track_region_remove(track, a);
	settle(false);
	look(c, 77, false);
	assert_int_equal(candidates(), 2);
	settle(true);
	look(b, 77, true);
	look(c, 77, true);
	track_region_remove(track, c);
	round_and_succession();
	a = add(6);
	look(a, 77, false);
	assert_int_equal(candidates(), 2);
}

static void test_both_twins_of_one_that_is_gone_stay_known(void **state)
{
	(void)state;
	look(a, 77, false);
	look(b, 77, false);
	look(c, 77, false);
	track_region_remove(track, a);
	settle(true);
	look(b, 77, true);
	look(c, 77, true);
	a = add(7);
	look(a, 77, false);
	assert_int_equal(candidates(), 2);
}

static void test_zeros_need_nobody(void **state)
{
	(void)state;
	look(a, CRC_ZERO, false);
	look(b, CRC_ZERO, false);
	settle(true);
	track_region_remove(track, a);
	round_and_succession();
	assert_int_equal(candidates(), 0);
}

/* A few contents of many pages can wait; a look at all pages cannot. */
static void test_it_is_worth_it(void **state)
{
	struct look many = { 0 };

	(void)state;
	merged_pair();
	for (uint32_t n = 0; n < 3; n++) {
		uint32_t region = add(10 + n);

		pagemask_set_range(&many.present, 0, REGION_PAGES);
		many.checked = many.present;
		for (unsigned int i = 0; i < REGION_PAGES; i++)
			many.crc[i] = 1000 + n * REGION_PAGES + i;
		assert_int_equal(track_look(track, region, &many, NULL), 0);
	}
	track_region_remove(track, a);
	look(c, 77, false);
	for (unsigned int i = 1; i < TRACK_FAILED_ROUNDS; i++) {
		round_and_succession();
		assert_int_equal(candidates(), 0);
	}
	round_and_succession();
	assert_int_equal(candidates(), 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_merged_page_is_met_by_those_that_come_later),
		TEST(test_a_merged_page_meets_who_came_before),
		TEST(test_who_waits_for_a_pulse_is_met_too),
		TEST(test_a_page_that_is_written_leaves_heirs),
		TEST(test_heirs_leave_heirs),
		TEST(test_an_alias_takes_the_place_of_its_parent),
		TEST(test_who_is_left_alone_is_met_by_the_next),
		TEST(test_both_twins_of_one_that_is_gone_stay_known),
		TEST(test_zeros_need_nobody),
		TEST(test_it_is_worth_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
