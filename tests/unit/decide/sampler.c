/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sampler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct look_result nothing, changed = { .n_changed = 1 },
					 found = { .n_found = 1 },
					 grown = { .n_new = 1 };

static void test_a_new_region_is_read_in_full_or_probed(void **state)
{
	struct heat heat = { 0 };

	(void)state;
	assert_int_equal(sampler_choose(&heat, 0, false, false), SAMPLER_ALL);
	assert_int_equal(sampler_choose(&heat, 0, true, false), SAMPLER_PROBE);
	sampler_learn(&heat, SAMPLER_PROBE, &found, 100);
	sampler_learn(&heat, SAMPLER_AROUND, &found, 100);
	/* the rest of it at the next pass, whatever that pass is like */
	assert_int_equal(sampler_choose(&heat, 100, true, false), SAMPLER_NEW);
	sampler_learn(&heat, SAMPLER_NEW, &nothing, 100);
	assert_int_equal(heat.state, HEAT_KNOWN);
	assert_int_equal(sampler_choose(&heat, 100, true, false),
			 SAMPLER_NOTHING);
}

static void test_what_does_not_change_cools(void **state)
{
	struct heat heat = { 0 };
	uint32_t now = 1000, looks = 0;

	(void)state;
	sampler_learn(&heat, SAMPLER_ALL, &nothing, now);
	for (uint32_t end = now + 3600; now < end; now++) {
		enum sampler_look look = sampler_choose(&heat, now, false,
							false);

		if (look == SAMPLER_NOTHING)
			continue;
		assert_int_equal(look, SAMPLER_FEW);
		sampler_learn(&heat, look, &nothing, now);
		looks++;
	}
	/* 5 + 10 + ... + 160 s, and then every 320 s */
	assert_int_equal(looks, 6 + (3600 - 315) / 320);
}

static void test_duplicates_that_wait_cost_a_look_at_pagemap(void **state)
{
	struct heat heat = { .state = HEAT_KNOWN, .due_sec = 50 };

	(void)state;
	assert_int_equal(sampler_choose(&heat, 49, false, true), SAMPLER_NEW);
	sampler_learn(&heat, SAMPLER_NEW, &nothing, 49);
	assert_int_equal(heat.due_sec, 50);
	assert_int_equal(sampler_choose(&heat, 50, false, true), SAMPLER_FEW);
}

static void test_a_change_is_read_in_full_at_once(void **state)
{
	struct heat heat = { .state = HEAT_KNOWN, .cold = 6 };

	(void)state;
	sampler_learn(&heat, SAMPLER_FEW, &changed, 10);
	assert_int_equal(sampler_choose(&heat, 10, false, false), SAMPLER_ALL);
	sampler_learn(&heat, SAMPLER_ALL, &found, 10);
	assert_int_equal(heat.cold, 0);
	assert_int_equal(heat.due_sec, 10 + SAMPLER_HOT_SEC);
}

static void test_what_grows_stays_hot(void **state)
{
	struct heat heat = { .state = HEAT_KNOWN, .cold = 5 };

	(void)state;
	sampler_learn(&heat, SAMPLER_FEW, &grown, 10);
	assert_int_equal(heat.state, HEAT_KNOWN);
	assert_int_equal(heat.cold, 0);
}

/* Memory that changes all the time and brings nothing: read in full a few
 * times a minute, not at every look, and for ever. */
static void test_what_always_changes_is_left_alone_mostly(void **state)
{
	struct heat heat = { 0 };
	uint32_t full = 0;

	(void)state;
	for (uint32_t now = 0; now < 3600; now++) {
		enum sampler_look look = sampler_choose(&heat, now, false,
							false);

		full += look == SAMPLER_ALL;
		if (look != SAMPLER_NOTHING)
			sampler_learn(&heat, look, &changed, now);
	}
	assert_in_range(full, 3600 / 40, 3600 / 10);
}

static void test_heat_from_outside(void **state)
{
	struct heat heat = { .state = HEAT_KNOWN, .due_sec = 500, .cold = 6 };

	(void)state;
	sampler_heat(&heat);
	assert_int_equal(sampler_choose(&heat, 1, false, false), SAMPLER_ALL);
	/* what was not read yet is read in full anyway */
	heat = (struct heat){ 0 };
	sampler_heat(&heat);
	assert_int_equal(sampler_choose(&heat, 1, true, false), SAMPLER_PROBE);
}

static struct pagemask mask_of(unsigned int from, unsigned int to)
{
	struct pagemask m = { 0 };

	pagemask_set_range(&m, from, to);
	return m;
}

static unsigned int n_read(const struct pagemask *skip)
{
	return REGION_PAGES - pagemask_count(skip);
}

static void test_what_each_look_reads(void **state)
{
	struct pagemask known = mask_of(0, 400), merged = mask_of(0, 100);
	struct pagemask none = { 0 }, skip;

	(void)state;
	sampler_skip(SAMPLER_ALL, &known, &merged, NULL, 1, &skip);
	assert_int_equal(n_read(&skip), REGION_PAGES);
	sampler_skip(SAMPLER_NEW, &known, &merged, NULL, 1, &skip);
	assert_int_equal(n_read(&skip), REGION_PAGES - 400);
	sampler_skip(SAMPLER_PROBE, &none, &none, NULL, 1, &skip);
	assert_int_equal(n_read(&skip), REGION_PAGES / SAMPLER_STRIDE);
}

