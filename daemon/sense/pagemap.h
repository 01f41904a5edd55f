/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pagemap - which pages are there, and on which frames
 *
 * Two questions: which 2 MiB regions of a mapping hold anonymous pages at all
 * (PAGEMAP_SCAN, 6.7; a plain walk of pagemap elsewhere), and, for one region,
 * the frame of each page. A page that is absent, swapped or a file's is never
 * touched by us, so nothing is faulted in.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ksmd-plus/types.h>

#include "kernel-api.h"
#include "vec.h"

struct process;
struct vma;

enum {
	PAGEMAP_GONE = 1, /* the mm has been torn down */
	PAGEMAP_SPARSE, /* too large and empty for the fallback; see below */
};

/* A region with anonymous pages present. */
struct pagemap_region {
	uint64_t base; /* address, multiple of REGION_BYTES */
	uint32_t present; /* pages of the mapping that are present in it */
	bool huge; /* in a transparent huge page; see pagemap_regions() */
};

struct pagemap_regions VEC(struct pagemap_region);

/*
 * Without PAGEMAP_SCAN an empty mapping costs about 2 ns per page: mappings
 * above this size of which less than 1/1024 is present are left out
 * (PAGEMAP_SPARSE) instead of being walked. 64 GiB take some 40 ms.
 */
#define PAGEMAP_WALK_MAX (64ULL << 30)

/*
 * Append the regions of the mapping @v to @regions in address order; a region
 * that is there already as the last element (two mappings meet in it) is
 * added to. @use_scan: kfeat's pagemap_scan, or false to force the fallback.
 *
 * Without PAGEMAP_SCAN a region is huge if smaps tells of huge pages in the
 * mapping and its 512 frames are one aligned block. That is so of every huge
 * page, and of few others; where frames are hidden it is of none.
 *
 * Return: 0, PAGEMAP_GONE, PAGEMAP_SPARSE or negative errno.
 */
int pagemap_regions(const struct process *process, const struct vma *v,
		    bool use_scan, struct pagemap_regions *regions);

/*
 * Read the REGION_PAGES entries of the region at @base.
 * Return: 0, PAGEMAP_GONE or negative errno.
 */
int pagemap_read(const struct process *process, uint64_t base,
		 uint64_t ret_entries[REGION_PAGES]);

/* Documentation/admin-guide/mm/pagemap.rst: the bits of one entry. */
static inline bool pagemap_is_anon(uint64_t entry)
{
	return (entry & (KAPI_PM_PRESENT | KAPI_PM_FILE)) == KAPI_PM_PRESENT;
}

/* Mapped once: neither forked nor merged with another. */
static inline bool pagemap_is_exclusive(uint64_t entry)
{
	return entry & KAPI_PM_EXCLUSIVE;
}

/* Frame number; 0 where the kernel hides it (no CAP_SYS_ADMIN). */
static inline uint64_t pagemap_pfn(uint64_t entry)
{
	return entry & KAPI_PM_PFN;
}
