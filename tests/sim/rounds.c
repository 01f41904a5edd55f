/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon would do on machines that nobody has at hand: a terabyte,
 * ten thousand processes, storms of new ones, clocks that jump.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>

#include "machine.h"

#define HOUR	    (3600 * SEC)
#define REGIONS_GIB 512U

static struct machine m;

/* Over all of the time the share and one burst; and while it is steady. */
static void check_average(uint32_t permyriad, uint64_t since_usec)
{
	uint64_t allowed = (m.now_usec - since_usec) * permyriad / 10000;

	assert_true(m.cpu_usec <= allowed + BUDGET_BURST_USEC + SEC);
}

/* CPU from now on, in hundredths of a percent of one. */
static uint64_t steady_permyriad(uint64_t usec)
{
	uint64_t before = m.cpu_usec;

	machine_run(&m, usec);
	return (m.cpu_usec - before) * 10000 / usec;
}

static void test_16_gib_at_rest(void **state)
{
	uint64_t first, rest;

	(void)state;
	machine_init(&m, 1000);
	for (int i = 0; i < 4; i++)
		machine_add(&m, 4 * REGIONS_GIB, 0, UINT64_MAX);
	first = steady_permyriad(60 * SEC);
	machine_run(&m, HOUR / 4);
	rest = steady_permyriad(HOUR);
	printf("# 16 GiB: %.2f %% of a CPU in the first minute, %.2f %% at rest\n",
	       (double)first / 100, (double)rest / 100);
	assert_true(rest <= 100);
	machine_clear(&m);
}

/* 64 guests of 16 GiB: read once, within the budget, and then at rest. */
static void test_a_terabyte(void **state)
{
	uint64_t start, all_read = 0, rest;

	(void)state;
	machine_init(&m, 1000);
	start = m.now_usec;
	for (int i = 0; i < 64; i++)
		machine_add(&m, 16 * REGIONS_GIB, 0, UINT64_MAX);
	for (int minute = 1; minute <= 120; minute++) {
		bool whole = true;

		machine_run(&m, 60 * SEC);
		check_average(1000, start);
		for (size_t i = 0; i < m.n; i++)
			whole &= m.processes[i].n_passes > 0;
		if (whole && !all_read)
			all_read = (uint64_t)minute;
	}
	rest = steady_permyriad(HOUR);
	printf("# 1 TiB: all read after %u min, %.2f %% of a CPU at rest\n",
	       (unsigned int)all_read, (double)rest / 100);
	assert_in_range(all_read, 1, 60);
	/* below the budget: it is at rest indeed */
	assert_true(rest <= 900);
	/* each region was read once, and not again */
	for (size_t i = 0; i < m.n; i++)
		for (uint32_t k = 0; k < m.processes[i].n_regions; k++)
			assert_int_equal(m.processes[i].regions[k].n_full, 1);
	machine_clear(&m);
}

static void test_ten_thousand_processes(void **state)
{
	uint64_t start, rest;

	(void)state;
	machine_init(&m, 1000);
	start = m.now_usec;
	for (int i = 0; i < 10000; i++)
		machine_add(&m, 8, 0, UINT64_MAX);
	machine_run(&m, HOUR);
	check_average(1000, start);
	rest = steady_permyriad(HOUR / 2);
	printf("# 10,000 processes, 160 GiB: %.2f %% of a CPU at rest\n",
	       (double)rest / 100);
	assert_true(rest <= 1000);
	machine_clear(&m);
}

/* Hundred new processes a second, each gone after five; and two that stay. */
static void test_a_storm_of_forks(void **state)
{
	uint64_t start;
	size_t old;

	(void)state;
	machine_init(&m, 1000);
	start = m.now_usec;
	old = machine_add(&m, REGIONS_GIB, 0, UINT64_MAX);
	machine_add(&m, REGIONS_GIB, 60, UINT64_MAX);
	machine_run(&m, 60 * SEC);
	for (int sec = 0; sec < 1800; sec++) {
		for (int i = 0; i < 100; i++)
			machine_add(&m, 8, 0, 5 * SEC);
		machine_run(&m, SEC);
		check_average(1000, start);
	}
	/* those that stay were not forgotten over it */
	assert_true(m.processes[old].n_passes > 3);
	machine_run(&m, 1800 * SEC);
	check_average(1000, start);
	machine_clear(&m);
}

/* What changes is noticed, soon if it is much and often, and its cost follows
 * the change: a tenth of it costs less than half. */
static void test_the_cost_follows_the_change(void **state)
{
	static const uint32_t change_sec[] = { 60, 600, 6000, 0 };
	uint64_t last = UINT64_MAX;

	(void)state;
	for (size_t i = 0; i < sizeof(change_sec) / sizeof(change_sec[0]);
	     i++) {
		uint64_t cost;

		machine_init(&m, 10000);
		machine_add(&m, 16 * REGIONS_GIB, change_sec[i], UINT64_MAX);
		machine_run(&m, HOUR / 2);
		m.noticed_max_usec = 0;
		cost = steady_permyriad(HOUR / 2);
		printf("# 16 GiB, each region changes in %u s: %.2f %% of a CPU, noticed after %u s at most\n",
		       change_sec[i], (double)cost / 100,
		       (unsigned int)(m.noticed_max_usec / SEC));
		assert_true(cost < last);
		/* two looks at the coldest, and a miss or three */
		assert_true(m.noticed_max_usec <= 5 * 400 * SEC);
		last = cost;
		machine_clear(&m);
	}
}

/* A region is hot, known or cold, but does not swing between: without a
 * change its looks become rarer and stay so. */
static void test_no_oscillation(void **state)
{
	uint64_t last = UINT64_MAX;

	(void)state;
	machine_init(&m, 10000);
	machine_add(&m, 2 * REGIONS_GIB, 0, UINT64_MAX);
	for (int i = 0; i < 6; i++) {
		uint64_t before = m.n_looks[SAMPLER_FEW], looks;

		machine_run(&m, 6400 * SEC);
		looks = m.n_looks[SAMPLER_FEW] - before;
		assert_true(looks <= last + last / 10 + 1);
		last = looks;
	}
	assert_int_equal(m.n_looks[SAMPLER_ALL], 2 * REGIONS_GIB);
	machine_clear(&m);
}

/* A machine that slept for a day wakes without a debt and without a fortune. */
static void test_clocks_that_jump(void **state)
{
	uint64_t before;

	(void)state;
	machine_init(&m, 1000);
	machine_add(&m, 4 * REGIONS_GIB, 60, UINT64_MAX);
	machine_run(&m, 600 * SEC);
	m.now_usec += 24 * HOUR;
	before = m.cpu_usec;
	machine_run(&m, 60 * SEC);
	assert_true(m.cpu_usec - before <= 6 * SEC + BUDGET_SAVE_USEC);
	/* and back: nothing is spent twice, and nothing waits for a day */
	m.now_usec -= 24 * HOUR;
	for (size_t i = 0; i < m.n; i++)
		m.processes[i].pass_usec = m.now_usec;
	before = m.cpu_usec;
	machine_run(&m, 60 * SEC);
	assert_true(m.cpu_usec - before <= 6 * SEC + BUDGET_SAVE_USEC);
	assert_true(m.cpu_usec > before);
	machine_clear(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_16_gib_at_rest),
		cmocka_unit_test(test_a_terabyte),
		cmocka_unit_test(test_ten_thousand_processes),
		cmocka_unit_test(test_a_storm_of_forks),
		cmocka_unit_test(test_the_cost_follows_the_change),
		cmocka_unit_test(test_no_oscillation),
		cmocka_unit_test(test_clocks_that_jump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
