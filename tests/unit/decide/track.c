/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "track.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define SEED	 0xfedcba9876543210ULL
#define CRC_ZERO 0x98f94189U

/* One region of a look, page by page. */
struct seen {
	unsigned int page;
	uint32_t crc;
	enum {
		READ = 1, /* its checksum is known */
		SHARED = 2,
		MERGEABLE = 4,
		ALIAS = 8,
	} what;
};

static struct track *track;

static int setup(void **state)
{
	(void)state;
	return track_new(64 << 20, SEED, true, &track);
}

static int teardown(void **state)
{
	(void)state;
	track = track_free(track);
	return 0;
}

static uint32_t add(uint64_t base, uint32_t owner, uint32_t domain)
{
	uint32_t number = UINT32_MAX;

	assert_int_equal(track_region_add(track, base, owner, domain, &number),
			 0);
	assert_int_equal(track_region(track, number)->base, base);
	return number;
}

static struct look_result look_at(uint32_t region, const struct seen *seen,
				  size_t n)
{
	struct look_result result;
	struct look look = { 0 };

	for (size_t i = 0; i < n; i++) {
		pagemask_set(&look.present, seen[i].page);
		if (seen[i].what & READ)
			pagemask_set(&look.checked, seen[i].page);
		if (seen[i].what & SHARED)
			pagemask_set(&look.shared, seen[i].page);
		if (seen[i].what & MERGEABLE)
			pagemask_set(&look.mergeable, seen[i].page);
		if (seen[i].what & ALIAS)
			pagemask_set(&look.alias, seen[i].page);
		look.crc[seen[i].page] = seen[i].crc;
	}
	assert_int_equal(track_look(track, region, &look, &result), 0);
	return result;
}

#define LOOK(region, ...)                                                      \
	look_at(region, (const struct seen[]){ __VA_ARGS__ },                  \
		sizeof((const struct seen[]){ __VA_ARGS__ }) /                 \
			sizeof(struct seen))

static struct track_counters count(void)
{
	struct track_counters c;

	track_counters(track, &c);
	return c;
}

static const struct track_slice everything = { 0, 1, UINT64_MAX };

/* Take all candidates; how many pages, and whether (region, page) is one. */
static uint64_t take_all(uint32_t region, unsigned int page, bool *ret_there)
{
	struct track_queue queue = { 0 };
	uint64_t n = 0;

	*ret_there = false;
	assert_int_equal(track_take(track, &everything, &queue), 0);
	for (size_t i = 0; i < queue.n; i++) {
		n += pagemask_count(&queue.v[i].pages);
		*ret_there |= queue.v[i].region == region &&
			      pagemask_test(&queue.v[i].pages, page);
	}
	vec_free(&queue);
	assert_int_equal(count().candidates, 0);
	return n;
}

static uint64_t taken(void)
{
	bool there;

	return take_all(0, 0, &there);
}

static void confirm(uint32_t region, unsigned int page)
{
	track_confirm(track, (struct page_ref){ region, (uint16_t)page });
}

static void reject(uint32_t region, unsigned int page)
{
	track_reject(track, (struct page_ref){ region, (uint16_t)page });
}

static bool is_duplicate(uint32_t region, unsigned int page)
{
	return pagemask_test(&track_region(track, region)->duplicate, page);
}

/* Two regions with one equal page each that settle found to be so. */
static void confirmed_pair(uint32_t *a, uint32_t *b)
{
	*a = add(0x200000, 1, 0);
	*b = add(0x400000, 2, 0);
	LOOK(*a, { 3, 77, READ | MERGEABLE });
	LOOK(*b, { 4, 77, READ | MERGEABLE });
	assert_int_equal(taken(), 2);
	confirm(*a, 3);
	confirm(*b, 4);
	assert_int_equal(count().duplicates, 2);
}

