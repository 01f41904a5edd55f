/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory is drawn, a character for each page:
 *	' ' not mapped   '-' mapped   'd' duplicate   'e' mergeable already
 * and so is the plan: '#' made mergeable, '.' not.
 */
#include "planner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cleanup.h"

#define BASE	(REGION_BYTES * 1000)
#define MAX_ALL 1000

struct memory {
	struct plan_runs runs;
	struct ranges mappings;
	struct ranges collapsible;
};

static uint64_t address(size_t page)
{
	return BASE + page * PAGE_BYTES;
}

/* The runs of characters out of @set in @text. */
static size_t run_next(const char *text, size_t *at, const char *set)
{
	size_t start = *at + strcspn(text + *at, set);

	*at = start + strspn(text + start, set);
	return start;
}

static struct memory memory_of(const char *text)
{
	struct memory m = { 0 };
	size_t len = strlen(text), start;

	for (size_t at = 0; (start = run_next(text, &at, "-de")) < len;)
		assert_int_equal(vec_push(&m.mappings,
					  ((struct range){ address(start),
							   address(at) })),
				 0);
	for (size_t at = 0; (start = run_next(text, &at, "de")) < len;) {
		at = start +
		     strspn(text + start, text[start] == 'd' ? "d" : "e");
		assert_int_equal(vec_push(&m.runs,
					  ((struct plan_run){
						  address(start), address(at),
						  text[start] == 'e' })),
				 0);
	}
	return m;
}

static void memory_clear(struct memory *m)
{
	vec_free(&m->runs);
	vec_free(&m->mappings);
	vec_free(&m->collapsible);
}

/* Plan for @m and draw it; what every plan has to be is checked. */
static void plan(const struct memory *m, const char *text,
		 const struct plan_limits *limits, char *ret)
{
	struct ranges ranges = { 0 };
	uint64_t end = 0;
	size_t len = strlen(text);

	memset(ret, '.', len);
	ret[len] = '\0';
	assert_int_equal(planner_plan(&m->runs, &m->mappings, &m->collapsible,
				      limits, &ranges),
			 0);
	for (size_t i = 0; i < ranges.n; i++) {
		const struct range *r = &ranges.v[i];

		assert_true(r->start >= end && r->start < r->end);
		assert_true(r->start >= BASE && r->end <= address(len));
		assert_int_equal(r->start % PAGE_BYTES, 0);
		assert_int_equal(r->end % PAGE_BYTES, 0);
		for (uint64_t a = r->start; a < r->end; a += PAGE_BYTES) {
			size_t page = (a - BASE) / PAGE_BYTES;

			assert_true(text[page] != ' ' && text[page] != 'e');
			ret[page] = '#';
		}
		end = r->end;
	}
	vec_free(&ranges);
}

static const struct {
	const char *text;
	uint32_t max;
	const char *plan;
} drawings[] = {
	{ "", 9, "" },
	{ "----", 9, "...." },
	{ "--ee--", 9, "......" },
	/* one page is worth two mappings */
	{ "--d--", 9, "..#.." },
	{ "-dddd", 9, ".####" },
	/* a gap of seven pages costs as much as two mappings */
	{ "d-------d", 9, "#########" },
	{ "d--------d", 9, "#........#" },
	/* not over what is not mapped */
	{ "d d", 9, "#.#" },
	{ "d- -d", 9, "#...#" },
	/* nor over what may not be marked between two mappings */
	{ "dd -- dd", 9, "##....##" },
	/* what is mergeable already is a neighbour for nothing */
	{ "ed", 9, ".#" },
	{ "de", 9, "#." },
	{ "e--d", 9, ".###" },
	{ "d--e--d", 9, "###.###" },
	{ "ede", 9, ".#." },
	{ "e-e", 9, ".#." },
	{ "e--------e", 9, ".........." },
	/* the smallest gaps go first, as few as possible */
	{ "d---------d----------d", 2, "###########..........#" },
	{ "d----------d---------d", 2, "#..........###########" },
	{ "d---------d---------d", 2, "###########.........#" },
	{ "d---------d---------d", 1, "#####################" },
	{ "d---------d---------d", 3, "#.........#.........#" },
	/* what cannot be joined: the most duplicates stay */
	{ "d dd ddd", 2, "..##.###" },
	{ "dd dd dd", 2, "##.##..." },
	{ "ddd dd d", 1, "###....." },
	{ "ddd", 0, "..." },
	/* what is enrolled counts, and is never taken back */
	{ "e ddd", 1, "....." },
	{ "e ddd", 2, "..###" },
	{ "e e e d", 3, "......." },
	{ "e e e d", 2, "......." },
	{ "ed ddd", 1, ".#...." },
	/* two enrolled ones joined make room for a third */
	{ "e---------e d", 2, ".#########..#" },
};

