/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * types - the vocabulary that all parts share
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * KSM works on base pages. Only 4 KiB ones are supported: the daemon checks
 * sysconf(_SC_PAGESIZE) when it starts and refuses anything else.
 */
#define PAGE_BYTES 4096ULL
#define PAGE_BITS  12

/*
 * The unit of sampling, reading and of the huge-page rule: one page-table
 * page, which is also one transparent huge page on x86-64 and arm64.
 */
#define REGION_BYTES (2ULL << 20)
#define REGION_PAGES 512U

/* Addresses [start, end) of one process, multiples of PAGE_BYTES. */
struct range {
	uint64_t start;
	uint64_t end;
};

/*
 * A process as long as it lives: pids are reused, so nothing is ever done to
 * a pid whose start time (field 22 of /proc/PID/stat, clock ticks) is another.
 */
struct process_id {
	int32_t pid;
	uint64_t start_time;
};

/* What may be done to a process (design section 6). */
enum mode {
	MODE_EXCLUDE, /* never touched, never read */
	MODE_OBSERVE, /* checksummed and reported, nothing is changed */
	MODE_MANAGED, /* its own registrations are read; only ksmd is steered */
	MODE_SELECTIVE, /* ranges with evidence are made mergeable */
	MODE_WHOLE, /* PR_SET_MEMORY_MERGE on the process */
	MODE_MAX_,
};
