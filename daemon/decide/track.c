/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "track-private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

int track_new(uint64_t max_bytes, uint64_t seed, bool zero_pages,
	      struct track **ret)
{
	_cleanup_free_ struct track *track = calloc(1, sizeof(*track));
	int r;

	if (!track)
		return -ENOMEM;
	track->zero_pages = zero_pages;
	track->succession_at = TRACK_NO_SUCCESSION;
	/* two thirds for the index: what 11.1 bytes are of 16 */
	track->regions.max_bytes = max_bytes / 3;
	r = index_new(max_bytes / 3 * 2, seed, &track->index);
	if (r)
		return r;
	*ret = TAKE_PTR(track);
	return 0;
}

struct track *track_free(struct track *track)
{
	if (!track)
		return NULL;
	regions_clear(&track->regions);
	vec_free(&track->queue);
	index_free(track->index);
	free(track);
	return NULL;
}

/* The region of that number, which must be one. */
static struct region *region_of(const struct track *track, uint32_t number)
{
	assert(number < track->regions.table.n &&
	       track->regions.table.v[number]);
	return track->regions.table.v[number];
}

int track_region_add(struct track *track, uint64_t base, uint32_t owner,
		     uint32_t domain, uint32_t *ret)
{
	struct region region = { .base = base,
				 .owner = owner,
				 .domain = domain };
	int r = regions_add(&track->regions, &region, ret);

	track->n_regions_lost += r > 0;
	return r;
}

const struct region *track_region(const struct track *track, uint32_t region)
{
	return region_of(track, region);
}

const struct region *track_find(const struct track *track, uint32_t region)
{
	return region < track->regions.table.n ? track->regions.table.v[region]
					       : NULL;
}

uint64_t track_room(const struct track *track)
{
	return regions_room(&track->regions);
}

bool track_is_barren(const struct track *track, uint32_t number)
{
	const struct region *region = region_of(track, number);

	return pagemask_next(&region->merged, 0) == REGION_PAGES &&
	       pagemask_next(&region->candidate, 0) == REGION_PAGES &&
	       pagemask_next(&region->duplicate, 0) == REGION_PAGES;
}

static void mask_drop(struct pagemask *mask, unsigned int page, uint64_t *n)
{
	if (pagemask_test(mask, page)) {
		pagemask_clear(mask, page);
		(*n)--;
	}
}

/* Forget all verdicts on a page whose content is not what it was. */
static void page_reset(struct track *track, struct region *region,
		       unsigned int page)
{
	mask_drop(&region->candidate, page, &track->n_candidates);
	mask_drop(&region->duplicate, page, &track->n_duplicates);
	pagemask_clear(&region->rejected, page);
	pagemask_clear(&region->failed, page);
}

static void page_forget(struct track *track, struct page_ref ref, uint32_t crc)
{
	struct region *region = track->regions.table.v[ref.region];

	track->n_orphaned += index_remove(track->index, track_key(region, crc),
					  ref);
	page_reset(track, region, ref.page);
	mask_drop(&region->merged, ref.page, &track->n_merged);
}

void track_region_remove(struct track *track, uint32_t number)
{
	struct region *region = region_of(track, number);
	unsigned int rank = 0;

	for (unsigned int i = pagemask_next(&region->known, 0);
	     i < REGION_PAGES; i = pagemask_next(&region->known, i + 1))
		page_forget(track, (struct page_ref){ number, (uint16_t)i },
			    region->crc[rank++]);
	/* forked pages may have known one another by its frames */
	track->n_orphaned += rank > 0;
	if (region->queued) {
		size_t at = 0;

		while (track->queue.v[at] != number)
			at++;
		memmove(&track->queue.v[at], &track->queue.v[at + 1],
			(--track->queue.n - at) * sizeof(uint32_t));
	}
	regions_remove(&track->regions, number);
}

int track_candidate_add(struct track *track, struct page_ref ref)
{
	struct region *region = track->regions.table.v[ref.region];

	if (pagemask_test(&region->candidate, ref.page))
		return 0;
	if (!region->queued) {
		int r = vec_push(&track->queue, ref.region);

		if (r)
			return r;
		region->queued = true;
	}
	pagemask_set(&region->candidate, ref.page);
	track->n_candidates++;
	return 0;
}

/* A page whose merge a completed pulse did not bring, and one it did. */
static void duplicate_judge(struct track *track, struct region *region,
			    unsigned int page, const struct look *look)
{
	bool merged = pagemask_test(&look->shared, page) &&
		      pagemask_test(&look->mergeable, page);

	if (merged || (pagemask_test(&look->mergeable, page) &&
		       track->n_pulses > region->pulse)) {
		mask_drop(&region->duplicate, page, &track->n_duplicates);
		if (!merged)
			pagemask_set(&region->failed, page);
	}
}

