/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pagemap.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "files.h"
#include "kernel-api.h"
#include "process.h"
#include "vmas.h"

/* Results of one PAGEMAP_SCAN; the kernel holds the mmap lock per buffer. */
#define SCAN_VEC 512

/* Add @n pages of the region that holds @address. */
static int region_add(struct pagemap_regions *regions, uint64_t address,
		      uint32_t n, bool huge)
{
	uint64_t base = address & ~(REGION_BYTES - 1);
	struct pagemap_region *last;

	if (regions->n && regions->v[regions->n - 1].base == base) {
		last = &regions->v[regions->n - 1];
		last->present += n;
		last->huge |= huge;
		return 0;
	}
	return vec_push(regions, ((struct pagemap_region){ base, n, huge }));
}

/* Cut the run [@start, @end) of present pages into regions. */
static int run_add(struct pagemap_regions *regions, uint64_t start,
		   uint64_t end, bool huge)
{
	while (start < end) {
		uint64_t next = (start & ~(REGION_BYTES - 1)) + REGION_BYTES;
		uint64_t stop = MIN(next, end);
		uint32_t n = (uint32_t)((stop - start) / PAGE_BYTES);
		int r = region_add(regions, start, n, huge);

		if (r)
			return r;
		start = stop;
	}
	return 0;
}

static int regions_by_scan(int fd, const struct vma *v,
			   struct pagemap_regions *regions)
{
	struct kapi_page_region found[SCAN_VEC];
	struct kapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.end = v->end,
		.vec = (uintptr_t)found,
		.vec_len = SCAN_VEC,
		/* present, and neither a file's, swapped nor the zero page */
		.category_mask = KAPI_PAGE_IS_PRESENT | KAPI_PAGE_IS_FILE |
				 KAPI_PAGE_IS_PFNZERO,
		.category_inverted = KAPI_PAGE_IS_FILE | KAPI_PAGE_IS_PFNZERO,
		.return_mask = KAPI_PAGE_IS_HUGE,
	};

	for (uint64_t at = v->start; at < v->end; at = arg.walk_end) {
		int n;

		arg.start = at;
		n = ioctl(fd, KAPI_PAGEMAP_SCAN, &arg);
		if (n < 0)
			return errno == ESRCH ? PAGEMAP_GONE : -errno;
		for (int i = 0; i < n; i++) {
			bool huge = found[i].categories & KAPI_PAGE_IS_HUGE;
			int r = run_add(regions, found[i].start, found[i].end,
					huge);

			if (r)
				return r;
		}
		if (arg.walk_end <= at)
			return PAGEMAP_GONE; /* no progress: no mm */
	}
	return 0;
}

/* All present: on one block of frames, as a huge page is. */
static bool is_block(const uint64_t entries[REGION_PAGES])
{
	uint64_t first = pagemap_pfn(entries[0]);

	if (!first || first % REGION_PAGES)
		return false;
	for (size_t i = 0; i < REGION_PAGES; i++) {
		if (pagemap_pfn(entries[i]) != first + i)
			return false;
	}
	return true;
}

static int regions_by_walk(int fd, const struct vma *v,
			   struct pagemap_regions *regions)
{
	uint64_t entries[REGION_PAGES];

	for (uint64_t at = v->start; at < v->end;) {
		uint64_t next = (at & ~(REGION_BYTES - 1)) + REGION_BYTES;
		size_t n = (MIN(next, v->end) - at) / PAGE_BYTES;
		uint32_t present = 0;
		int r = fd_pread_full(fd, entries, n * sizeof(entries[0]),
				      (off_t)(at / PAGE_BYTES * 8));

		if (r)
			return r == -ENODATA ? PAGEMAP_GONE : r;
		for (size_t i = 0; i < n; i++)
			present += pagemap_is_anon(entries[i]);
		if (present) {
			r = region_add(regions, at, present,
				       v->huge && present == REGION_PAGES &&
					       is_block(entries));
			if (r)
				return r;
		}
		at += n * PAGE_BYTES;
	}
	return 0;
}

int pagemap_regions(const struct process *process, const struct vma *v,
		    bool use_scan, struct pagemap_regions *regions)
{
	uint64_t size = v->end - v->start;

	if (use_scan)
		return regions_by_scan(process->pagemap, v, regions);
	if (size > PAGEMAP_WALK_MAX && v->rss < size / 1024)
		return PAGEMAP_SPARSE;
	return regions_by_walk(process->pagemap, v, regions);
}

int pagemap_read(const struct process *process, uint64_t base,
		 uint64_t ret_entries[REGION_PAGES])
{
	int r = fd_pread_full(process->pagemap, ret_entries,
			      REGION_PAGES * sizeof(ret_entries[0]),
			      (off_t)(base / PAGE_BYTES * 8));

	return r == -ENODATA || r == -ESRCH ? PAGEMAP_GONE : r;
}
