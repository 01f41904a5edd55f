/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "demand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define SEC   1000000ULL
#define START 12345ULL

static struct demand d;

static int setup(void **state)
{
	(void)state;
	demand_init(&d, START);
	return 0;
}

/* Turns of a second, with hints of @bytes in each, until it rests or @end. */
static uint64_t hooked_until(uint64_t now, uint64_t end, uint64_t bytes)
{
	while (d.hooked && now < end) {
		now += SEC;
		demand_hinted(&d, now, bytes);
	}
	return now;
}

/* As many with reads that are seen; 0 if it is not hooked by @end. */
static uint64_t resting_until(uint64_t now, uint64_t end, uint64_t bytes)
{
	while (!d.hooked && now < end) {
		now += SEC;
		demand_read(&d, now, bytes);
	}
	return d.hooked ? now : 0;
}

static void test_it_stays_while_hints_come(void **state)
{
	uint64_t day = START + 86400 * SEC;

	(void)state;
	assert_true(d.hooked);
	assert_int_equal(hooked_until(START, day, 4096), day);
	assert_true(d.hooked);
}

static void test_it_rests_when_none_come(void **state)
{
	uint64_t end = hooked_until(START, UINT64_MAX, 0);

	(void)state;
	assert_int_equal(end, START + DEMAND_LULL_USEC);
	/* a page now and then is not worth it, either */
	demand_init(&d, START);
	assert_int_equal(hooked_until(START, START + 3600 * SEC, 100), end);
	assert_false(d.hooked);
}

/* Who has brought hints before is hooked at the first read. */
static void test_it_is_back_at_once_where_it_was_of_use(void **state)
{
	uint64_t now = START + SEC;

	(void)state;
	demand_hinted(&d, now, DEMAND_BYTES);
	now = hooked_until(now, UINT64_MAX, 0);
	demand_read(&d, now + 1, DEMAND_BYTES - 1);
	assert_false(d.hooked);
	demand_read(&d, now + 1, DEMAND_BYTES);
	assert_true(d.hooked);
}

/* Reads that never make a hint: little of a day is left. */
static void test_useless_times_become_rare(void **state)
{
	uint64_t now = START, last = 0, hooked = 0;

	(void)state;
	while (now < START + 7 * 86400 * SEC) {
		uint64_t rests = hooked_until(now, UINT64_MAX, 0);

		hooked += rests - now;
		now = resting_until(rests, UINT64_MAX, DEMAND_BYTES);
		assert_in_range(now - rests, last, DEMAND_REST_MAX_USEC);
		last = now - rests;
	}
	assert_int_equal(last, DEMAND_REST_MAX_USEC);
	assert_in_range(hooked, 1, (now - START) / 25);
	/* and the first use makes up for it */
	demand_hinted(&d, now, DEMAND_BYTES);
	now = hooked_until(now, UINT64_MAX, 0);
	assert_int_equal(resting_until(now, now + SEC, DEMAND_BYTES),
			 now + SEC);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_it_stays_while_hints_come),
		TEST(test_it_rests_when_none_come),
		TEST(test_it_is_back_at_once_where_it_was_of_use),
		TEST(test_useless_times_become_rare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