/* The page's checksum is known: does it have a twin? */
static int page_compare(struct track *track, struct page_ref ref, uint32_t crc,
			const struct look *look, struct look_result *result)
{
	struct region *region = track->regions.table.v[ref.region];
	const struct region *other;
	struct index_hit hit;
	int r;

	if (pagemask_test(&region->duplicate, ref.page) ||
	    pagemask_test(&region->failed, ref.page))
		return 0;
	if (crc == TRACK_CRC_ZERO_PAGE) {
		/* a shared page of zeros is the zero page already, or forked */
		if (!track->zero_pages ||
		    pagemask_test(&look->shared, ref.page) ||
		    pagemask_test(&region->rejected, ref.page))
			return 0;
		result->n_found++;
		return track_candidate_add(track, ref);
	}
	/* no need to know of whom: its twin comes to be settled, too */
	if (pagemask_test(&look->paired, ref.page) &&
	    !pagemask_test(&region->rejected, ref.page)) {
		result->n_found++;
		r = track_candidate_add(track, ref);
		if (r)
			return r;
	}
	r = index_put(track->index, track_key(region, crc), ref, &hit);
	if (r != INDEX_FOUND)
		return 0;
	other = track->regions.table.v[hit.ref.region];
	if (pagemask_test(&region->merged, ref.page) &&
	    (pagemask_test(&other->merged, hit.ref.page) ||
	     pagemask_test(&other->duplicate, hit.ref.page) ||
	     pagemask_test(&other->failed, hit.ref.page)))
		return 0;
	/* only other frames are evidence: an alias waits until there is one */
	if (!hit.duplicate && (pagemask_test(&look->alias, ref.page) ||
			       pagemask_test(&region->rejected, ref.page)))
		return 0;
	result->n_found++;
	r = track_candidate_add(track, ref);
	return r ? r : track_candidate_add(track, hit.ref);
}

/* Nothing is left out that is not known. */
static bool is_whole(const struct region *region, const struct look *look)
{
	for (unsigned int w = 0; w < PAGEMASK_WORDS; w++)
		if (look->skip.words[w] & ~region->known.words[w])
			return false;
	return true;
}

/* Whether there is room for those pages of the look that are not known. */
static bool has_room(struct track *track, struct region *region,
		     const struct look *look)
{
	uint64_t n_new = 0;

	if (!region->seen) {
		/* track_region_add() has seen to it, also for what follows a
		 * probe */
		if (is_whole(region, look))
			regions_set_seen(&track->regions, region);
		return true;
	}
	for (unsigned int w = 0; w < PAGEMASK_WORDS; w++)
		n_new += (uint64_t)__builtin_popcountll(
			look->checked.words[w] & ~region->known.words[w]);
	if (!n_new ||
	    !regions_are_full(&track->regions, n_new * sizeof(uint32_t)))
		return true;
	track->n_regions_lost++;
	return false;
}

/* A pulse has passed since the page was promised, and it was not seen merged:
 * if it is not what it was, that was for nothing. */
static bool was_spent_on(const struct track *track, const struct region *region,
			 unsigned int page, const struct look *look)
{
	if (pagemask_test(&region->failed, page))
		return !pagemask_test(&region->rejected, page);
	return !pagemask_test(&region->merged, page) &&
	       pagemask_test(&region->duplicate, page) &&
	       pagemask_test(&look->mergeable, page) &&
	       track->n_pulses > region->pulse;
}

/* Store the checksum set of this look; what is gone is forgotten. */
static int crcs_replace(struct track *track, uint32_t number,
			const struct look *look, struct look_result *result)
{
	struct region *region = region_of(track, number);
	_cleanup_free_ uint32_t *crc = NULL;
	struct pagemask known = { 0 };
	unsigned int n = 0, rank = 0;
	bool room;

	crc = malloc(REGION_PAGES * sizeof(*crc));
	if (!crc)
		return -ENOMEM;
	room = has_room(track, region, look);
	for (unsigned int i = 0; i < REGION_PAGES; i++) {
		struct page_ref ref = { number, (uint16_t)i };
		bool had = pagemask_test(&region->known, i);
		uint32_t old = had ? region->crc[rank++] : 0;
		bool checked = pagemask_test(&look->checked, i) &&
			       (had || room);

		result->n_checked += checked;
		if (had && !pagemask_test(&look->present, i)) {
			page_forget(track, ref, old);
		} else if (checked || had) {
			result->n_new += !had;
			if (had && checked && look->crc[i] != old) {
				result->n_changed +=
					!pagemask_test(&region->merged, i);
				track->n_broken +=
					pagemask_test(&region->merged, i);
				result->n_broken +=
					pagemask_test(&region->merged, i);
				result->n_wasted += was_spent_on(track, region,
								 i, look);
				page_forget(track, ref, old);
			}
			crc[n++] = checked ? look->crc[i] : old;
			pagemask_set(&known, i);
		}
	}
	regions_set_known(&track->regions, region, &known, TAKE_PTR(crc), n);
	return 0;
}

static void merged_update(struct track *track, struct region *region,
			  const struct look *look)
{
	for (unsigned int w = 0; w < PAGEMASK_WORDS; w++) {
		uint64_t was = region->merged.words[w];
		uint64_t is = look->shared.words[w] & look->mergeable.words[w] &
			      region->known.words[w];

		track->n_broken += (uint64_t)__builtin_popcountll(
			was & ~is & look->present.words[w]);
		track->n_merged += (uint64_t)__builtin_popcountll(is);
		track->n_merged -= (uint64_t)__builtin_popcountll(was);
		region->merged.words[w] = is;
	}
}

