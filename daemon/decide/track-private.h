/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * track-private - what track.c, which owns the pages, track-collided.c, which
 * tries some of them again, and track-succession.c, by which others are known
 * again, know of one another
 */
#pragma once

#include "track.h"

/* CRC-32C of a page of zeros: <checksum.h>, which decide does not know. */
#define TRACK_CRC_ZERO_PAGE 0x98f94189U

#define TRACK_NO_SUCCESSION SIZE_MAX

struct track {
	struct index *index;
	struct regions regions;
	struct region_numbers queue; /* with candidates, oldest first */
	uint64_t n_candidates;
	uint64_t n_duplicates;
	uint64_t n_merged;
	uint64_t n_broken;
	uint64_t n_regions_lost;
	uint32_t n_pulses;
	uint32_t n_rounds;
	uint64_t n_orphaned; /* contents that nobody may stand for any more */
	uint32_t succession_round; /* when the last succession began */
	size_t succession_at; /* its next region, or TRACK_NO_SUCCESSION */
	bool zero_pages;
};

/* Domains share the index: each sees the checksums through its own mask. */
static inline uint32_t track_key(const struct region *region, uint32_t crc)
{
	return crc ^ region->domain * 0x9E3779B1U;
}

/* A page of a region that there is becomes a candidate. 0 or -ENOMEM. */
int track_candidate_add(struct track *track, struct page_ref ref);

/* A round is done: begin a succession if one is worth it. */
void track_succession_consider(struct track *track);
