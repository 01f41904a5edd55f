/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * track beside a naive one that says the same in arrays and linear searches,
 * and what its memory amounts to.
 */
#include "track.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CRC_ZERO  0x98f94189U
#define N_REGIONS 36
#define N_PAGES	  14
#define N_CRCS	  40
#define N_STEPS	  10000

/* The pages used lie in all words of the masks. */
#define PLACE(i) ((i)*39U)

struct model_page {
	bool known, merged, candidate, duplicate, rejected, failed;
	uint32_t crc;
};

struct model_region {
	bool used, queued;
	uint32_t number, domain, pulse;
	struct model_page pages[N_PAGES];
};

/* The first page seen with a content, for all others of its domain. */
struct model_first {
	bool used, duplicate;
	uint32_t domain, crc;
	int region, page;
};

static struct {
	struct model_region regions[N_REGIONS];
	struct model_first firsts[N_REGIONS * N_PAGES];
	int queue[N_REGIONS];
	int n_queue;
	uint32_t pulses, rounds;
	uint64_t orphaned;
	uint64_t broken;
} model;

static struct track *track;
static uint64_t random_state;

static uint32_t any(uint32_t below)
{
	random_state = random_state * 6364136223846793005ULL +
		       1442695040888963407ULL;
	return (uint32_t)((random_state >> 33) % below);
}

static struct model_first *first_of(uint32_t domain, uint32_t crc, bool make)
{
	struct model_first *unused = NULL;

	for (size_t i = 0; i < N_REGIONS * N_PAGES; i++) {
		struct model_first *f = &model.firsts[i];

		if (f->used && f->domain == domain && f->crc == crc)
			return f;
		if (!f->used)
			unused = f;
	}
	if (make)
		assert_non_null(unused);
	return make ? unused : NULL;
}

static void model_candidate(int region, int page)
{
	struct model_region *r = &model.regions[region];

	r->pages[page].candidate = true;
	if (!r->queued)
		model.queue[model.n_queue++] = region;
	r->queued = true;
}

static void model_forget(int region, int page)
{
	struct model_region *r = &model.regions[region];
	struct model_page *p = &r->pages[page];
	struct model_first *f = first_of(r->domain, p->crc, false);

	if (f && f->region == region && f->page == page) {
		f->used = false;
		model.orphaned += f->duplicate;
	}
	*p = (struct model_page){ 0 };
}

static void model_compare(int region, int page, const struct look *look)
{
	struct model_region *r = &model.regions[region];
	struct model_page *p = &r->pages[page], *other;
	bool shared = pagemask_test(&look->shared, PLACE(page));
	struct model_first *f;

	if (p->duplicate || p->failed)
		return;
	if (p->crc == CRC_ZERO) {
		if (!shared && !p->rejected)
			model_candidate(region, page);
		return;
	}
	f = first_of(r->domain, p->crc, true);
	if (!f->used) {
		*f = (struct model_first){ true,   false,  r->domain,
					   p->crc, region, page };
		return;
	}
	if (f->region == region && f->page == page)
		return;
	other = &model.regions[f->region].pages[f->page];
	if (p->merged && (other->merged || other->duplicate || other->failed))
		return;
	if (!f->duplicate &&
	    (p->rejected || pagemask_test(&look->alias, PLACE(page))))
		return;
	model_candidate(region, page);
	model_candidate(f->region, f->page);
}

static void model_take_in(int region, int page, const struct look *look)
{
	struct model_page *p = &model.regions[region].pages[page];
	unsigned int at = PLACE(page);
	bool checked = pagemask_test(&look->checked, at);
	bool merged = pagemask_test(&look->shared, at) &&
		      pagemask_test(&look->mergeable, at);
	bool was_merged = p->merged, changed;

	if (!pagemask_test(&look->present, at)) {
		if (p->known)
			model_forget(region, page);
		return;
	}
	if (!p->known && !checked)
		return;
	changed = p->known && checked && look->crc[at] != p->crc;
	if (changed)
		model_forget(region, page);
	p->known = true;
	p->crc = checked ? look->crc[at] : p->crc;
	p->merged = merged;
	model.broken += was_merged && (!merged || changed);
}