static void test_two_equal_checksums_make_two_candidates(void **state)
{
	uint32_t a = add(0x200000, 1, 0), b = add(0x400000, 2, 0);
	bool there;

	(void)state;
	LOOK(a, { 0, 100, READ }, { 511, 77, READ });
	assert_int_equal(count().candidates, 0);
	assert_int_equal(count().pages, 2);
	assert_int_equal(regions_crc(track_region(track, a), 511), 77);
	LOOK(b, { 4, 77, READ }, { 5, 101, READ });
	assert_int_equal(count().candidates, 2);
	assert_true(track_region(track, a)->queued);
	assert_int_equal(take_all(a, 511, &there), 2);
	assert_true(there);
	assert_false(track_region(track, a)->queued);
	/* in one region, too */
	LOOK(a, { 0, 100, READ }, { 511, 77, READ }, { 1, 100, READ });
	assert_int_equal(take_all(a, 0, &there), 2);
	assert_true(there);
}

static void test_candidates_come_oldest_first_and_by_whole_regions(void **state)
{
	struct track_queue queue = { 0 };
	uint32_t regions[4];

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		regions[i] = add((i + 1) * REGION_BYTES, 1, 0);
		LOOK(regions[i], { 0, 100 + i, READ }, { 1, 100 + i, READ });
	}
	assert_int_equal(
		track_take(track, &(struct track_slice){ 0, 1, 3 }, &queue), 0);
	assert_int_equal(queue.n, 2);
	assert_int_equal(queue.v[0].region, regions[0]);
	assert_int_equal(queue.v[1].region, regions[1]);
	assert_int_equal(count().candidates, 4);
	assert_int_equal(track_take(track, &everything, &queue), 0);
	assert_int_equal(queue.n, 4);
	assert_int_equal(queue.v[3].region, regions[3]);
	vec_free(&queue);
}

/* However many candidates there are, equal pages are settled together. */
static void test_a_slice_has_all_copies_of_a_page(void **state)
{
	struct track_queue queue = { 0 };
	uint32_t a = add(0x200000, 1, 0), b = add(0x400000, 2, 0);
	uint64_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < 2; i++)
		LOOK(i ? b : a, { 0, 100, READ }, { 1, 101, READ },
		     { 2, 102, READ }, { 3, 103, READ }, { 4, 104, READ });
	assert_int_equal(count().candidates, 10);
	for (uint32_t i = 0; i < 3; i++) {
		struct track_slice slice = { i, 3, UINT64_MAX };

		queue.n = 0;
		assert_int_equal(track_take(track, &slice, &queue), 0);
		assert_int_equal(queue.n, 2);
		assert_memory_equal(&queue.v[0].pages, &queue.v[1].pages,
				    sizeof(queue.v[0].pages));
		n += 2 * pagemask_count(&queue.v[0].pages);
	}
	assert_int_equal(n, 10);
	assert_int_equal(count().candidates, 0);
	vec_free(&queue);
}

static void test_settle_makes_duplicates_and_rejects(void **state)
{
	uint32_t a, b, c;
	bool there;

	(void)state;
	confirmed_pair(&a, &b);
	assert_true(is_duplicate(a, 3));
	c = add(0x600000, 3, 0);
	LOOK(c, { 0, 88, READ });
	LOOK(a, { 3, 77, READ | MERGEABLE }, { 9, 88, READ });
	assert_int_equal(taken(), 2);
	reject(c, 0);
	reject(a, 9);
	/* not tried again with this content ... */
	LOOK(a, { 3, 77, READ | MERGEABLE }, { 9, 88, READ });
	LOOK(c, { 0, 88, READ });
	assert_int_equal(taken(), 0);
	/* ... until other pages prove that the content is duplicate */
	LOOK(b, { 4, 77, READ | MERGEABLE }, { 8, 88, READ });
	assert_int_equal(take_all(b, 8, &there), 2);
	assert_true(there);
	confirm(b, 8);
	confirm(c, 0);
	LOOK(a, { 3, 77, READ | MERGEABLE }, { 9, 88, READ });
	assert_true(take_all(a, 9, &there) >= 1);
	assert_true(there);
}

