/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SEC 1000000ULL
#define AT  (1000 * SEC)

/* @sec seconds of life in looks of @step: so much saved, broken each look. */
static enum worth_verdict live(struct worth *w, uint64_t *now, unsigned int sec,
			       unsigned int step, uint64_t saved,
			       uint64_t broken)
{
	struct worth_flow flow = { saved, 2 * saved, broken };

	for (unsigned int i = 0; i < sec; i += step) {
		enum worth_verdict verdict;

		*now += step * SEC;
		worth_add(w, &flow, *now);
		verdict = worth_judge(w, *now);
		if (verdict != WORTH_SAME)
			return verdict;
	}
	return WORTH_SAME;
}

/* Pages saved, pages broken in each 5 s, and whether that is too much. */
static void test_holds_who_loses(void **state)
{
	static const struct {
		uint64_t saved, broken;
		enum worth_verdict verdict;
	} rows[] = {
		{ 1000, 0, WORTH_SAME },
		{ 0, 0, WORTH_SAME },
		/* less than one in WORTH_PAY_SEC: 1000 / 60 * 5 = 83 */
		{ 1000, 80, WORTH_SAME },
		/* lost, but never as much at once as to be sure */
		{ 0, 6, WORTH_SAME },
		{ 1000, 1000, WORTH_HOLD },
		{ 100, 1000, WORTH_HOLD },
		{ 0, 1000, WORTH_HOLD },
		{ 100000, 100000, WORTH_HOLD },
		{ 1000000, 80000, WORTH_SAME },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct worth w = { 0 };
		uint64_t now = AT;

		assert_int_equal(live(&w, &now, 3600, 5, rows[i].saved,
				      rows[i].broken),
				 rows[i].verdict);
		assert_int_equal(w.held, rows[i].verdict == WORTH_HOLD);
	}
}

/* All is written once: that is a change, and no habit. */
static void test_forgives_one_rewrite(void **state)
{
	struct worth w = { 0 };
	uint64_t now = AT;

	(void)state;
	assert_int_equal(live(&w, &now, 10, 5, 4000, 0), WORTH_SAME);
	assert_int_equal(live(&w, &now, 5, 5, 0, 8000), WORTH_SAME);
	assert_int_equal(live(&w, &now, 3600, 5, 4000, 0), WORTH_SAME);
	/* twice within a short time is one */
	assert_int_equal(live(&w, &now, 5, 5, 0, 8000), WORTH_SAME);
	assert_int_equal(live(&w, &now, 10, 5, 4000, 0), WORTH_SAME);
	assert_int_equal(live(&w, &now, 5, 5, 0, 8000), WORTH_HOLD);
}

/* When it is released, in seconds after it was held at @now. */
static uint64_t held_sec(struct worth *w, uint64_t *now)
{
	uint64_t from = *now;

	assert_true(w->held);
	assert_int_equal(live(w, now, 100000, 5, 0, 1000000), WORTH_RELEASE);
	assert_false(w->held);
	assert_true(w->lost == 0 && w->won == 0);
	return (*now - from) / SEC;
}

static void test_tries_again_ever_more_rarely(void **state)
{
	static const uint64_t sec[] = { 120, 240, 480, 960, 1920, 3840, 3840 };
	struct worth w = { 0 };
	uint64_t now = AT;

	(void)state;
	for (size_t i = 0; i < sizeof(sec) / sizeof(sec[0]); i++) {
		assert_int_equal(live(&w, &now, 60, 5, 0, 1000), WORTH_HOLD);
		assert_int_equal(worth_hold_usec(&w), sec[i] * SEC);
		assert_int_equal(held_sec(&w, &now), sec[i]);
	}
	/* it has behaved for long enough: the first time again */
	assert_int_equal(live(&w, &now, 3 * 3840, 5, 1000, 0), WORTH_SAME);
	assert_int_equal(live(&w, &now, 600, 5, 0, 10000), WORTH_HOLD);
	assert_int_equal(held_sec(&w, &now), 120);
}

static void test_an_operator_forgives(void **state)
{
	struct worth w = { 0 };
	uint64_t now = AT;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(live(&w, &now, 60, 5, 0, 1000), WORTH_HOLD);
		worth_forget(&w);
		assert_false(w.held);
		assert_int_equal(worth_judge(&w, now), WORTH_SAME);
	}
	assert_int_equal(live(&w, &now, 60, 5, 0, 1000), WORTH_HOLD);
	assert_int_equal(worth_hold_usec(&w), WORTH_HOLD_USEC);
}

/* What one has done who is held by himself is not held against the others. */
static void test_a_part_is_taken_out(void **state)
{
	struct worth one = { 0 }, all = { 0 };
	struct worth_flow bad = { 0, 2000, 2000 }, sum = { 1000, 4000, 2000 };

	(void)state;
	worth_add(&one, &bad, AT);
	worth_add(&all, &sum, AT);
	worth_add(&all, &sum, AT + 5 * SEC);
	worth_add(&one, &bad, AT + 5 * SEC);
	worth_subtract(&all, &one);
	assert_true(all.lost == 0 && all.broken == 0 && all.won > 0);
	worth_subtract(&all, &one);
	assert_true(all.lost == 0 && all.broken == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holds_who_loses),
		cmocka_unit_test(test_forgives_one_rewrite),
		cmocka_unit_test(test_tries_again_ever_more_rarely),
		cmocka_unit_test(test_an_operator_forgives),
		cmocka_unit_test(test_a_part_is_taken_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