static void model_look(int region, const struct look *look)
{
	struct model_region *r = &model.regions[region];

	for (int i = 0; i < N_PAGES; i++)
		model_take_in(region, i, look);
	for (int i = 0; i < N_PAGES; i++) {
		struct model_page *p = &r->pages[i];

		if (p->duplicate && p->merged)
			p->duplicate = false;
		if (p->duplicate && model.pulses > r->pulse &&
		    pagemask_test(&look->mergeable, PLACE(i))) {
			p->duplicate = false;
			p->failed = true;
		}
		if (p->known && pagemask_test(&look->checked, PLACE(i)))
			model_compare(region, i, look);
	}
}

static void step_look(int region)
{
	struct look look = { .huge = any(2) };

	for (unsigned int i = 0; i < N_PAGES; i++) {
		const struct model_page *p = &model.regions[region].pages[i];
		unsigned int at = PLACE(i);

		look.crc[at] = p->known ? p->crc : any(N_CRCS);
		if (any(8) == 0)
			look.crc[at] = any(N_CRCS) ? any(N_CRCS) : CRC_ZERO;
		if (any(10) == 0)
			continue;
		pagemask_set(&look.present, at);
		if (any(2))
			pagemask_set(&look.mergeable, at);
		if (any(3) == 0)
			pagemask_set(&look.shared, at);
		if (any(8))
			pagemask_set(&look.checked, at);
		if (pagemask_test(&look.shared, at) && any(2))
			pagemask_set(&look.alias, at);
	}
	assert_int_equal(track_look(track, model.regions[region].number, &look,
				    NULL),
			 0);
	model_look(region, &look);
}

static void step_region(int region)
{
	struct model_region *r = &model.regions[region];
	bool known = false;
	int n = 0;

	if (!r->used) {
		*r = (struct model_region){ .used = true, .domain = any(3) };
		assert_int_equal(track_region_add(track, REGION_BYTES, 0,
						  r->domain, &r->number),
				 0);
		return;
	}
	for (int i = 0; i < N_PAGES; i++) {
		known |= r->pages[i].known;
		if (r->pages[i].known)
			model_forget(region, i);
	}
	model.orphaned += known;
	for (int i = 0; i < model.n_queue; i++)
		if (model.queue[i] != region)
			model.queue[n++] = model.queue[i];
	model.n_queue = n;
	track_region_remove(track, r->number);
	assert_null(track_find(track, r->number));
	r->used = false;
}

static void model_confirm(struct model_region *r, struct model_page *p)
{
	struct model_first *f = first_of(r->domain, p->crc, false);

	if (f)
		f->duplicate = true;
	if (p->rejected)
		p->failed = false;
	p->rejected = false;
	if (p->merged)
		return;
	p->duplicate = true;
	r->pulse = model.pulses;
}

/* What was taken of one region, and verdicts on some of it: how many pages. */
static uint64_t model_take(struct model_region *r,
			   const struct track_slice *slice,
			   const struct track_candidates *taken)
{
	bool left = false;
	uint64_t n = 0;

	for (unsigned int i = 0; i < N_PAGES; i++) {
		struct model_page *p = &r->pages[i];
		struct page_ref ref = { r->number, (uint16_t)PLACE(i) };
		bool is_in = p->candidate &&
			     p->crc % slice->of == slice->number;
		uint32_t verdict = any(3);

		if (taken)
			assert_int_equal(pagemask_test(&taken->pages, PLACE(i)),
					 is_in);
		left |= p->candidate && !is_in;
		if (!is_in)
			continue;
		n++;
		p->candidate = false;
		if (verdict == 0) {
			track_confirm(track, ref);
			model_confirm(r, p);
		} else if (verdict == 1) {
			track_reject(track, ref);
			p->rejected = true;
		}
	}
	r->queued = left;
	return n;
}