static void test_what_has_changed_meanwhile_is_rejected(void **state)
{
	struct pagemask changed = { 0 };
	uint32_t crc[REGION_PAGES] = { [3] = 77, [4] = 70 };
	uint32_t a = add(0x200000, 1, 0), b = add(0x400000, 2, 0);

	(void)state;
	LOOK(a, { 3, 77, READ }, { 4, 78, READ });
	LOOK(b, { 5, 77, READ }, { 6, 78, READ });
	assert_int_equal(taken(), 4);
	pagemask_set(&changed, 3);
	pagemask_set(&changed, 4); /* looked at again meanwhile */
	pagemask_set(&changed, 9); /* not known */
	track_reject_all(track, a, 0x600000, &changed, crc);
	assert_false(pagemask_test(&track_region(track, a)->rejected, 3));
	track_reject_all(track, 4711, 0x200000, &changed, crc);
	track_reject_all(track, a, 0x200000, &changed, crc);
	assert_int_equal(pagemask_count(&track_region(track, a)->rejected), 1);
	assert_true(pagemask_test(&track_region(track, a)->rejected, 3));
	/* its twin does not collide with what is not there any more */
	reject(b, 5);
	track_settled(track, (struct page_ref){ b, 5 }, true);
	assert_false(pagemask_test(&track_region(track, b)->failed, 5));
	assert_false(pagemask_test(&track_region(track, a)->failed, 3));
	/* with what it holds now it is as good as new */
	LOOK(a, { 3, 79, READ }, { 4, 78, READ });
	assert_int_equal(pagemask_count(&track_region(track, a)->rejected), 0);
	LOOK(a, { 3, 77, READ }, { 4, 78, READ });
	LOOK(b, { 5, 77, READ }, { 6, 78, READ }, { 7, 77, READ });
	assert_true(taken() >= 2);
}

static void test_an_alias_is_no_evidence_until_there_is_some(void **state)
{
	uint32_t parent = add(0x200000, 1, 0), child = add(0x200000, 2, 0);
	uint32_t other = add(0x800000, 3, 0);
	bool there;

	(void)state;
	LOOK(parent, { 3, 77, READ | SHARED });
	LOOK(child, { 3, 77, READ | SHARED | ALIAS });
	assert_int_equal(taken(), 0);
	LOOK(other, { 5, 77, READ });
	assert_int_equal(taken(), 2);
	confirm(other, 5);
	confirm(parent, 3);
	LOOK(child, { 3, 77, READ | SHARED | ALIAS });
	take_all(child, 3, &there);
	assert_true(there);
}

static void test_changed_content_begins_anew(void **state)
{
	uint32_t a, b;

	(void)state;
	confirmed_pair(&a, &b);
	LOOK(a, { 3, 78, READ | MERGEABLE });
	assert_false(is_duplicate(a, 3));
	assert_int_equal(count().duplicates, 1);
	assert_int_equal(regions_crc(track_region(track, a), 3), 78);
	/* a was the representative: its old content stands for nobody now */
	LOOK(b, { 4, 77, READ | MERGEABLE }, { 5, 77, READ });
	assert_int_equal(count().candidates, 0);
	LOOK(a, { 3, 77, READ | MERGEABLE });
	assert_int_equal(count().candidates, 2);
	/* rejected content that changed is as good as new */
	reject(a, 3);
	assert_int_equal(taken(), 2);
	LOOK(a, { 3, 79, READ });
	LOOK(b, { 6, 79, READ });
	assert_int_equal(taken(), 2);
}

static void test_a_page_that_is_gone_is_forgotten(void **state)
{
	uint32_t a, b;

	(void)state;
	confirmed_pair(&a, &b);
	LOOK(a, { 9, 1, READ });
	assert_int_equal(count().pages, 2);
	assert_int_equal(count().duplicates, 1);
	assert_false(pagemask_test(&track_region(track, a)->known, 3));
	look_at(a, NULL, 0);
	assert_int_equal(count().pages, 1);
	assert_null(track_region(track, a)->crc);
	/* verdicts on what is gone are of no use */
	confirm(a, 3);
	reject(a, 3);
	assert_int_equal(count().duplicates, 1);
}