static void test_drawn(void **state)
{
	char drawn[MAX_ALL];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(drawings); i++) {
		struct memory m = memory_of(drawings[i].text);
		struct plan_limits limits = { .max_ranges = drawings[i].max };

		plan(&m, drawings[i].text, &limits, drawn);
		if (strcmp(drawn, drawings[i].plan))
			printf("# \"%s\" at most %u\n", drawings[i].text,
			       drawings[i].max);
		assert_string_equal(drawn, drawings[i].plan);
		memory_clear(&m);
	}
}

/* @text repeated, with @n times '-' between. */
static char *repeat(const char *text, size_t times, size_t n)
{
	char *all = calloc(times * (strlen(text) + n) + 1, 1);
	char *at = all;

	assert_non_null(all);
	for (size_t i = 0; i < times; i++) {
		at = stpcpy(at, text);
		memset(at, '-', n);
		at += n;
	}
	return all;
}

static size_t count_of(const char *text, char c)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == c;
	return n;
}

/* Filling a gap must not make worthless what has worth without it. */
static void test_far_apart_the_best_is_kept(void **state)
{
	char *text = repeat("dddddddddd", 6, 9000), *drawn;
	struct memory m = memory_of(text);

	(void)state;
	drawn = malloc(strlen(text) + 1);
	assert_non_null(drawn);
	for (uint32_t max = 1; max <= 6; max++) {
		plan(&m, text, &(struct plan_limits){ .max_ranges = max },
		     drawn);
		assert_int_equal(count_of(drawn, '#'), 10 * max);
	}
	memory_clear(&m);
	free(drawn);
	free(text);
}

