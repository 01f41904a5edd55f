/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evidence - what is known of a watched process, for planning
 *
 * Joins struct watched, which knows the regions, with struct track, which
 * knows the duplicates in them.
 */
#pragma once

#include <stdint.h>

#include "planning.h"

struct track;
struct watched;

/* planning_ranges() for @watched. */
int evidence_ranges(const struct track *track, const struct watched *watched,
		    const struct planning_limits *limits, struct ranges *ret,
		    uint64_t *ret_wanted);

/* Add the duplicates of @watched that wait to be merged, and those of them that
 * lie in mergeable mappings. */
void evidence_covered(const struct track *track, const struct watched *watched,
		      uint64_t *n_all, uint64_t *n_covered);