static void test_merged_and_broken_are_counted(void **state)
{
	uint32_t a, b;

	(void)state;
	confirmed_pair(&a, &b);
	/* merged pages are not read again; their checksum stays known */
	LOOK(a, { 3, 0, SHARED | MERGEABLE });
	LOOK(b, { 4, 0, SHARED | MERGEABLE });
	assert_int_equal(count().merged, 2);
	assert_int_equal(count().duplicates, 0);
	assert_int_equal(count().broken, 0);
	assert_int_equal(regions_crc(track_region(track, b), 4), 77);
	/* a write that changes nothing breaks it all the same */
	LOOK(a, { 3, 77, READ | MERGEABLE });
	assert_int_equal(count().merged, 1);
	assert_int_equal(count().broken, 1);
	/* and one that changes something */
	LOOK(b, { 4, 99, READ | MERGEABLE });
	assert_int_equal(count().merged, 0);
	assert_int_equal(count().broken, 2);
}

static void test_unmapping_breaks_nothing(void **state)
{
	uint32_t a, b;

	(void)state;
	confirmed_pair(&a, &b);
	LOOK(a, { 3, 0, SHARED | MERGEABLE });
	LOOK(b, { 4, 0, SHARED | MERGEABLE });
	look_at(a, NULL, 0);
	track_region_remove(track, b);
	assert_int_equal(count().merged, 0);
	assert_int_equal(count().broken, 0);
}

/* Shared alone is fork; mergeable alone is not merged yet. */
static void test_only_shared_and_mergeable_is_merged(void **state)
{
	uint32_t a, b;

	(void)state;
	confirmed_pair(&a, &b);
	LOOK(a, { 3, 77, READ | SHARED });
	LOOK(b, { 4, 77, READ | MERGEABLE });
	assert_int_equal(count().merged, 0);
	assert_int_equal(count().duplicates, 2);
}

static bool failed_here(uint32_t region, unsigned int page)
{
	return pagemask_test(&track_region(track, region)->failed, page);
}

static void test_what_no_pulse_merges_has_failed_for_a_while(void **state)
{
	uint32_t a, b;
	bool there;

	(void)state;
	confirmed_pair(&a, &b);
	LOOK(a, { 3, 77, READ | MERGEABLE });
	assert_true(is_duplicate(a, 3));
	track_pulse_done(track);
	LOOK(a, { 3, 77, READ | MERGEABLE });
	assert_false(is_duplicate(a, 3));
	assert_true(failed_here(a, 3));
	/* not enrolled: no pulse could have */
	LOOK(b, { 4, 77, READ });
	assert_true(is_duplicate(b, 4));
	for (int i = 1; i < TRACK_FAILED_ROUNDS; i++) {
		track_round_done(track);
		LOOK(a, { 3, 77, READ | MERGEABLE });
	}
	assert_int_equal(taken(), 0);
	track_round_done(track);
	assert_false(failed_here(a, 3));
	LOOK(b, { 4, 77, READ }, { 5, 77, READ });
	LOOK(a, { 3, 77, READ | MERGEABLE });
	assert_true(take_all(a, 3, &there) >= 2);
	assert_true(there);
}

static void test_an_operator_may_have_failures_tried_at_once(void **state)
{
	uint32_t a, b;

	(void)state;
	confirmed_pair(&a, &b);
	track_pulse_done(track);
	LOOK(a, { 3, 77, READ | MERGEABLE });
	LOOK(b, { 4, 77, READ | MERGEABLE });
	assert_true(failed_here(a, 3));
	assert_true(failed_here(b, 4));
	track_retry(track);
	LOOK(a, { 3, 77, READ | MERGEABLE });
	LOOK(b, { 4, 77, READ | MERGEABLE });
	assert_int_equal(taken(), 2);
}

/* What the sampler learns from. */
static void test_a_look_says_what_it_brought(void **state)
{
	uint32_t a = add(0x200000, 1, 0), b = add(0x400000, 2, 0);
	struct look_result r;

	(void)state;
	LOOK(a, { 1, 11, READ }, { 2, 22, READ }, { 3, 33, READ });
	r = LOOK(b, { 1, 44, READ }, { 2, 22, READ });
	assert_int_equal(r.n_checked, 2);
	assert_int_equal(r.n_new, 2);
	assert_int_equal(r.n_found, 1);
	assert_int_equal(r.n_changed, 0);
	/* one skipped, one as it was, one changed, one new, one gone */
	r = LOOK(a, { 1, 0, 0 }, { 2, 55, READ }, { 4, 66, READ });
	assert_int_equal(r.n_checked, 2);
	assert_int_equal(r.n_new, 1);
	assert_int_equal(r.n_changed, 1);
	assert_int_equal(r.n_found, 0);
}