int track_look(struct track *track, uint32_t number, const struct look *look,
	       struct look_result *ret)
{
	struct region *region = track->regions.table.v[number];
	struct look_result result = { 0 };
	int r = crcs_replace(track, number, look, &result);
	unsigned int rank = 0;

	if (r)
		return r;
	region->huge = look->huge;
	/* a look at a part says nothing of those to be tried again */
	region->retry &= pagemask_next(&look->skip, 0) < REGION_PAGES;
	for (unsigned int i = pagemask_next(&look->checked, 0);
	     i < REGION_PAGES; i = pagemask_next(&look->checked, i + 1))
		index_prefetch(track->index, track_key(region, look->crc[i]));
	merged_update(track, region, look);
	for (unsigned int i = pagemask_next(&region->known, 0);
	     i < REGION_PAGES; i = pagemask_next(&region->known, i + 1)) {
		uint32_t crc = region->crc[rank++];

		if (pagemask_test(&region->duplicate, i))
			duplicate_judge(track, region, i, look);
		if (!pagemask_test(&look->checked, i))
			continue;
		r = page_compare(track,
				 (struct page_ref){ number, (uint16_t)i }, crc,
				 look, &result);
		if (r)
			return r;
	}
	if (ret)
		*ret = result;
	return 0;
}

/* The candidates of @region that are in the slice. */
static struct pagemask slice_of(const struct region *region,
				const struct track_slice *slice)
{
	struct pagemask pages = region->candidate;

	for (unsigned int i = pagemask_next(&pages, 0);
	     slice->of > 1 && i < REGION_PAGES;
	     i = pagemask_next(&pages, i + 1))
		if (regions_crc(region, i) % slice->of != slice->number)
			pagemask_clear(&pages, i);
	return pages;
}

int track_take(struct track *track, const struct track_slice *slice,
	       struct track_queue *queue)
{
	uint64_t n_pages = 0;
	size_t out = 0, n = 0;
	int r = 0;

	for (; !r && n < track->queue.n && n_pages < slice->max_pages; n++) {
		uint32_t number = track->queue.v[n];
		struct region *region = track->regions.table.v[number];
		struct pagemask pages = slice_of(region, slice);
		unsigned int n_here = pagemask_count(&pages);

		if (n_here)
			r = vec_push(queue, ((struct track_candidates){
						    number, pages }));
		if (r)
			break;
		n_pages += n_here;
		for (unsigned int w = 0; w < PAGEMASK_WORDS; w++)
			region->candidate.words[w] &= ~pages.words[w];
		region->queued = pagemask_next(&region->candidate, 0) <
				 REGION_PAGES;
		if (region->queued)
			track->queue.v[out++] = number;
	}
	if (n)
		memmove(track->queue.v + out, track->queue.v + n,
			(track->queue.n - n) * sizeof(uint32_t));
	track->queue.n -= n - out;
	track->n_candidates -= n_pages;
	return r;
}

void track_confirm(struct track *track, struct page_ref ref)
{
	struct region *region = track->regions.table.v[ref.region];

	if (!region || !pagemask_test(&region->known, ref.page))
		return;
	index_mark_duplicate(track->index,
			     track_key(region, regions_crc(region, ref.page)));
	if (pagemask_test(&region->rejected, ref.page))
		pagemask_clear(&region->failed, ref.page);
	pagemask_clear(&region->rejected, ref.page);
	if (pagemask_test(&region->merged, ref.page))
		return;
	region->pulse = track->n_pulses;
	if (!pagemask_test(&region->duplicate, ref.page)) {
		pagemask_set(&region->duplicate, ref.page);
		track->n_duplicates++;
	}
}

void track_reject(struct track *track, struct page_ref ref)
{
	struct region *region = track->regions.table.v[ref.region];

	if (region && pagemask_test(&region->known, ref.page))
		pagemask_set(&region->rejected, ref.page);
}

void track_pulse_done(struct track *track)
{
	track->n_pulses++;
}

void track_round_done(struct track *track)
{
	index_age(track->index);
	if (++track->n_rounds % TRACK_FAILED_ROUNDS == 0)
		track_retry(track);
	track_succession_consider(track);
}

bool track_fit(struct track *track)
{
	return index_fit(track->index);
}

void track_counters(const struct track *track, struct track_counters *ret)
{
	*ret = (struct track_counters){
		.regions = track->regions.n,
		.pages = track->regions.n_pages,
		.candidates = track->n_candidates,
		.duplicates = track->n_duplicates,
		.merged = track->n_merged,
		.broken = track->n_broken,
		.regions_lost = track->n_regions_lost,
		.entries_lost = index_is_at_bound(track->index)
					? index_lost(track->index)
					: 0,
		.bytes = track->regions.bytes + index_bytes(track->index),
	};
}