/* Who un-marks it has to look at all of it, whatever it makes room for. */
static void test_no_vast_gap_is_filled(void **state)
{
	static const struct {
		uint64_t gap;
		size_t n; /* of new ranges: the gap, and what has room now */
	} cases[] = {
		{ PLAN_GAP_MAX_PAGES, 2 },
		{ PLAN_GAP_MAX_PAGES + 1, 0 },
		{ 1ULL << 32, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const uint64_t far = BASE + (cases[i].gap + 1) * PAGE_BYTES;
		struct plan_run v[] = {
			{ BASE, BASE + PAGE_BYTES, true },
			{ far, far + PAGE_BYTES, true },
			{ far + 2 * PAGE_BYTES, far + 3 * PAGE_BYTES, false },
		};
		struct range maps[] = {
			{ BASE, far + PAGE_BYTES },
			{ far + 2 * PAGE_BYTES, far + 3 * PAGE_BYTES },
		};
		struct plan_runs runs = { v, 3, 3 };
		struct ranges mappings = { maps, 2, 2 }, none = { 0 };
		struct plan_limits limits = { .max_ranges = 2 };
		struct ranges ranges = { 0 };

		assert_int_equal(planner_plan(&runs, &mappings, &none, &limits,
					      &ranges),
				 0);
		assert_int_equal(ranges.n, cases[i].n);
		vec_free(&ranges);
	}
}

/* One duplicate in 64 pages is what pays for the metadata of the others. */
static void test_density_decides_where_ranges_are_short(void **state)
{
	static const struct {
		size_t gap;
		bool all;
	} cases[] = {
		{ 20, true }, { 60, true }, { 70, false }, { 200, false }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = repeat("d", 400, cases[i].gap), *drawn;
		struct memory m = memory_of(text);

		drawn = malloc(strlen(text) + 1);
		assert_non_null(drawn);
		plan(&m, text, &(struct plan_limits){ .max_ranges = 4 }, drawn);
		if (cases[i].all)
			assert_int_equal(count_of(drawn, '#'),
					 400 + (400 - 4) * cases[i].gap);
		else
			assert_int_equal(count_of(drawn, '#'), 4);
		memory_clear(&m);
		free(drawn);
		free(text);
	}
}

/* --- what khugepaged takes back -------------------------------------------- */

struct huge_case {
	const char *name;
	size_t first, n; /* duplicates of the middle region of three */
	bool collapsible;
	uint32_t max_ptes_shared;
	uint32_t max_ranges;
	size_t enrolled; /* pages of the plan */
};

/* Three regions, the outer ones full of duplicates. */
static void test_regions_that_khugepaged_collapses_again(void **state)
{
	static const struct huge_case cases[] = {
		{ "many stay", 0, 300, true, 256, 9, 3 * 512 },
		{ "few stay, with a gap", 0, 256, true, 256, 9, 3 * 512 - 1 },
		{ "not collapsible", 0, 256, false, 256, 9, 2 * 512 + 256 },
		{ "no huge pages here", 0, 256, true, 0, 9, 2 * 512 + 256 },
		{ "a limit of one joins all three", 0, 300, true, 256, 1,
		  3 * 512 },
		{ "the larger of two where one is allowed", 0, 256, true, 256,
		  1, 2 * 512 - 2 },
		{ "nothing there", 0, 0, true, 256, 1, 512 },
	};
	static char text[3 * 512 + 1], drawn[3 * 512 + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct huge_case *c = &cases[i];
		struct plan_limits limits = { c->max_ranges,
					      c->max_ptes_shared };
		struct memory m;

		memset(text, 'd', 3 * 512);
		memset(text + 512, '-', 512);
		/* spread, so that it is one range from end to end */
		for (size_t k = 0; k < c->n; k++)
			text[512 + k * 511 / (c->n - 1)] = 'd';
		m = memory_of(text);
		if (c->collapsible)
			vec_push(&m.collapsible, m.mappings.v[0]);
		plan(&m, text, &limits, drawn);
		if (c->max_ptes_shared && c->collapsible)
			assert_int_equal(count_of(drawn, '#'), c->enrolled);
		else
			assert_true(count_of(drawn, '#') >= c->enrolled);
		memory_clear(&m);
	}
}

/* Our own boundary protects a region that is not mergeable from end to end. */
static void test_a_region_in_parts_is_not_collapsed(void **state)
{
	static char text[3 * 512 + 1], drawn[3 * 512 + 1];
	struct memory m;

	(void)state;
	memset(text, '-', 3 * 512);
	memset(text + 600, 'd', 10);
	m = memory_of(text);
	vec_push(&m.collapsible, m.mappings.v[0]);
	plan(&m, text, &(struct plan_limits){ 9, 256 }, drawn);
	assert_int_equal(count_of(drawn, '#'), 10);
	memory_clear(&m);
}

static void test_how_many_ranges_a_process_may_have(void **state)
{
	static const struct {
		uint32_t max_ranges, n_enrolled;
		uint64_t n_mappings, max_map_count;
		uint32_t allowed;
	} cases[] = {
		/* 5 % of 65530 - 4095 - 130, and each makes two */
		{ 10000, 0, 130, 65530, 1532 },	  { 1024, 0, 130, 65530, 1024 },
		{ 10000, 7, 130, 65530, 1539 },	  { 10000, 7, 61434, 65530, 7 },
		{ 10000, 7, 61395, 65530, 8 },	  { 10000, 7, 65530, 65530, 7 },
		{ 10000, 7, 70000, 65530, 7 },	  { 5, 7, 0, 65530, 5 },
		{ 1024, 0, 0, UINT64_MAX, 1024 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(planner_max_ranges(cases[i].max_ranges,
						    cases[i].n_enrolled,
						    cases[i].n_mappings,
						    cases[i].max_map_count),
				 cases[i].allowed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drawn),
		cmocka_unit_test(test_far_apart_the_best_is_kept),
		cmocka_unit_test(test_no_vast_gap_is_filled),
		cmocka_unit_test(test_density_decides_where_ranges_are_short),
		cmocka_unit_test(test_regions_that_khugepaged_collapses_again),
		cmocka_unit_test(test_a_region_in_parts_is_not_collapsed),
		cmocka_unit_test(test_how_many_ranges_a_process_may_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