/* A merged page that was written is no sign that others change. */
static void test_a_broken_merge_is_no_change(void **state)
{
	struct look_result r;
	uint32_t a, b;

	(void)state;
	confirmed_pair(&a, &b);
	LOOK(a, { 3, 77, READ | MERGEABLE | SHARED });
	r = LOOK(a, { 3, 78, READ | MERGEABLE });
	assert_int_equal(r.n_changed, 0);
	assert_int_equal(count().broken, 1);
}

/* What a pulse was spent on and is written says so, once. */
static void test_wasted_work_is_told(void **state)
{
	struct look_result result;
	uint32_t a, b;

	(void)state;
	confirmed_pair(&a, &b);
	/* written before there was a pulse: nothing was spent */
	result = LOOK(a, { 3, 78, READ | MERGEABLE });
	assert_int_equal(result.n_wasted, 0);
	LOOK(a, { 3, 77, READ | MERGEABLE });
	confirm(a, 3);
	track_pulse_done(track);
	result = LOOK(a, { 3, 79, READ | MERGEABLE });
	assert_int_equal(result.n_wasted, 1);
	assert_int_equal(result.n_broken, 0);
	result = LOOK(a, { 3, 80, READ | MERGEABLE });
	assert_int_equal(result.n_wasted, 0);
	/* seen merged, then written */
	LOOK(b, { 4, 77, SHARED | MERGEABLE });
	result = LOOK(b, { 4, 81, READ | MERGEABLE });
	assert_int_equal(result.n_broken, 1);
	assert_int_equal(result.n_wasted, 0);
}

/* Only regions with failed pages are to be read again. */
static void test_a_retry_names_its_regions(void **state)
{
	uint32_t a, b;

	(void)state;
	confirmed_pair(&a, &b);
	track_pulse_done(track);
	LOOK(a, { 3, 77, READ | MERGEABLE });
	track_retry(track);
	assert_true(track_region(track, a)->retry);
	assert_false(track_region(track, b)->retry);
	LOOK(a, { 3, 77, READ | MERGEABLE });
	assert_false(track_region(track, a)->retry);
}

/* A look at other pages does not count as one at those to be retried. */
static void test_a_retry_outlasts_a_look_at_a_part(void **state)
{
	struct look look = { 0 };
	uint32_t a, b;

	(void)state;
	confirmed_pair(&a, &b);
	track_pulse_done(track);
	LOOK(a, { 3, 77, READ | MERGEABLE });
	track_retry(track);
	memset(&look.skip, 0xff, sizeof(look.skip));
	pagemask_set(&look.present, 3);
	pagemask_set(&look.mergeable, 3);
	assert_int_equal(track_look(track, a, &look, NULL), 0);
	assert_true(track_region(track, a)->retry);
}

/* Pages that are expected to be equal need no look at the index; but what
 * has been refused is not asked again before it changes. */
static void test_pairs_need_no_index(void **state)
{
	uint32_t a = add(0x200000, 1, 0);
	struct look look = { .crc = { [3] = 77, [4] = 78 } };
	struct look_result result;

	(void)state;
	pagemask_set_range(&look.present, 3, 5);
	look.checked = look.present;
	pagemask_set(&look.paired, 3);
	assert_int_equal(track_look(track, a, &look, &result), 0);
	assert_int_equal(result.n_found, 1);
	assert_int_equal(taken(), 1);
	track_reject(track, (struct page_ref){ a, 3 });
	assert_int_equal(track_look(track, a, &look, &result), 0);
	assert_int_equal(result.n_found, 0);
	look.crc[3] = 79;
	assert_int_equal(track_look(track, a, &look, &result), 0);
	assert_int_equal(taken(), 1);
}

