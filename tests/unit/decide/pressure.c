/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pressure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define SEC 1000000ULL
#define GIB (1ULL << 30)

static struct pressure_sample calm(uint64_t sec)
{
	return (struct pressure_sample){ .now_usec = sec * SEC,
					 .total = 64 * GIB,
					 .available = 40 * GIB,
					 .memory_permyriad = 0,
					 .cpu_permyriad = 0 };
}

static void test_one_sample_of_each_kind(void **state)
{
	static const struct {
		uint64_t available;
		uint32_t memory, cpu;
		enum pressure_state seen;
	} cases[] = {
		{ 40 * GIB, 0, 0, PRESSURE_NONE },
		{ 4 * GIB, 0, 0, PRESSURE_NONE },
		{ 4 * GIB - 1, 0, 0, PRESSURE_MEMORY },
		{ 40 * GIB, 999, 5999, PRESSURE_NONE },
		{ 40 * GIB, 1000, 0, PRESSURE_MEMORY },
		{ 40 * GIB, 0, 6000, PRESSURE_CPU },
		/* both: memory */
		{ 1 * GIB, 0, 10000, PRESSURE_MEMORY },
		/* a kernel without PSI */
		{ 40 * GIB, UINT32_MAX, UINT32_MAX, PRESSURE_NONE },
		{ 1 * GIB, UINT32_MAX, UINT32_MAX, PRESSURE_MEMORY },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pressure p = { 0 };
		struct pressure_sample now = calm(1000);

		now.available = cases[i].available;
		now.memory_permyriad = cases[i].memory;
		now.cpu_permyriad = cases[i].cpu;
		assert_int_equal(pressure_step(&p, &now), cases[i].seen);
	}
}

/* @per_sec bytes less each second: the second at which it was noticed, and
 * what was left then. */
static uint32_t noticed_after(uint64_t per_sec, uint64_t *ret_left)
{
	struct pressure p = { 0 };
	uint64_t available = 40 * GIB;

	for (uint32_t sec = 1; available > per_sec; sec++) {
		struct pressure_sample now = calm(sec);

		available -= per_sec;
		now.available = available;
		*ret_left = available;
		if (pressure_step(&p, &now) == PRESSURE_MEMORY)
			return sec;
	}
	return UINT32_MAX;
}

static void test_the_runway_is_seen_before_it_ends(void **state)
{
	uint64_t left;

	(void)state;
	/* 400 MiB/s: 100 s in all, noticed when under half is available */
	assert_true(noticed_after(400ULL << 20, &left) < 25);
	assert_true(left > 30 * GIB);
	/* 100 MiB/s: two minutes before the end */
	noticed_after(100ULL << 20, &left);
	assert_in_range(left / (100ULL << 20), 90, 125);
	/* slowly: by what is available */
	noticed_after(1ULL << 20, &left);
	assert_in_range(left, 4 * GIB - (2ULL << 20), 4 * GIB);
}

/* A file that is read fills the page cache: nothing dwindles. */
static void test_ups_and_downs_are_no_fall(void **state)
{
	struct pressure p = { 0 };

	(void)state;
	for (uint32_t sec = 1; sec < 600; sec++) {
		struct pressure_sample now = calm(sec);

		now.available = 20 * GIB + (sec % 2) * GIB;
		assert_int_equal(pressure_step(&p, &now), PRESSURE_NONE);
	}
}

/* It begins at once and ends 10 s after its cause; no flutter between. */
static void test_it_lasts(void **state)
{
	struct pressure p = { 0 };
	unsigned int changes = 0;
	enum pressure_state last = PRESSURE_NONE;

	(void)state;
	for (uint32_t sec = 1; sec < 300; sec++) {
		struct pressure_sample now = calm(sec);

		/* every fourth second it is just at the edge */
		now.cpu_permyriad = sec % 4 ? 5000 : 6500;
		if (sec > 200)
			now.cpu_permyriad = 0;
		if (pressure_step(&p, &now) != last)
			changes++;
		last = p.state;
	}
	assert_int_equal(changes, 2);
	assert_int_equal(last, PRESSURE_NONE);
}

static void test_memory_comes_first(void **state)
{
	struct pressure p = { 0 };
	struct pressure_sample now = calm(1);

	(void)state;
	now.cpu_permyriad = 9000;
	assert_int_equal(pressure_step(&p, &now), PRESSURE_CPU);
	now = calm(2);
	now.cpu_permyriad = 9000;
	now.available = GIB;
	assert_int_equal(pressure_step(&p, &now), PRESSURE_MEMORY);
	/* for ten seconds more, though only CPUs are short by now */
	now = calm(3);
	now.cpu_permyriad = 9000;
	assert_int_equal(pressure_step(&p, &now), PRESSURE_MEMORY);
	now.now_usec = 13 * SEC;
	assert_int_equal(pressure_step(&p, &now), PRESSURE_CPU);
}

/* Suspended for an hour, or a clock that stands still. */
static void test_clocks_that_jump(void **state)
{
	struct pressure p = { 0 };
	struct pressure_sample now = calm(10);

	(void)state;
	now.available = 31 * GIB;
	pressure_step(&p, &now);
	now.now_usec += 3600 * SEC;
	now.available = 10 * GIB;
	assert_int_equal(pressure_step(&p, &now), PRESSURE_NONE);
	now.available = 5 * GIB;
	assert_int_equal(pressure_step(&p, &now), PRESSURE_NONE);
	assert_int_equal(pressure_runway_sec(&p), UINT32_MAX);
}

static void test_what_may_be_spent(void **state)
{
	(void)state;
	assert_int_equal(pressure_share(PRESSURE_NONE, 1000), 1000);
	assert_int_equal(pressure_share(PRESSURE_CPU, 1000), 250);
	assert_int_equal(pressure_share(PRESSURE_CPU, 1), 1);
	assert_int_equal(pressure_share(PRESSURE_MEMORY, 1000), 10000);
	assert_int_equal(pressure_share(PRESSURE_MEMORY, 40000), 40000);
}

static void test_threads_leave_cpus_to_others(void **state)
{
	static const struct {
		unsigned int threads, cpus, running, ours, allowed;
	} cases[] = {
		{ 4, 8, 1, 1, 4 },    { 4, 8, 5, 5, 4 },  { 4, 8, 9, 5, 4 },
		{ 4, 8, 10, 5, 3 },   { 4, 8, 14, 1, 1 }, { 2, 2, 2, 1, 1 },
		{ 2, 2, 3, 3, 2 },    { 2, 2, 4, 3, 1 },  { 1, 64, 1, 1, 1 },
		{ 4, 8, 1000, 5, 1 }, { 4, 8, 0, 5, 4 },  { 4, 0, 0, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			pressure_threads(cases[i].threads, cases[i].cpus,
					 cases[i].running, cases[i].ours),
			cases[i].allowed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_leave_cpus_to_others),
		cmocka_unit_test(test_one_sample_of_each_kind),
		cmocka_unit_test(test_the_runway_is_seen_before_it_ends),
		cmocka_unit_test(test_ups_and_downs_are_no_fall),
		cmocka_unit_test(test_it_lasts),
		cmocka_unit_test(test_memory_comes_first),
		cmocka_unit_test(test_clocks_that_jump),
		cmocka_unit_test(test_what_may_be_spent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
