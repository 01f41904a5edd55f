/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every plan promises, on random memory, drawn as in planner.c; and
 * beside all other plans that there are.
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

#define BASE	  (REGION_BYTES * 1000)
#define MAX_PAGES 4096

static uint64_t random_state;

static uint32_t any(uint32_t below)
{
	random_state = random_state * 6364136223846793005ULL +
		       1442695040888963407ULL;
	return (uint32_t)((random_state >> 33) % below);
}

struct sample {
	char text[MAX_PAGES + 1];
	char plan[MAX_PAGES + 1];
	size_t len;
	struct plan_limits limits;
	bool collapsible;
};

static void append(struct sample *s, char c, size_t n)
{
	n = MIN(n, MAX_PAGES - s->len);
	memset(s->text + s->len, c, n);
	s->len += n;
	s->text[s->len] = '\0';
}

/* Runs of duplicates and enrolled pages, gaps, and holes between mappings. */
static void memory_make(struct sample *s, size_t n_runs, uint32_t gap_max,
			bool enrolled)
{
	s->len = 0;
	append(s, '-', any(4));
	for (size_t i = 0; i < n_runs; i++) {
		append(s, enrolled && any(4) == 0 ? 'e' : 'd', 1 + any(9));
		append(s, '-', any(3) ? any(12) : any(gap_max));
		if (any(8) == 0)
			append(s, ' ', 1 + any(9));
	}
}

static void make_list(const struct sample *s, const char *set,
		      struct ranges *ret)
{
	size_t at = 0;

	while (at < s->len) {
		size_t start = at + strcspn(s->text + at, set);

		at = start + strspn(s->text + start, set);
		if (start < at)
			vec_push(ret,
				 ((struct range){ BASE + start * PAGE_BYTES,
						  BASE + at * PAGE_BYTES }));
	}
}

static void make_runs(const struct sample *s, struct plan_runs *ret)
{
	for (size_t at = 0; at < s->len;) {
		size_t start = at;
		char c = s->text[at];

		while (at < s->len && s->text[at] == c)
			at++;
		if (c == 'd' || c == 'e')
			vec_push(ret,
				 ((struct plan_run){ BASE + start * PAGE_BYTES,
						     BASE + at * PAGE_BYTES,
						     c == 'e' }));
	}
}

static void plan_make(struct sample *s)
{
	struct ranges mappings = { 0 }, none = { 0 }, ranges = { 0 };
	struct plan_runs runs = { 0 };
	uint64_t end = 0;

	make_list(s, "-de", &mappings);
	make_runs(s, &runs);
	memset(s->plan, '.', s->len);
	s->plan[s->len] = '\0';
	assert_int_equal(planner_plan(&runs, &mappings,
				      s->collapsible ? &mappings : &none,
				      &s->limits, &ranges),
			 0);
	for (size_t i = 0; i < ranges.n; i++) {
		size_t from = (ranges.v[i].start - BASE) / PAGE_BYTES;
		size_t to = (ranges.v[i].end - BASE) / PAGE_BYTES;

		assert_true(ranges.v[i].start >= end && from < to);
		assert_true(to <= s->len);
		memset(s->plan + from, '#', to - from);
		end = ranges.v[i].end;
	}
	vec_free(&mappings);
	vec_free(&ranges);
	vec_free(&runs);
}

/* Page @i is mergeable once the plan is done. */
static bool on(const struct sample *s, size_t i)
{
	return i < s->len && (s->plan[i] == '#' || s->text[i] == 'e');
}

static size_t count_ranges(const struct sample *s, bool planned)
{
	size_t n = 0;

	for (size_t i = 0; i < s->len; i++) {
		bool here = planned ? on(s, i) : s->text[i] == 'e';
		bool before = i &&
			      (planned ? on(s, i - 1) : s->text[i - 1] == 'e');

		n += here && !before;
	}
	return n;
}

static void check_promises(const struct sample *s)
{
	size_t before = count_ranges(s, false);

	for (size_t i = 0; i < s->len; i++)
		if (s->plan[i] == '#')
			assert_true(s->text[i] == 'd' || s->text[i] == '-');
	assert_true(count_ranges(s, true) <= MAX(before, s->limits.max_ranges));
	for (size_t at = 0; at < s->len;) {
		size_t start = at + strcspn(s->plan + at, "#"), n_dup = 0;

		at = start + strspn(s->plan + start, "#");
		for (size_t i = start; i < at; i++)
			n_dup += s->text[i] == 'd';
		if (start == at || n_dup)
			continue;
		/* none in it: then it joins what is enrolled */
		assert_true(start > 0 && s->text[start - 1] == 'e');
		assert_true(at < s->len && s->text[at] == 'e');
	}
}