/* Settle what is queued: two pages are equal where @content says so. */
static uint64_t settle_by(const unsigned int *content, size_t n)
{
	struct track_queue queue = { 0 };
	uint64_t n_pages = 0;
	int n_of[16] = { 0 };

	assert_int_equal(track_take(track, &everything, &queue), 0);
#define EACH                                                                   \
	for (size_t q = 0; q < queue.n; q++)                                   \
		for (unsigned int i = pagemask_next(&queue.v[q].pages, 0);     \
		     i < n; i = pagemask_next(&queue.v[q].pages, i + 1))
	EACH n_of[content[i]]++;
	EACH
	{
		n_pages++;
		if (n_of[content[i]] > 1)
			confirm(queue.v[q].region, i);
		else
			reject(queue.v[q].region, i);
	}
	EACH track_settled(track,
			   (struct page_ref){ queue.v[q].region, (uint16_t)i },
			   n_of[content[i]] == 1);
#undef EACH
	vec_free(&queue);
	return n_pages;
}

/* Page 0 has the checksum of 1 and 2, which are equal, and was there first. */
static void test_a_collision_does_not_keep_twins_apart(void **state)
{
	static const unsigned int content[] = { 1, 2, 2, 1, 3 };
	uint32_t a = add(0x200000, 1, 0), b = add(0x400000, 2, 0);
	uint32_t c = add(0x600000, 3, 0);

	(void)state;
	LOOK(a, { 0, 77, READ });
	LOOK(b, { 1, 77, READ });
	assert_int_equal(settle_by(content, 5), 2);
	assert_int_equal(count().duplicates, 0);
	LOOK(c, { 2, 77, READ });
	assert_int_equal(settle_by(content, 5), 2);
	assert_int_equal(count().duplicates, 2);
	/* and what has collided costs nothing more at each look */
	LOOK(a, { 0, 77, READ });
	assert_int_equal(settle_by(content, 5), 0);
}

/* The one in the way comes anew again and again: it is not for ever. */
static void test_who_collides_all_the_time_does_not_win(void **state)
{
	static const unsigned int content[] = { 1, 2, 2, 3, 4, 5 };
	uint32_t a = add(0x200000, 1, 0), b = add(0x400000, 2, 0);
	uint32_t c = add(0x600000, 3, 0);

	(void)state;
	LOOK(a, { 0, 77, READ });
	LOOK(b, { 1, 77, READ });
	settle_by(content, 6);
	LOOK(a, { 0, 77, READ }, { 3, 77, READ });
	settle_by(content, 6);
	LOOK(a, { 0, 77, READ }, { 3, 77, READ }, { 4, 77, READ });
	settle_by(content, 6);
	LOOK(c, { 2, 77, READ });
	settle_by(content, 6);
	assert_int_equal(count().duplicates, 0);
	for (unsigned int i = 0; i < TRACK_FAILED_ROUNDS; i++)
		track_round_done(track);
	settle_by(content, 6);
	assert_int_equal(count().duplicates, 2);
	assert_true(pagemask_test(&track_region(track, b)->duplicate, 1));
	assert_true(pagemask_test(&track_region(track, c)->duplicate, 2));
	/* a merged content of that checksum is no obstacle either */
	assert_false(track_region(track, b)->retry);
	LOOK(a, { 5, 77, READ });
	settle_by(content, 6);
	assert_false(pagemask_test(&track_region(track, a)->duplicate, 5));
}

/* Twins of one page: none has the other's checksum for nothing. */
static void test_a_changed_twin_is_no_collision(void **state)
{
	static const unsigned int content[] = { 1, 2, 3 };
	uint32_t a = add(0x200000, 1, 0), b = add(0x400000, 2, 0);

	(void)state;
	LOOK(a, { 0, 77, READ });
	LOOK(b, { 1, 77, READ });
	taken(); /* page 0 was another when it was read again */
	reject(b, 1);
	track_settled(track, (struct page_ref){ b, 1 }, true);
	assert_false(pagemask_test(&track_region(track, b)->failed, 1));
	for (unsigned int i = 0; i < TRACK_FAILED_ROUNDS; i++)
		track_round_done(track);
	assert_int_equal(settle_by(content, 3), 0);
}

