/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages whose representative has gone.
 *
 * The index knows one page of each content, and forgets it with its process,
 * or when it is written. Its twins lie at rest, are not read again, and would
 * never be met: of two equal guests one is started again, and nothing is merged
 * any more. So when enough contents have lost who stood for them, the stored
 * checksums of all pages are looked up once more, which reads no memory of
 * anybody, and who finds his place free takes it.
 *
 * Somebody new may have come in between and taken the place of a content that
 * is merged elsewhere: both are settled then.
 */
#include "track-private.h"

/*
 * A succession looks up all pages, at some 50 ns each; it is worth it for one
 * content of so many pages, or for any at every TRACK_FAILED_ROUNDS'th round.
 */
#define WORTH_PAGES 256U
/* With more pages it takes longer, and comes more rarely: a round is left out
 * for each 4 GiB, so that it takes 0.3 % of a CPU. */
#define ROUND_SHIFT 20

static bool is_due(const struct track *track)
{
	uint64_t pause = 1 + (track->regions.n_pages >> ROUND_SHIFT);

	if (!track->n_orphaned ||
	    track->n_rounds - track->succession_round < pause)
		return false;
	return track->n_orphaned >= track->regions.n_pages / WORTH_PAGES ||
	       track->n_rounds % TRACK_FAILED_ROUNDS == 0;
}

void track_succession_consider(struct track *track)
{
	if (!is_due(track))
		return;
	track->n_orphaned = 0;
	track->succession_round = track->n_rounds;
	track->succession_at = 0;
}

/* It has been found to be on two frames. */
static bool is_proven(const struct region *region, unsigned int page)
{
	return pagemask_test(&region->merged, page) ||
	       pagemask_test(&region->duplicate, page) ||
	       (pagemask_test(&region->failed, page) &&
		!pagemask_test(&region->rejected, page));
}

static void page_succeed(struct track *track, struct page_ref ref, uint32_t crc)
{
	const struct region *region = track->regions.table.v[ref.region];
	uint32_t key = track_key(region, crc);
	bool proven = is_proven(region, ref.page);
	struct index_hit hit;

	if (crc == TRACK_CRC_ZERO_PAGE)
		return;
	if (index_get(track->index, key, &hit) != INDEX_FOUND) {
		/* what may be unique displaces nobody */
		if (!proven && index_is_at_bound(track->index))
			return;
		index_put(track->index, key, ref, &hit);
		if (proven)
			index_mark_duplicate(track->index, key);
		return;
	}
	if (!proven ||
	    is_proven(track->regions.table.v[hit.ref.region], hit.ref.page))
		return;
	/* without memory they wait for their next change */
	if (track_candidate_add(track, ref) == 0)
		track_candidate_add(track, hit.ref);
}

static void region_succeed(struct track *track, uint32_t number)
{
	const struct region *region = track->regions.table.v[number];
	unsigned int n = pagemask_count(&region->known), rank = 0;

	for (unsigned int i = 0; i < n; i++)
		index_prefetch(track->index, track_key(region, region->crc[i]));
	for (unsigned int i = pagemask_next(&region->known, 0);
	     i < REGION_PAGES; i = pagemask_next(&region->known, i + 1))
		page_succeed(track, (struct page_ref){ number, (uint16_t)i },
			     region->crc[rank++]);
}

bool track_succeed(struct track *track, unsigned int n_regions)
{
	for (; n_regions && track->succession_at < track->regions.table.n;
	     n_regions--, track->succession_at++)
		if (track->regions.table.v[track->succession_at])
			region_succeed(track, (uint32_t)track->succession_at);
	if (track->succession_at < track->regions.table.n)
		return true;
	track->succession_at = TRACK_NO_SUCCESSION;
	return false;
}
