/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spare - room for mappings in a process that may soon want it itself
 *
 * Each isolated range that is marked makes two mappings more, of
 * vm.max_map_count. The daemon plans with the number that it saw when it read
 * the process; this is asked for when the target is about to be held, since a
 * program that maps memory by the thousand may have come far since. A part of
 * all is never touched: for want of it mmap() would fail in the target.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct root;

/* This part of vm.max_map_count is the target's alone. The planner leaves
 * twice as much, so that it does not want what is then refused. */
#define SPARE_PART 32U

struct spare {
	uint64_t n; /* mappings when they were counted last; 0: never */
	uint64_t max; /* vm.max_map_count; 0: not known */
};

/*
 * Whether the process whose /proc/PID is @dir may get @more mappings. Counts
 * again only where the last count in @spare, all zero at first, is so high that
 * it may matter. Where nothing can be counted the kernel's own limit must do.
 */
bool spare_has(struct spare *spare, const struct root *root, int dir,
	       uint64_t more);