static void test_a_page_of_zeros_needs_no_twin(void **state)
{
	uint32_t a = add(0x200000, 1, 0);

	(void)state;
	LOOK(a, { 3, CRC_ZERO, READ }, { 4, CRC_ZERO, READ | SHARED });
	assert_int_equal(taken(), 1);
	confirm(a, 3);
	LOOK(a, { 3, CRC_ZERO, READ });
	assert_int_equal(taken(), 0);
	/* the kernel put the zero page there: shared, and no KSM page */
	LOOK(a, { 3, CRC_ZERO, SHARED | MERGEABLE });
	assert_int_equal(count().duplicates, 0);
	/* without use_zero_pages they are left alone */
	track = track_free(track);
	assert_int_equal(track_new(64 << 20, SEED, false, &track), 0);
	a = add(0x200000, 1, 0);
	LOOK(a, { 3, CRC_ZERO, READ }, { 4, CRC_ZERO, READ });
	assert_int_equal(count().candidates, 0);
}

static void test_domains_never_meet(void **state)
{
	uint32_t one = add(0x200000, 1, 1), two = add(0x400000, 2, 2);
	uint32_t also_two = add(0x600000, 3, 2);
	bool there;

	(void)state;
	LOOK(one, { 0, 77, READ });
	LOOK(two, { 0, 77, READ });
	assert_int_equal(taken(), 0);
	LOOK(also_two, { 0, 77, READ });
	assert_int_equal(take_all(one, 0, &there), 2);
	assert_false(there);
}

static void test_a_region_may_go_while_it_is_queued(void **state)
{
	uint32_t a = add(0x200000, 1, 0), b = add(0x400000, 2, 0);
	uint32_t c = add(0x600000, 2, 0);
	bool there;

	(void)state;
	LOOK(a, { 0, 77, READ });
	LOOK(b, { 0, 77, READ });
	LOOK(c, { 1, 77, READ });
	assert_int_equal(count().candidates, 3);
	track_region_remove(track, a);
	assert_int_equal(count().candidates, 2);
	assert_null(track_find(track, a));
	assert_null(track_find(track, 4711));
	confirm(a, 0);
	reject(a, 0);
	/* the number is used again, for a region that knows nothing of it */
	assert_int_equal(add(0xa00000, 9, 0), a);
	assert_int_equal(take_all(a, 0, &there), 2);
	assert_false(there);
	assert_int_equal(count().regions, 3);
	/* its checksum stood for all: another look makes a new one */
	LOOK(b, { 0, 77, READ });
	LOOK(c, { 1, 77, READ });
	assert_int_equal(taken(), 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_two_equal_checksums_make_two_candidates),
		TEST(test_candidates_come_oldest_first_and_by_whole_regions),
		TEST(test_a_slice_has_all_copies_of_a_page),
		TEST(test_settle_makes_duplicates_and_rejects),
		TEST(test_what_has_changed_meanwhile_is_rejected),
		TEST(test_an_alias_is_no_evidence_until_there_is_some),
		TEST(test_changed_content_begins_anew),
		TEST(test_a_page_that_is_gone_is_forgotten),
		TEST(test_merged_and_broken_are_counted),
		TEST(test_unmapping_breaks_nothing),
		TEST(test_only_shared_and_mergeable_is_merged),
		TEST(test_what_no_pulse_merges_has_failed_for_a_while),
		TEST(test_an_operator_may_have_failures_tried_at_once),
		TEST(test_a_look_says_what_it_brought),

		TEST(test_a_broken_merge_is_no_change),
		TEST(test_wasted_work_is_told),

		TEST(test_a_retry_names_its_regions),
		TEST(test_a_retry_outlasts_a_look_at_a_part),
		TEST(test_pairs_need_no_index),
		TEST(test_a_collision_does_not_keep_twins_apart),
		TEST(test_who_collides_all_the_time_does_not_win),
		TEST(test_a_changed_twin_is_no_collision),
		TEST(test_a_page_of_zeros_needs_no_twin),
		TEST(test_domains_never_meet),
		TEST(test_a_region_may_go_while_it_is_queued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
