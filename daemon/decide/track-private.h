/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * track-private - what track.c, which owns the pages, and track-collided.c,
 * which tries some of them again, know of one another
 */
#pragma once

#include "track.h"

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
	bool zero_pages;
};

/* Domains share the index: each sees the checksums through its own mask. */
static inline uint32_t track_key(const struct region *region, uint32_t crc)
{
	return crc ^ region->domain * 0x9E3779B1U;
}

/* A page of a region that there is becomes a candidate. 0 or -ENOMEM. */
int track_candidate_add(struct track *track, struct page_ref ref);