static bool model_has(const struct model_region *r,
		      const struct track_slice *slice)
{
	for (unsigned int i = 0; i < N_PAGES; i++)
		if (r->pages[i].candidate &&
		    r->pages[i].crc % slice->of == slice->number)
			return true;
	return false;
}

static struct track_slice any_slice(void)
{
	uint32_t of = 1 + any(3);

	return (struct track_slice){ .number = any(of),
				     .of = of,
				     .max_pages = any(60) };
}

/* Candidates out of the queue; those of other slices stay in it. */
static void step_settle(const struct track_slice slice)
{
	struct track_queue queue = { 0 };
	uint64_t n_pages = 0;
	size_t at = 0;
	int out = 0, n = 0;

	assert_int_equal(track_take(track, &slice, &queue), 0);
	for (; n < model.n_queue && n_pages < slice.max_pages; n++) {
		struct model_region *r = &model.regions[model.queue[n]];
		const struct track_candidates *taken = NULL;

		if (model_has(r, &slice)) {
			assert_true(at < queue.n);
			taken = &queue.v[at++];
			assert_int_equal(taken->region, r->number);
		}
		n_pages += model_take(r, &slice, taken);
		if (r->queued)
			model.queue[out++] = model.queue[n];
	}
	assert_int_equal(at, queue.n);
	vec_free(&queue);
	memmove(model.queue + out, model.queue + n,
		(size_t)(model.n_queue - n) * sizeof(model.queue[0]));
	model.n_queue -= n - out;
}

/* What has collided is settled again, regions by number. */
static void model_retry_region(uint32_t number)
{
	for (int i = 0; i < N_REGIONS; i++) {
		struct model_region *r = &model.regions[i];

		for (int k = 0; r->used && r->number == number && k < N_PAGES;
		     k++) {
			struct model_page *p = &r->pages[k];

			if (p->failed && p->rejected) {
				p->rejected = false;
				model_candidate(i, k);
			}
			p->failed = false;
		}
	}
}

static void model_retry(void)
{
	for (uint32_t number = 0; number < N_REGIONS; number++)
		model_retry_region(number);
}

static bool is_proven(const struct model_page *p)
{
	return p->merged || p->duplicate || (p->failed && !p->rejected);
}

static void model_succeed_page(int region, int page)
{
	const struct model_region *r = &model.regions[region];
	const struct model_page *p = &r->pages[page];
	struct model_first *f;

	if (!p->known || p->crc == CRC_ZERO)
		return;
	f = first_of(r->domain, p->crc, true);
	if (!f->used) {
		*f = (struct model_first){ true,   is_proven(p), r->domain,
					   p->crc, region,	 page };
	} else if (is_proven(p) &&
		   !is_proven(&model.regions[f->region].pages[f->page])) {
		model_candidate(region, page);
		model_candidate(f->region, f->page);
	}
}

static void model_succeed(void)
{
	for (uint32_t number = 0; number < N_REGIONS; number++)
		for (int i = 0; i < N_REGIONS; i++)
			for (int k = 0;
			     model.regions[i].used &&
			     model.regions[i].number == number && k < N_PAGES;
			     k++)
				model_succeed_page(i, k);
}

/* So few pages are worth it as soon as one content has nobody. */
static void step_round(void)
{
	track_round_done(track);
	if (++model.rounds % TRACK_FAILED_ROUNDS == 0)
		model_retry();
	while (track_succeed(track, 1 + any(N_REGIONS)))
		;
	if (!model.orphaned)
		return;
	model.orphaned = 0;
	model_succeed();
}

static void step_time(void)
{
	switch (any(8)) {
	case 0:
		track_retry(track);
		model_retry();
		break;
	case 1 ... 3:
		track_pulse_done(track);
		model.pulses++;
		break;
	default:
		step_round();
	}
}

