/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The estimate and its linear program, where the answer is known. How often
 * the interval holds what is true: tests/sim/estimates.c.
 */
#include "estimate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simplex.h"

#define SHARING 256

static void is_exact_where_all_is_taken(void **state)
{
	struct estimate_sample s = { .share = 1, .zeros = 512 };
	struct estimate_interval contents, zeros;

	(void)state;
	for (unsigned int i = 0; i < 100000; i++)
		estimate_met(&s, 1);
	for (unsigned int i = 0; i < 20000; i++)
		estimate_met(&s, 5);
	estimate_met(&s, 10000);
	assert_int_equal(estimate_freed(&s, SHARING, false, &contents, &zeros),
			 0);
	assert_true(fabs(contents.best - (80000 + 9999 - 39)) < 500);
	assert_true(contents.low <= 89960 && 89960 <= contents.high);
	assert_true(fabs(zeros.low - 510) <= 1 && fabs(zeros.high - 510) <= 1);
}

static void counts_zeros_apart(void **state)
{
	struct estimate_sample s = { .share = 0.1, .zeros = 10000 };
	struct estimate_interval contents, zeros;

	(void)state;
	assert_int_equal(estimate_freed(&s, SHARING, true, &contents, &zeros),
			 0);
	assert_true(zeros.best == 100000);
	assert_true(zeros.low > 96000 && zeros.low < 99000);
	assert_true(zeros.high > 101000 && zeros.high < 104000);
	assert_true(contents.low == 0);
}

static void chooses_a_share(void **state)
{
	(void)state;
	assert_true(estimate_share(0) == 1);
	assert_true(estimate_share(65536) == 1);
	assert_true(estimate_share(1ULL << 20) == 0.25);
	assert_true(estimate_share(1ULL << 28) == 1.0 / 64);
}

static unsigned int seed;

/* In (0, 1]. */
static double chance(void)
{
	return (rand_r(&seed) + 1.0) / (RAND_MAX + 1.0);
}

/* --- the linear program ---------------------------------------------------- */

static void finds_both_ends(void **state)
{
	/* 2 <= x + y <= 4, 1 <= x <= 3, value x + 2y: 2 (2, 0) to 7 (1, 3) */
	static const double a[] = { 1, 1, 1, 0 }, low[] = { 2, 1 },
			    high[] = { 4, 3 }, value[] = { 1, 2 };
	static const struct simplex program = { 2, 2, a, low, high, value };
	double least, greatest;

	(void)state;
	assert_int_equal(simplex_range(&program, &least, &greatest), 0);
	assert_true(fabs(least - 2) < 1e-9);
	assert_true(fabs(greatest - 7) < 1e-9);
}

static void finds_that_there_is_nothing(void **state)
{
	static const double a[] = { 1, 2, 1, 2 }, low[] = { 1, 3 },
			    high[] = { 2, 4 }, value[] = { 1, 1 };
	static const struct simplex program = { 2, 2, a, low, high, value };
	static const double open[] = { 1, 0 };
	static const struct simplex boundless = {
		1, 2, open, low, high, value
	};
	double least = -1, greatest = -1;

	(void)state;
	assert_int_equal(simplex_range(&program, &least, &greatest),
			 SIMPLEX_NONE);
	assert_int_equal(simplex_range(&boundless, &least, &greatest),
			 SIMPLEX_NONE);
	assert_true(least == -1 && greatest == -1);
}

/* Against all corners, for rows of two columns. */
static void agrees_with_all_corners(void **state)
{
	(void)state;
	seed = 3;
	for (int round = 0; round < 2000; round++) {
		double a[6], low[3], high[3], value[2], best[2] = { 1e9, -1e9 };
		struct simplex program = { 3, 2, a, low, high, value };
		double line[8][3], least, greatest;

		for (int i = 0; i < 6; i++)
			a[i] = 0.1 + chance();
		for (int i = 0; i < 3; i++) {
			low[i] = chance();
			high[i] = low[i] + chance();
		}
		value[0] = chance() - 0.5;
		value[1] = chance() - 0.5;
		for (int i = 0; i < 3; i++)
			for (int k = 0; k < 2; k++) {
				line[2 * i + k][0] = a[2 * i];
				line[2 * i + k][1] = a[2 * i + 1];
				line[2 * i + k][2] = k ? high[i] : low[i];
			}
		memcpy(line[6], (double[]){ 1, 0, 0 }, sizeof(line[6]));
		memcpy(line[7], (double[]){ 0, 1, 0 }, sizeof(line[7]));
		for (int i = 0; i < 8; i++)
			for (int k = 0; k < i; k++) {
				const double *p = line[i], *q = line[k];
				double d = p[0] * q[1] - p[1] * q[0];
				double x = (p[2] * q[1] - p[1] * q[2]) / d;
				double y = (p[0] * q[2] - p[2] * q[0]) / d;
				bool in = fabs(d) > 1e-9 && x > -1e-9 &&
					  y > -1e-9;

				for (int j = 0; in && j < 3; j++) {
					double sum = a[2 * j] * x +
						     a[2 * j + 1] * y;

					in = sum > low[j] - 1e-9 &&
					     sum < high[j] + 1e-9;
				}
				if (!in)
					continue;
				d = value[0] * x + value[1] * y;
				best[0] = fmin(best[0], d);
				best[1] = fmax(best[1], d);
			}
		if (best[1] < best[0]) {
			assert_int_equal(simplex_range(&program, &least,
						       &greatest),
					 SIMPLEX_NONE);
			continue;
		}
		assert_int_equal(simplex_range(&program, &least, &greatest), 0);
		assert_true(fabs(least - best[0]) < 1e-6);
		assert_true(fabs(greatest - best[1]) < 1e-6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_exact_where_all_is_taken),
		cmocka_unit_test(counts_zeros_apart),
		cmocka_unit_test(chooses_a_share),
		cmocka_unit_test(finds_both_ends),
		cmocka_unit_test(finds_that_there_is_nothing),
		cmocka_unit_test(agrees_with_all_corners),
	};

	return cmocka_run_group_tests_name("estimate", tests, NULL, NULL);
}
