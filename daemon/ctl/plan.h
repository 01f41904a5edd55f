/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan - what the daemon would make of a survey: savings and costs
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "forecast.h"
#include "planning.h"

struct survey;

/* So many processes, those that save most, are compared in pairs. */
#define PLAN_PAIRS_MAX 32U

struct plan_costs {
	uint64_t ranges; /* that would be made mergeable */
	uint64_t splits; /* mappings that there would be more */
	uint64_t huge_pages; /* that would be split */
	uint64_t bytes; /* of kernel memory */
};

struct plan {
	size_t n; /* processes, as in the survey */
	struct forecast_counts *counts; /* of each */
	struct plan_costs *costs;
	struct forecast_counts total;
	struct plan_costs total_costs;
	size_t n_pairs; /* processes that are compared, */
	uint32_t by_saved[PLAN_PAIRS_MAX]; /* their numbers; most first */
	uint64_t *pairs; /* [a * n_pairs + b], a < b: contents in both */
};

/* 0 or -ENOMEM. */
int plan_make(struct survey *survey, const struct planning_limits *limits,
	      struct plan **ret);
struct plan *plan_free(struct plan *plan);
DEFINE_CLEANUP(struct plan, plan_free)

/* What both of two compared processes hold, by their places in by_saved. */
uint64_t plan_pair(const struct plan *plan, size_t a, size_t b);