static void compare_region(const struct model_region *m,
			   struct track_counters *sum)
{
	const struct region *r = track_region(track, m->number);

	assert_int_equal(r->queued, m->queued);
	sum->regions++;
	for (unsigned int i = 0; i < N_PAGES; i++) {
		const struct model_page *p = &m->pages[i];
		unsigned int at = PLACE(i);

		assert_int_equal(pagemask_test(&r->known, at), p->known);
		assert_int_equal(pagemask_test(&r->merged, at), p->merged);
		assert_int_equal(pagemask_test(&r->candidate, at),
				 p->candidate);
		assert_int_equal(pagemask_test(&r->duplicate, at),
				 p->duplicate);
		assert_int_equal(pagemask_test(&r->rejected, at), p->rejected);
		assert_int_equal(pagemask_test(&r->failed, at), p->failed);
		if (p->known)
			assert_int_equal(regions_crc(r, at), p->crc);
		sum->pages += p->known;
		sum->candidates += p->candidate;
		sum->duplicates += p->duplicate;
		sum->merged += p->merged;
	}
}

static void compare(void)
{
	struct track_counters sum = { 0 }, c;

	for (int i = 0; i < N_REGIONS; i++)
		if (model.regions[i].used)
			compare_region(&model.regions[i], &sum);
	track_counters(track, &c);
	assert_int_equal(c.regions, sum.regions);
	assert_int_equal(c.pages, sum.pages);
	assert_int_equal(c.candidates, sum.candidates);
	assert_int_equal(c.duplicates, sum.duplicates);
	assert_int_equal(c.merged, sum.merged);
	assert_int_equal(c.broken, model.broken);
	assert_int_equal(c.regions_lost, 0);
}

static void run_model(uint64_t seed)
{
	printf("# seed 0x%016llx\n", (unsigned long long)seed);
	fflush(stdout);
	random_state = seed;
	memset(&model, 0, sizeof(model));
	assert_int_equal(track_new(1 << 20, seed ^ 0x5bd1e995, true, &track),
			 0);
	for (int i = 0; i < N_STEPS; i++) {
		int region = (int)any(N_REGIONS);

		if (!model.regions[region].used || any(40) == 0)
			step_region(region);
		else if (any(10) == 0)
			step_settle(any_slice());
		else if (any(20) == 0)
			step_time();
		else
			step_look(region);
		if (i % 8 == 0)
			compare();
	}
	compare();
	assert_true(model.broken > 0);
	track = track_free(track);
}

static void test_as_a_naive_one_would(void **state)
{
	uint64_t fresh;

	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		run_model(seed);
	assert_int_equal(getrandom(&fresh, sizeof(fresh), 0), sizeof(fresh));
	run_model(fresh);
}

/* --- memory ---------------------------------------------------------------- */

/* A region whose @n_pages checksums nobody else has. */
static void look_at_unique(uint32_t number, unsigned int n_pages)
{
	struct look look = { 0 };

	pagemask_set_range(&look.present, 0, n_pages);
	look.checked = look.present;
	for (unsigned int i = 0; i < n_pages; i++)
		look.crc[i] = (number * REGION_PAGES + i) * 2654435761U + 1;
	assert_int_equal(track_look(track, number, &look, NULL), 0);
}

static void test_a_page_costs_at_most_16_bytes(void **state)
{
	const uint32_t n_regions = 4096; /* 2 million pages */
	double worst = 0;
	struct track_counters c;

	(void)state;
	assert_int_equal(track_new(1ULL << 30, 99, true, &track), 0);
	for (uint32_t i = 0; i < n_regions; i++) {
		uint32_t number;

		assert_int_equal(track_region_add(track, i * REGION_BYTES, 0, 0,
						  &number),
				 0);
		look_at_unique(number, REGION_PAGES);
		track_counters(track, &c);
		/* the smallest table there is would dominate before */
		if (i < 40)
			continue;
		assert_true(c.bytes <= 16 * c.pages);
		if ((double)c.bytes / (double)c.pages > worst)
			worst = (double)c.bytes / (double)c.pages;
	}
	assert_int_equal(c.pages, 2097152);
	printf("# bytes per page: %.2f with 2097152 pages, at most %.2f\n",
	       (double)c.bytes / (double)c.pages, worst);
	track = track_free(track);
}

