/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages whose checksum is that of others and whose content is not.
 *
 * The index knows one page of each checksum. CRC-32C is no secret: whoever
 * knows what a page holds can make another with its checksum, and if that one
 * is in the index, pages with the true content meet it, and not each other.
 * So a page that was found alone in that way takes the other's place, where
 * its own twin will meet it; and all of them are settled again from time to
 * time, in one go, so that of any content at most one page stays out.
 *
 * They are marked by both "rejected" and "failed", which no page is otherwise
 * for long.
 */
#include <string.h>

#include "track-private.h"

static bool is_collided(const struct region *region, unsigned int page)
{
	return pagemask_test(&region->rejected, page) &&
	       pagemask_test(&region->failed, page);
}

/* Not what it seemed to be: a new twin of @ref shall not meet it first. */
static bool is_in_the_way(const struct region *region, unsigned int page,
			  uint32_t crc)
{
	return pagemask_test(&region->known, page) &&
	       pagemask_test(&region->rejected, page) &&
	       regions_crc(region, page) == crc;
}

void track_settled(struct track *track, struct page_ref ref, bool alone)
{
	struct region *region = track->regions.table.v[ref.region], *other;
	struct index_hit hit;
	uint32_t crc, key;
	int r;

	if (!region || !pagemask_test(&region->known, ref.page) ||
	    is_collided(region, ref.page))
		return;
	crc = regions_crc(region, ref.page);
	key = track_key(region, crc);
	if (crc == TRACK_CRC_ZERO_PAGE)
		return;
	r = index_put(track->index, key, ref, &hit);
	/* who stood for it has gone meanwhile: new twins shall find this one */
	if (r == INDEX_NEW && pagemask_test(&region->duplicate, ref.page))
		index_mark_duplicate(track->index, key);
	if (r != INDEX_FOUND)
		return;
	other = track->regions.table.v[hit.ref.region];
	if (is_in_the_way(other, hit.ref.page, crc)) {
		index_represent(track->index, key, ref);
		pagemask_set(&other->failed, hit.ref.page);
	} else if (!pagemask_test(&other->duplicate, hit.ref.page) &&
		   !pagemask_test(&other->merged, hit.ref.page)) {
		return; /* it has changed meanwhile */
	}
	if (alone)
		pagemask_set(&region->failed, ref.page);
}

void track_reject_all(struct track *track, uint32_t number, uint64_t base,
		      const struct pagemask *pages,
		      const uint32_t crc[REGION_PAGES])
{
	struct region *region = track_find(track, number)
					? track->regions.table.v[number]
					: NULL;

	if (!region || region->base != base)
		return;
	for (unsigned int i = pagemask_next(pages, 0); i < REGION_PAGES;
	     i = pagemask_next(pages, i + 1)) {
		struct page_ref ref = { number, (uint16_t)i };

		if (!pagemask_test(&region->known, i) ||
		    regions_crc(region, i) != crc[i])
			continue;
		/* it stands for this content no more, and so collides with
		 * nobody */
		index_remove(track->index, track_key(region, crc[i]), ref);
		pagemask_set(&region->rejected, i);
	}
}

/* Settle the collided pages of a region again. */
static void region_settle_again(struct track *track, struct region *region,
				uint32_t number)
{
	for (unsigned int i = pagemask_next(&region->rejected, 0);
	     i < REGION_PAGES; i = pagemask_next(&region->rejected, i + 1)) {
		if (!is_collided(region, i))
			continue;
		pagemask_clear(&region->rejected, i);
		pagemask_clear(&region->failed, i);
		/* without memory they wait for their next change */
		track_candidate_add(track,
				    (struct page_ref){ number, (uint16_t)i });
	}
}

void track_retry(struct track *track)
{
	static const struct pagemask none;

	for (size_t i = 0; i < track->regions.table.n; i++) {
		struct region *region = track->regions.table.v[i];

		if (!region || !memcmp(&region->failed, &none, sizeof(none)))
			continue;
		region_settle_again(track, region, (uint32_t)i);
		if (!memcmp(&region->failed, &none, sizeof(none)))
			continue;
		region->failed = none;
		region->retry = true;
	}
}
