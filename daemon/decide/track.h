/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * track - what is known of each page, and which look like duplicates
 *
 * Owns the regions, their checksums, the index, and the queue of regions with
 * candidates. A worker's look at a region goes in; candidates for the settle
 * stage come out; what settle and the pulses found goes in again.
 *
 * The life of a page:
 *	unknown -> known: its checksum is stored
 *	known -> candidate: another page had the same checksum
 *	candidate -> duplicate: settle found both equal and on two frames
 *	candidate -> rejected: it did not; not tried again with this content,
 *		     until other pages prove that the content is duplicate
 *	rejected -> collided: another page has its checksum, but not its
 *		     content; settled again every TRACK_FAILED_ROUNDS rounds
 *	duplicate -> merged: seen on a shared frame in a mergeable mapping
 *	duplicate -> failed: a pulse passed without; not tried again with this
 *		     content for TRACK_FAILED_ROUNDS rounds
 *
 * Memory: 4 bytes per page, and 448 per region (under 4.9 per page where
 * regions are dense), beside the index. Past @max_bytes no new region is
 * taken, nor are new pages of those that are there; each time that something
 * is left out is counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ksmd-plus/types.h>

#include "index.h"
#include "pagemask.h"
#include "regions.h"
#include "sampler.h"
#include "vec.h"

struct track;

/* What a worker saw of one region. */
struct look {
	struct pagemask skip; /* in: need not be read */
	struct pagemask paired; /* in: expected to equal another page */
	struct pagemask present; /* anonymous, in a mapping we may touch */
	struct pagemask shared; /* ... mapped more than once */
	struct pagemask mergeable; /* ... in a mergeable mapping */
	struct pagemask checked; /* crc[] is valid */
	struct pagemask alias; /* ... known from the same frame elsewhere */
	bool huge; /* in a transparent huge page */
	uint32_t crc[REGION_PAGES];
};

struct track_counters {
	uint64_t regions;
	uint64_t pages; /* known */
	uint64_t candidates;
	uint64_t duplicates; /* settled and not merged yet */
	uint64_t merged; /* seen merged at the last look */
	uint64_t broken; /* were merged and are no more; since start */
	uint64_t regions_lost; /* not taken, or not whole, for want of memory */
	uint64_t entries_lost; /* of an index at its bound, since start */
	uint64_t bytes; /* of regions and index */
};

/* A candidate region for the settle stage. */
struct track_candidates {
	uint32_t region;
	struct pagemask pages;
};

struct track_queue VEC(struct track_candidates);

/* What track_round_done() stands for, and how many of them it takes until a
 * page that no pulse could merge, or that has collided, is tried again. */
#define TRACK_ROUND_USEC    16000000ULL
#define TRACK_FAILED_ROUNDS 16

/* @seed keys the index; @zero_pages: all-zero pages are candidates too. */
int track_new(uint64_t max_bytes, uint64_t seed, bool zero_pages,
	      struct track **ret);
struct track *track_free(struct track *track);

/*
 * A new region of @owner. Return: 0 with its number in *ret, 1 if the bound
 * is reached, or -ENOMEM.
 */
int track_region_add(struct track *track, uint64_t base, uint32_t owner,
		     uint32_t domain, uint32_t *ret);

/* How many more regions there is room for. */
uint64_t track_room(const struct track *track);

/* Nothing of the region is merged, or may soon be: little is lost with it. */
bool track_is_barren(const struct track *track, uint32_t region);

/* Forget a region with all its pages. */
void track_region_remove(struct track *track, uint32_t region);

/* The region's record, valid until it is removed; one that must exist. */
const struct region *track_region(const struct track *track, uint32_t region);

/* The same for a number that may be free by now: NULL then. */
const struct region *track_find(const struct track *track, uint32_t region);

/*
 * Take in what a worker saw, and say in @ret (may be NULL) what it was.
 * 0; or -ENOMEM, then the region is unchanged, or some twins were passed over.
 */
int track_look(struct track *track, uint32_t region, const struct look *look,
	       struct look_result *ret);

/* Some of the candidates. Equal pages are always in the same slice. */
struct track_slice {
	uint32_t number; /* below .of */
	uint32_t of;
	uint64_t max_pages; /* about */
};

/*
 * Move the candidates of @slice into @queue, oldest regions first. 0 or
 * -ENOMEM (some may have been moved).
 */
int track_take(struct track *track, const struct track_slice *slice,
	       struct track_queue *queue);

/* The settle stage's verdicts on one page. */
void track_confirm(struct track *track, struct page_ref ref);
void track_reject(struct track *track, struct page_ref ref);

/* ... and once all of a settling have theirs, this for each page. @alone: it
 * was rejected, and no other that was looked at had its content. */
void track_settled(struct track *track, struct page_ref ref, bool alone);

/* Reject what has changed between the two looks: @pages of the region that was
 * at @base, if it still is, and if they are still thought to be what they were
 * at the first one, @crc. */
void track_reject_all(struct track *track, uint32_t region, uint64_t base,
		      const struct pagemask *pages,
		      const uint32_t crc[REGION_PAGES]);

/* A pulse was completed; or a while has passed (TRACK_ROUND_USEC). */
void track_pulse_done(struct track *track);
void track_round_done(struct track *track);

/* An operator asks: pages that no pulse could merge, and those with another's
 * checksum, are tried again now. */
void track_retry(struct track *track);

/*
 * Where representatives have gone, with their process or with what they held,
 * twins of theirs take their places; in up to @n_regions regions, for each of
 * which all checksums are looked up. True if there are more.
 */
bool track_succeed(struct track *track, unsigned int n_regions);

/* Give back memory that was needed for more pages than there are now. True if
 * there was some. */
bool track_fit(struct track *track);

void track_counters(const struct track *track, struct track_counters *ret);
