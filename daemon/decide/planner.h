/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * planner - duplicate pages -> the ranges to make mergeable
 *
 * Costs, from facts 1.6 and 2.3 (bytes of kernel memory; the first two are
 * sizeof() in Linux 6.1 to 6.18):
 *	64  per present page in a mergeable range (struct ksm_rmap_item)
 *	192 per VMA; an isolated range makes two more of them
 *	  + about 64 for their places in the maple tree
 * A page that merges gives 4096 back. So a gap of up to PLAN_GAP_PAGES is
 * cheaper filled than split, and a range must hold more than one duplicate in
 * 64 pages. Where that still leaves more ranges than allowed, the smallest
 * gaps are filled first: with a given number of ranges, no other choice
 * enrols fewer pages that are no duplicates. Of what becomes one new range
 * that way, the part that gives most is kept.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ksmd-plus/types.h>

#include "vec.h"

#define PLAN_PAGE_COST	64U
#define PLAN_RANGE_COST (2U * 192U + 64U)
#define PLAN_GAP_PAGES	(PLAN_RANGE_COST / PLAN_PAGE_COST)
/* No longer gap is ever filled, present or not: whoever un-marks it looks at
 * each of its pages, 60 ns each (mm/ksm.c, break_ksm(); measured on 6.18). */
#define PLAN_GAP_MAX_PAGES 16384U

/*
 * A huge page is split before one of its pages merges, and stays split where
 * our mark ends inside of it, since khugepaged collapses only what one mapping
 * covers. It is given up for an eighth of it; for less, faster memory counts
 * more. (ksmd alone splits it for a single page.)
 */
#define PLAN_HUGE_PAGES 64U

/* A run of pages that are all wanted, or are mergeable already. */
struct plan_run {
	uint64_t start;
	uint64_t end;
	bool enrolled; /* mergeable already: costs and gives nothing more */
};

struct plan_runs VEC(struct plan_run);
struct ranges VEC(struct range);

struct plan_limits {
	uint32_t max_ranges; /* separate mergeable ranges in the process */
	/* merged pages of a region below which khugepaged takes them back;
	 * facts 2.6. 0: no transparent huge pages here */
	uint32_t max_ptes_shared;
};

/*
 * Plan for one process. @runs: in address order, not overlapping.
 * @mappings: what may be marked, in address order; adjacent ones have been
 * joined. @collapsible: parts of them where khugepaged is at work, likewise.
 *
 * Appends to @ret the new ranges, in address order, without what is enrolled.
 * Return: 0 or -ENOMEM.
 */
int planner_plan(const struct plan_runs *runs, const struct ranges *mappings,
		 const struct ranges *collapsible,
		 const struct plan_limits *limits, struct ranges *ret);

/* A process that has so much of vm.max_map_count gets no new range: it may
 * want the rest itself, at once. */
#define PLAN_RESERVED_PART 16U

/* How many mappings that leaves. */
uint64_t planner_usable(uint64_t max_map_count);

/*
 * How many ranges a process may have: @max_ranges, and no more new mappings
 * (two per range) than 5 % of what is left of @max_map_count without the
 * reserve.
 */
uint32_t planner_max_ranges(uint32_t max_ranges, uint32_t n_enrolled,
			    uint64_t n_mappings, uint64_t max_map_count);