/* --- beside all other plans ----------------------------------------------- */

struct item {
	size_t start, end;
};

/* The runs that the plan has, with what was enrolled before. */
static size_t items_of(const struct sample *s, struct item *items)
{
	size_t n = 0;

	for (size_t at = 0; at < s->len;) {
		size_t start = at;
		char c = s->text[at];

		while (at < s->len && s->text[at] == c)
			at++;
		if (c == 'e' || (c == 'd' && s->plan[start] == '#'))
			items[n++] = (struct item){ start, at };
	}
	return n;
}

/*
 * Of all ways to join @items into at most @n_ranges ranges: how few pages that
 * are no duplicates can be made mergeable?
 */
static size_t fewest_others(const struct sample *s, const struct item *items,
			    size_t n, size_t n_ranges)
{
	size_t best = SIZE_MAX;

	for (uint32_t set = 0; set < 1U << (n - 1); set++) {
		size_t others = 0, ranges = 1;
		bool possible = true;

		for (size_t i = 0; i + 1 < n; i++) {
			size_t from = items[i].end, to = items[i + 1].start;

			if (from == to)
				continue;
			if (!(set >> i & 1)) {
				ranges++;
				continue;
			}
			for (size_t p = from; p < to; p++) {
				possible &= s->text[p] != ' ';
				others += s->text[p] == '-';
			}
		}
		if (possible && ranges <= n_ranges)
			best = MIN(best, others);
	}
	return best;
}

static void check_best(const struct sample *s)
{
	struct item items[16];
	size_t n = items_of(s, items), others = 0;

	for (size_t i = 0; i < s->len; i++)
		others += s->plan[i] == '#' && s->text[i] == '-';
	if (n)
		assert_true(others <=
			    fewest_others(s, items, n, count_ranges(s, true)));
	/* where there is something to gain, and room, something is gained */
	if (strchr(s->text, 'd') &&
	    s->limits.max_ranges > count_ranges(s, false))
		assert_non_null(strchr(s->plan, '#'));
}

static void check(struct sample *s, void (*also)(const struct sample *))
{
	plan_make(s);
	check_promises(s);
	if (also)
		also(s);
}

static void seeds(void (*run)(struct sample *), uint64_t n_samples)
{
	static struct sample s;
	uint64_t fresh, start;

	assert_int_equal(getrandom(&fresh, sizeof(fresh), 0), sizeof(fresh));
	for (int i = 0; i < 2; i++) {
		start = i ? fresh : 1;
		printf("# seed 0x%016llx\n", (unsigned long long)start);
		fflush(stdout);
		random_state = start;
		for (uint64_t k = 0; k < n_samples; k++)
			run(&s);
	}
}

static void run_small(struct sample *s)
{
	memory_make(s, 1 + any(8), 40, any(2));
	s->limits = (struct plan_limits){ .max_ranges = any(6) };
	s->collapsible = false;
	check(s, check_best);
}

static void test_no_plan_with_as_many_ranges_is_better(void **state)
{
	(void)state;
	seeds(run_small, 4000);
}

static void run_large(struct sample *s)
{
	static const uint32_t shared[] = { 0, 16, 64, 256, 511 };

	memory_make(s, 20 + any(200), 1 + any(400), any(2));
	s->limits = (struct plan_limits){ any(60), shared[any(5)] };
	s->collapsible = any(4);
	check(s, NULL);
}

static void test_promises_hold_with_khugepaged_at_work(void **state)
{
	(void)state;
	seeds(run_large, 300);
}

/* What a plan has enrolled stays the plan: the next one asks for no more. */
static void run_again(struct sample *s)
{
	memory_make(s, 1 + any(40), 200, false);
	s->limits = (struct plan_limits){ .max_ranges = 1 + any(20) };
	s->collapsible = false;
	check(s, NULL);
	for (size_t i = 0; i < s->len; i++)
		if (s->plan[i] == '#')
			s->text[i] = 'e';
	check(s, NULL);
	check_promises(s);
}

static void test_planning_again_keeps_the_limit(void **state)
{
	(void)state;
	seeds(run_again, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_plan_with_as_many_ranges_is_better),
		cmocka_unit_test(test_promises_hold_with_khugepaged_at_work),
		cmocka_unit_test(test_planning_again_keeps_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