/* All regions of a process are added before any is looked at. */
static void test_the_bound_holds_whatever_comes_first(void **state)
{
	const uint64_t bound = 3 << 20;
	struct track_counters c;
	uint32_t number, n = 0;

	(void)state;
	assert_int_equal(track_new(bound, 99, true, &track), 0);
	while (track_region_add(track, n * REGION_BYTES, 0, 0, &number) == 0) {
		assert_int_equal(number, n);
		n++;
	}
	track_counters(track, &c);
	assert_int_equal(c.regions, n);
	assert_int_equal(c.regions_lost, 1);
	assert_true(n > 300);
	for (uint32_t i = 0; i < n; i++)
		look_at_unique(i, REGION_PAGES);
	track_counters(track, &c);
	assert_int_equal(c.pages, n * REGION_PAGES);
	assert_true(c.bytes <= bound + 4096);
	track = track_free(track);
}

/* Regions that were nearly empty when they were taken in, and are not now. */
static void test_the_bound_holds_while_regions_fill(void **state)
{
	const uint64_t bound = 3 << 20;
	struct track_counters c;
	uint32_t number, n = 0;

	(void)state;
	assert_int_equal(track_new(bound, 99, true, &track), 0);
	while (track_region_add(track, n * REGION_BYTES, 0, 0, &number) == 0) {
		look_at_unique(number, 1);
		n++;
	}
	assert_true(n > 2000);
	for (uint32_t i = 0; i < n; i++)
		look_at_unique(i, REGION_PAGES);
	track_counters(track, &c);
	assert_true(c.bytes <= bound + 4096);
	assert_true(c.regions_lost > 1000);
	assert_true(c.pages >= n);
	/* what is known stays right, and room that is given back is used */
	for (uint32_t i = n / 2; i < n; i++)
		track_region_remove(track, i);
	look_at_unique(n / 2 - 1, REGION_PAGES);
	assert_int_equal(pagemask_count(&track_region(track, n / 2 - 1)->known),
			 REGION_PAGES);
	track = track_free(track);
}

/* A probe is followed by the rest of its region, whoever came meanwhile. */
static void test_what_is_probed_keeps_its_room(void **state)
{
	struct look probe = { 0 };
	uint32_t number, n = 0;

	(void)state;
	assert_int_equal(track_new(3 << 20, 99, true, &track), 0);
	memset(&probe.skip, 0xff, sizeof(probe.skip));
	pagemask_clear(&probe.skip, 7);
	pagemask_set(&probe.present, 7);
	probe.checked = probe.present;
	while (track_region_add(track, n * REGION_BYTES, 0, 0, &number) == 0) {
		probe.crc[7] = number * REGION_PAGES * 2654435761U;
		assert_int_equal(track_look(track, number, &probe, NULL), 0);
		n++;
	}
	assert_true(n > 300);
	for (uint32_t i = 0; i < n; i++) {
		look_at_unique(i, REGION_PAGES);
		assert_int_equal(pagemask_count(&track_region(track, i)->known),
				 REGION_PAGES);
	}
	track = track_free(track);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_a_naive_one_would),
		cmocka_unit_test(test_a_page_costs_at_most_16_bytes),
		cmocka_unit_test(test_the_bound_holds_whatever_comes_first),
		cmocka_unit_test(test_the_bound_holds_while_regions_fill),
		cmocka_unit_test(test_what_is_probed_keeps_its_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
