/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksm - the kernel's own counters, /sys/kernel/mm/ksm
 *
 * They, and those of each process (process_ksm_read()), are on every kernel
 * and cost nothing between two looks. The tracepoints of ksmd (ksm:*, since
 * 6.3) are not used: they tell of each merged page while it is merged, which
 * would make a merge dearer for sums that stand here already, and no
 * tracepoint tells of a page that a write has parted again.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include <ksmd-plus/account.h>
#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "files.h"

#define KSM_DIR "kernel/mm/ksm"

struct ksm_counters {
	uint64_t run;
	uint64_t pages_shared;
	uint64_t pages_sharing; /* pages saved by merging */
	uint64_t pages_unshared;
	uint64_t pages_volatile;
	uint64_t full_scans;
	uint64_t pages_scanned; /* 0 before 6.6 */
	/* Pages saved by the zero page; 6.6. The kernel's count can be too low,
	 * and below zero: 6.18 was seen at -1 with nothing merged. */
	int64_t ksm_zero_pages;
};

/* 0 or negative errno: -ENOENT where the kernel has no KSM. */
int ksm_read(const struct root *root, struct ksm_counters *ret);

/* Pages that need no frame of their own now, as the kernel counts them: its
 * changes are right, it may be below zero itself. */
static inline int64_t ksm_balance(const struct ksm_counters *c)
{
	return (int64_t)c->pages_sharing + c->ksm_zero_pages;
}

/* Those of them that are zero pages, and all. */
static inline uint64_t ksm_zero_saved(const struct ksm_counters *c)
{
	return (uint64_t)MAX(c->ksm_zero_pages, (int64_t)0);
}

static inline uint64_t ksm_saved(const struct ksm_counters *c)
{
	return c->pages_sharing + ksm_zero_saved(c);
}

/* Records (rmap items) that ksmd keeps, one for each page that it looks at. */
static inline uint64_t ksm_records(const struct ksm_counters *c)
{
	return c->pages_shared + c->pages_sharing + c->pages_unshared +
	       c->pages_volatile;
}

/* The kernel's general_profit in bytes, which may be negative; before 6.4
 * computed from @counters. */
int64_t ksm_profit(const struct root *root,
		   const struct ksm_counters *counters);

/* Merged pages that were copied since boot because somebody wrote to them or
 * pinned them (cow_ksm of vmstat); 0 where the kernel does not tell. */
uint64_t ksm_copied(const struct root *root);

/* Pages that one copy may be shared by: max_page_sharing, or its default where
 * it cannot be read. */
uint64_t ksm_max_sharing(const struct root *root);

/* The pid of the kernel thread ksmd, or 0 if there is none in sight. */
pid_t ksm_find_ksmd(const struct root *root);
