/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forecast - from pages that were read to what merging would free
 *
 * One record of 12 bytes for each frame that was read; a frame that several
 * addresses share is recorded once, by the first. Records are sorted by what
 * the page held, so that equal pages are neighbours; what else is known of a
 * page is a bit in its region's marks, which only regions with candidates
 * have.
 *
 * Counted as the daemon promises (settle.h): of n equal frames, n - 1 are
 * freed, all n where a merged copy is there already, one less for every
 * max_page_sharing; of frames of zeros all, if they go to the zero page.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagemask.h"

/* Of frames that hold nothing but zeros; no other page's key. */
#define FORECAST_ZERO 0ULL

/* Pages are numbered region by region. */
#define FORECAST_MAX_REGIONS (UINT32_MAX / REGION_PAGES)

struct forecast_record {
	uint32_t high, low; /* of the key: content and domain */
	uint32_t page;
};

struct forecast_marks {
	struct pagemask merged; /* on a KSM frame */
	struct pagemask twin; /* another frame is equal, or it is all zero */
	struct pagemask gone; /* changed since it was read */
	struct pagemask covered; /* in a range that is or would be mergeable */
};

/* Regions of one process follow one another. */
struct forecast_region {
	uint64_t base;
	uint32_t owner; /* the caller's number of the process */
	bool huge;
	struct forecast_marks *marks; /* owned by the caller; NULL: none */
};

struct forecast {
	struct forecast_record *records;
	size_t n;
	struct forecast_region *regions;
	size_t n_regions;
	uint64_t max_sharing;
	bool zero_pages; /* frames of zeros go to the zero page */
};

/* In frames; of one process, or in total. */
struct forecast_counts {
	double saved; /* shares in groups are fractions */
	uint64_t zero; /* of zeros, and would be freed */
	uint64_t
		inside; /* would be freed were each process alone; zeros apart */
	uint64_t gone; /* had a twin, and changed while one looked */
	uint64_t left; /* have a twin, and are not worth a range */
	uint64_t merging; /* would be looked at by ksmd and merged */
};

/* The key and the page's number as a record. */
struct forecast_record forecast_record(uint64_t key, uint32_t region,
				       unsigned int page);
uint64_t forecast_key(const struct forecast_record *record);

/*
 * Sort in two steps, so that the second can be done by several threads: parts
 * [ret_ends[i - 1], ret_ends[i]) are sorted each by itself, in place.
 */
#define FORECAST_PARTS 256
void forecast_split(struct forecast_record *records, size_t n,
		    size_t ret_ends[FORECAST_PARTS]);
void forecast_sort(struct forecast_record *records, size_t n);

/* Whether @record is among the @n sorted ones. */
bool forecast_has(const struct forecast_record *records, size_t n,
		  const struct forecast_record *record);

/*
 * Set .twin anew, of sorted records; what is gone has and is none. Regions get
 * marks as they need them. *ret_twins: how many.
 * Return: 0 or -ENOMEM.
 */
int forecast_mark(struct forecast *forecast, uint64_t *ret_twins);

/* Marks for @region if it has none. 0 or -ENOMEM. */
int forecast_marks_need(struct forecast_region *region);

/* A content of sorted records; what has changed since is left out. */
struct forecast_group {
	size_t from, to; /* records */
	bool zero;
	uint64_t n_new, n_merged; /* frames; merged: by KSM */
};

/* The group behind @group, or from all zero the first. False: no more. */
bool forecast_next(const struct forecast *forecast,
		   struct forecast_group *group);

/* Whether record @i is neither gone nor merged, and whose it is. */
bool forecast_is_new(const struct forecast *forecast, size_t i,
		     uint32_t *ret_owner);

/* Count. @owners: one for each process, all zero. */
void forecast_count(const struct forecast *forecast,
		    struct forecast_counts *owners,
		    struct forecast_counts *ret_total);

/*
 * Who shares with whom: add to @matrix[a * n + b], a < b, the contents that
 * are to be merged and that both @a and @b hold; a and b are places[owner], or
 * below 0 for owners that are left out. Zeros are nobody's.
 */
void forecast_pairs(const struct forecast *forecast, const int *places,
		    size_t n, uint64_t *matrix);
