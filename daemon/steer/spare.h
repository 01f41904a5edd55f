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

/* This part of vm.max_map_count is the target's alone; and of what is left
 * without twice as much we take this part at most, as the planner does (see
 * planner_max_ranges()), who may have seen far fewer mappings. */
#define SPARE_PART  32U
#define SPARE_SHARE 20U

/* Counting 60,000 mappings takes 25 ms: of all time it shall be this part. */
#define SPARE_COUNT_PART 20U

struct spare {
	uint64_t n; /* mappings, as far as is known; 0: never counted */
	uint64_t added; /* of these, by us; what has gone was ours */
	uint64_t max; /* vm.max_map_count; 0: not known */
	uint64_t again_nsec; /* CLOCK_MONOTONIC: not counted again before */
};

/*
 * Whether the process whose /proc/PID is @dir may get @more mappings. Counts
 * again, for @spare that is all zero at first, but not too soon: who marks tells
 * it. With less than half of them in use there are enough. Where nothing can be
 * counted the kernel's own limit must do.
 */
bool spare_has(struct spare *spare, const struct root *root, int dir,
	       uint64_t more);

/* It has got so many of us. Who takes them back is another injector mostly:
 * that is seen when they are counted. */
void spare_take(struct spare *spare, uint64_t n);