static void test_few_are_random_and_neither_merged_nor_unknown(void **state)
{
	struct pagemask known = mask_of(0, 400), merged = mask_of(0, 100);
	struct pagemask ever = { 0 };

	(void)state;
	for (uint64_t random = 0; random < 2000; random++) {
		struct pagemask skip;
		unsigned int n = 0;

		sampler_skip(SAMPLER_FEW, &known, &merged, NULL, random, &skip);
		for (unsigned int i = 0; i < 400; i++) {
			if (pagemask_test(&skip, i))
				continue;
			assert_in_range(i, 100, 399);
			pagemask_set(&ever, i);
			n++;
		}
		assert_in_range(n, 1, SAMPLER_FEW_PAGES);
		for (unsigned int i = 400; i < REGION_PAGES; i++)
			assert_false(pagemask_test(&skip, i));
	}
	assert_int_equal(pagemask_count(&ever), 300);
}

/* A region whose pages are all merged has nothing to be compared. */
static void test_few_of_nothing(void **state)
{
	struct pagemask all = mask_of(0, REGION_PAGES), skip;

	(void)state;
	sampler_skip(SAMPLER_FEW, &all, &all, NULL, 7, &skip);
	assert_int_equal(n_read(&skip), 0);
}

/* Wherever a run of SAMPLER_STRIDE pages or more lies, a probe hits it, and
 * what is read around the hits is all of it. */
static void test_probes_find_each_run_and_all_of_it(void **state)
{
	(void)state;
	for (unsigned int n = SAMPLER_STRIDE; n <= 40; n += 4) {
		for (unsigned int at = 0; at + n <= REGION_PAGES; at += 3) {
			struct pagemask run = mask_of(at, at + n), none = { 0 };
			struct pagemask probe, around, hits, known;

			sampler_skip(SAMPLER_PROBE, &none, &none, NULL, at + n,
				     &probe);
			for (unsigned int w = 0; w < PAGEMASK_WORDS; w++) {
				known.words[w] = ~probe.words[w];
				hits.words[w] = run.words[w] & known.words[w];
			}
			assert_true(pagemask_count(&hits) > 0);
			sampler_skip(SAMPLER_AROUND, &known, &none, &hits, 0,
				     &around);
			for (unsigned int i = at; i < at + n; i++)
				assert_true(pagemask_test(&known, i) !=
					    !pagemask_test(&around, i));
			/* and not much beside it */
			assert_true(n_read(&around) < n + 2 * SAMPLER_STRIDE);
		}
	}
}

static void test_a_calm_process_is_passed_over_rarely(void **state)
{
	(void)state;
	assert_int_equal(sampler_pass_sec(0, 0, 1000), 1);
	assert_int_equal(sampler_pass_sec(3, 0, 1000), 8);
	assert_int_equal(sampler_pass_sec(1000, 0, 1000), 64);
	/* 9 s of CPU for a terabyte: 2.5 % of a CPU is 360 s */
	assert_int_equal(sampler_pass_sec(3, 9000000, 1000), 360);
	assert_int_equal(sampler_pass_sec(1, UINT64_MAX / 8, 1), 3600);
	/* what has just brought something is passed over soon */
	assert_int_equal(sampler_pass_sec(0, 9000000, 1000), 1);
}

/* Just those, and the region is as warm as before. */
static void test_hinted_pages_and_no_others(void **state)
{
	struct pagemask known, hits = { .words = { 5, 0, 1 } }, skip;
	struct heat heat = { .due_sec = 7, .cold = 3, .state = HEAT_KNOWN };
	const struct heat before = heat;
	const struct look_result result = { 3, 3, 3, 3, 0, 0 };

	(void)state;
	memset(&known, 0x55, sizeof(known));
	sampler_skip(SAMPLER_HINTED, &known, &known, &hits, 1, &skip);
	for (unsigned int i = 0; i < REGION_PAGES; i++)
		assert_int_equal(pagemask_test(&skip, i),
				 !pagemask_test(&hits, i));
	sampler_learn(&heat, SAMPLER_HINTED, &result, 100);
	assert_int_equal(heat.due_sec, before.due_sec);
	assert_int_equal(heat.cold, before.cold);
	assert_int_equal(heat.state, before.state);
}

static void test_probes_in_vain_are_noticed(void **state)
{
	static const struct {
		struct probing probing;
		bool in_vain;
	} cases[] = {
		{ { 0 }, false },
		{ { .n_probed = 100 }, false },
		{ { .n_probed = 10000 }, true },
		{ { .n_probed = 10000, .n_hits = 500 }, false },
		/* one page in four, each by itself */
		{ { 10000, 2500, 10000, 2500 }, true },
		{ { 1000, 250, 1000, 250 }, false },
		/* runs of 16 */
		{ { 10000, 2500, 10000, 6600 }, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(sampler_probes_in_vain(&cases[i].probing),
				 cases[i].in_vain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_region_is_read_in_full_or_probed),
		cmocka_unit_test(test_what_does_not_change_cools),
		cmocka_unit_test(
			test_duplicates_that_wait_cost_a_look_at_pagemap),
		cmocka_unit_test(test_a_change_is_read_in_full_at_once),
		cmocka_unit_test(test_what_grows_stays_hot),
		cmocka_unit_test(test_what_always_changes_is_left_alone_mostly),
		cmocka_unit_test(test_heat_from_outside),
		cmocka_unit_test(test_what_each_look_reads),
		cmocka_unit_test(
			test_few_are_random_and_neither_merged_nor_unknown),
		cmocka_unit_test(test_few_of_nothing),
		cmocka_unit_test(test_probes_find_each_run_and_all_of_it),
		cmocka_unit_test(test_a_calm_process_is_passed_over_rarely),
		cmocka_unit_test(test_hinted_pages_and_no_others),
		cmocka_unit_test(test_probes_in_vain_are_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
