/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * planning - hands one process to the planner
 *
 * Collects what the planner wants to know (duplicates from struct track,
 * mappings from the last look at smaps) and returns the ranges to enrol.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "planner.h"

struct region;
struct track;
struct watched;

struct planning_limits {
	uint32_t max_ranges;
	uint32_t max_ptes_shared; /* 0: no huge pages here */
	uint64_t max_map_count;
};

/*
 * Append to @ret the new ranges for @watched, those first that join others.
 * *ret_wanted: duplicates that are in no mergeable mapping yet, whether in the
 * ranges or not, but for those that are held back.
 * Return: 0 or -ENOMEM.
 */
int planning_ranges(const struct track *track, const struct watched *watched,
		    const struct planning_limits *limits, struct ranges *ret,
		    uint64_t *ret_wanted);

/* Its duplicates are too few for the huge page they lie in. */
bool planning_is_held(const struct region *region);

/* Add the duplicates of @watched that wait to be merged, and those of them that
 * lie in mergeable mappings. */
void planning_covered(const struct track *track, const struct watched *watched,
		      uint64_t *n_all, uint64_t *n_covered);
