/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "activity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "cleanup.h"

#define SECOND 1000000ULL
#define REST   (100 * SECOND)

static struct activity_seen seen;
static uint64_t now, cpu;

static int setup(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	now = 7 * SECOND;
	cpu = 3 * SECOND;
	activity_step(&seen, now, cpu, REST);
	return 0;
}

/* It has used so much of a CPU for so long, in a thousandth. */
static enum activity spend(uint64_t seconds, uint64_t permille)
{
	now += seconds * SECOND;
	cpu += seconds * SECOND * permille / 1000;
	activity_step(&seen, now, cpu, REST);
	return seen.is;
}

static void test_what_each_look_makes_of_it(void **state)
{
	static const struct {
		uint64_t seconds, permille;
		enum activity is;
	} looks[] = {
		{ 10, 0, ACTIVITY_UNKNOWN }, /* nothing is known yet */
		{ 10, 500, ACTIVITY_BUSY },
		{ 40, 0, ACTIVITY_BUSY }, /* it just waits for something */
		{ 20, 0, ACTIVITY_UNKNOWN },
		{ 30, 0, ACTIVITY_UNKNOWN }, /* 90 s since it ran */
		{ 10, 0, ACTIVITY_ASLEEP },
		{ 500, 1, ACTIVITY_ASLEEP }, /* timers */
		{ 10, 20, ACTIVITY_BUSY },
		{ 190, 0, ACTIVITY_UNKNOWN }, /* it has woken up once: */
		{ 10, 0, ACTIVITY_ASLEEP }, /* so, twice as long */
		{ 10, 5, ACTIVITY_UNKNOWN }, /* neither */
		{ 390, 0, ACTIVITY_UNKNOWN },
		{ 10, 0, ACTIVITY_ASLEEP },
	};

	(void)state;
	assert_int_equal(seen.is, ACTIVITY_UNKNOWN);
	for (size_t i = 0; i < ARRAY_SIZE(looks); i++)
		if (spend(looks[i].seconds, looks[i].permille) != looks[i].is)
			fail_msg("look %zu: %d, not %d", i, seen.is,
				 looks[i].is);
}

/* Who stops a little earlier is not asleep beside one who is busy. */
static void test_two_who_stop_at_about_the_same_time(void **state)
{
	struct activity_seen other;

	(void)state;
	spend(10, 1000);
	other = seen; /* it stops here, this one runs for 40 s more */
	spend(40, 1000);
	activity_step(&other, now, other.cpu_usec, REST);
	while (other.is != ACTIVITY_ASLEEP) {
		spend(5, 0);
		activity_step(&other, now, other.cpu_usec, REST);
	}
	assert_int_not_equal(seen.is, ACTIVITY_BUSY);
}

/* One who wakes up again and again is soon taken for busy, or unknown. */
static void test_what_runs_by_a_timer(void **state)
{
	unsigned int naps = 0;

	(void)state;
	for (unsigned int i = 0; i < 200; i++) {
		spend(10, 900);
		for (unsigned int k = 0; k < 19; k++)
			if (spend(10, 0) == ACTIVITY_ASLEEP) {
				naps++;
				break;
			}
	}
	assert_in_range(naps, 1, 2);
}

/* However often it wakes, what then sleeps for hours is asleep. */
static void test_patience_has_an_end(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		spend(10, 900);
		assert_int_equal(spend(REST / SECOND * 64, 0), ACTIVITY_ASLEEP);
	}
}

/* A tick of CPU time in an instant is not a busy process. */
static void test_looks_too_soon_say_nothing(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		now += SECOND / 100;
		cpu += i % 2 * 10000;
		activity_step(&seen, now, cpu, REST);
		assert_int_equal(seen.is, ACTIVITY_UNKNOWN);
	}
	assert_int_equal(spend(100, 0), ACTIVITY_ASLEEP);
	assert_int_equal(spend(2, 5), ACTIVITY_ASLEEP); /* one tick */
}

/* Clocks that stand still or go back, and another life under that number. */
static void test_nonsense_starts_anew(void **state)
{
	(void)state;
	activity_step(&seen, now, cpu, REST);
	assert_int_equal(spend(200, 0), ACTIVITY_ASLEEP);
	activity_step(&seen, now - 1, cpu, REST);
	activity_step(&seen, now + SECOND, cpu - 1, REST);
	assert_int_equal(seen.calm_usec, now + SECOND);
	now += SECOND;
	assert_int_equal(spend(99, 0), ACTIVITY_UNKNOWN);
}

#define T(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_what_each_look_makes_of_it),
		T(test_two_who_stop_at_about_the_same_time),
		T(test_what_runs_by_a_timer),
		T(test_patience_has_an_end),
		T(test_looks_too_soon_say_nothing),
		T(test_nonsense_starts_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
