/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * planning - hands one process to the planner
 *
 * Collects what the planner wants to know, duplicates by region and mappings
 * from the last look at smaps, and returns the ranges to enrol. The daemon and
 * the forecast of ksmd-plusctl plan come through here alike.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pagemask.h"
#include "planner.h"

struct config;
struct kfeat;
struct vmas;

/* What was found in one region. */
struct planning_region {
	uint64_t base;
	bool huge; /* it lies in a transparent huge page */
	const struct pagemask *duplicate;
};

/* One process. */
struct planning_process {
	const struct vmas *vmas;
	size_t n_mappings; /* all, for the distance to max_map_count */
	size_t n_regions;
	/* The @i-th region in address order. */
	struct planning_region (*region)(const void *userdata, size_t i);
	const void *userdata;
};

struct planning_limits {
	uint32_t max_ranges;
	uint32_t max_ptes_shared; /* 0: no huge pages here */
	uint64_t max_map_count;
};

struct planning_limits planning_limits_of(const struct config *config,
					  const struct kfeat *kfeat);

/*
 * Append to @ret the new ranges for @process, those first that join others.
 * *ret_wanted: duplicates that are in no mergeable mapping yet, whether in the
 * ranges or not, but for those that are held back.
 * Return: 0 or -ENOMEM.
 */
int planning_ranges(const struct planning_process *process,
		    const struct planning_limits *limits, struct ranges *ret,
		    uint64_t *ret_wanted);

/* The duplicates of a region are too few for the huge page they lie in. */
bool planning_is_held(bool huge, const struct pagemask *duplicate);
