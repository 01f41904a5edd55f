/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sampled - what merging would free, from a survey of a share of the frames
 *
 * What ranges it takes cannot be known from a sample: twins stand beside one
 * another. So all twins count here, also those that would cost more than they
 * save, and the low end of the interval is lowered by as many as the planner
 * can leave at most: below PLAN_HUGE_PAGES of a huge page, one page in
 * PAGE_BYTES / PLAN_PAGE_COST of a process that may have more runs of them
 * than ranges, and all of one with more mappings than ranges. What registered
 * itself takes no range.
 */
#pragma once

#include <stdint.h>

#include "cleanup.h"
#include "estimate.h"
#include "planning.h"

struct survey;

/* Frames of one process: best guesses. */
struct sampled_process {
	double saved;
	double zero;
	uint64_t n_twins; /* met */
	uint64_t n_zeros; /* met */
};

struct sampled {
	struct estimate_interval saved; /* zeros among them */
	struct estimate_interval zeros;
	double left; /* by which the low end was lowered */
	uint64_t n_volatile; /* met, with twins, and changed meanwhile */
	struct sampled_process *processes; /* as in the survey */
};

/* 0 or -ENOMEM. */
int sampled_make(const struct survey *survey,
		 const struct planning_limits *limits, struct sampled **ret);
struct sampled *sampled_free(struct sampled *sampled);
DEFINE_CLEANUP(struct sampled, sampled_free)
