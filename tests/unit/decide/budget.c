/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define SEC 1000000ULL

/*
 * Somebody who always has work, in pieces of @piece_usec, and waits when told
 * to: the CPU used after @duration_usec.
 */
static uint64_t cpu_after(uint32_t permyriad, uint64_t piece_usec,
			  uint64_t duration_usec)
{
	uint64_t now = 12345, start = now, cpu = 777, start_cpu = cpu;
	struct budget b;

	budget_init(&b, permyriad, now, cpu);
	while (now < start + duration_usec) {
		uint64_t wait = budget_wait_usec(&b);

		now += wait;
		if (!wait) {
			now += piece_usec;
			cpu += piece_usec;
		}
		budget_update(&b, now, cpu, false);
	}
	return cpu - start_cpu;
}

static void test_the_average_is_kept(void **state)
{
	const struct {
		uint32_t permyriad;
		uint64_t piece_usec;
	} cases[] = {
		{ 1000, 300 },	 { 1000, 20000 },  { 10, 500 },
		{ 1, 700 },	 { 5000, 1000 },   { 9999, 1000 },
		{ 10000, 1000 }, { 1000, 900000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t allowed = 600 * SEC * cases[i].permyriad / 10000;
		uint64_t cpu = cpu_after(cases[i].permyriad,
					 cases[i].piece_usec, 600 * SEC);

		/* never more than the share and the piece in hand */
		assert_true(cpu <= allowed + cases[i].piece_usec);
		assert_true(cpu + cases[i].piece_usec * 2 + allowed / 50 >=
			    allowed);
	}
}

static void test_more_than_one_cpu_may_be_allowed(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b, 640000, 0, 0);
	/* 64 CPUs for a second, and a little more */
	budget_update(&b, SEC, 64 * SEC, false);
	assert_int_equal(budget_wait_usec(&b), 0);
	budget_update(&b, SEC, 64 * SEC + 640, false);
	assert_in_range(budget_wait_usec(&b), 10, 11);
}

static void test_idle_time_is_saved_up_but_not_for_ever(void **state)
{
	struct budget b;
	uint64_t hour = 3600 * SEC, saved = BUDGET_SAVE_USEC / 10;

	(void)state;
	budget_init(&b, 1000, 0, 0);
	budget_update(&b, hour, 0, false);
	budget_update(&b, hour, saved, false);
	assert_int_equal(budget_wait_usec(&b), 0);
	budget_update(&b, hour, saved + 1000, false);
	/* a tenth of a CPU: what was used too much takes ten times as long */
	assert_in_range(budget_wait_usec(&b), 10000, 10001);
	budget_update(&b, hour + budget_wait_usec(&b), saved + 1000, false);
	assert_int_equal(budget_wait_usec(&b), 0);
}

static void test_beginnings_do_not_wait(void **state)
{
	struct budget b;

	(void)state;
	/* 4 s of work at once for 8 GiB that are new, at 1 % of a CPU */
	budget_init(&b, 100, 0, 0);
	assert_true(budget_has_burst(&b));
	budget_update(&b, 2 * SEC, 4 * SEC, true);
	assert_int_equal(budget_wait_usec(&b), 0);
	assert_int_equal(b.burst_usec, BUDGET_BURST_USEC - 4 * SEC);
}

/* Nothing but new processes for a day: the average, and one bucketful. */
static void test_beginnings_for_ever_keep_the_average_too(void **state)
{
	uint64_t now = 0, cpu = 0;
	struct budget b;

	(void)state;
	budget_init(&b, 1000, 0, 0);
	while (now < 86400 * SEC) {
		now += 20000;
		if (budget_has_burst(&b) || !budget_wait_usec(&b))
			cpu += 15000;
		budget_update(&b, now, cpu, true);
	}
	assert_in_range(cpu, 8640 * SEC, 8640 * SEC + BUDGET_BURST_USEC + SEC);
}

/* What steady work leaves over is there for the next beginning. */
static void test_idle_time_fills_the_burst_again(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b, 1000, 0, 0);
	budget_update(&b, 60 * SEC, 70 * SEC, true);
	assert_false(budget_has_burst(&b));
	/* 70 s used, of which 60 + 6 are paid */
	assert_int_equal(b.tokens_usec, -4 * (int64_t)SEC);
	budget_update(&b, 160 * SEC, 70 * SEC, false);
	assert_int_equal(budget_wait_usec(&b), 0);
	assert_in_range(b.burst_usec, 5 * SEC, 6 * SEC);
	budget_update(&b, 3600 * SEC, 70 * SEC, false);
	assert_int_equal(b.burst_usec, BUDGET_BURST_USEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_average_is_kept),
		cmocka_unit_test(test_more_than_one_cpu_may_be_allowed),
		cmocka_unit_test(test_idle_time_is_saved_up_but_not_for_ever),
		cmocka_unit_test(test_beginnings_do_not_wait),
		cmocka_unit_test(test_beginnings_for_ever_keep_the_average_too),
		cmocka_unit_test(test_idle_time_fills_the_burst_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
