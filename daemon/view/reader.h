/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader - what a worker does with one region
 *
 * Joins sense and checksum: pagemap says what is there, vmread copies what
 * has to be looked at, an engine turns it into checksums. Nothing here is
 * kept but checksums, and nothing changes anything outside the daemon.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "checksum.h"
#include "pagemap.h"
#include "pagemask.h"
#include "process.h"
#include "settle.h"
#include "track.h"
#include "vmas.h"
#include "worker.h"

struct pfnset;

/* Shared by all workers; does not change while they run. */
struct reader {
	struct strong_key key;
	struct pfnset *seen; /* frames of this round */
	bool pagemap_scan;
};

enum {
	READER_GONE = 1, /* the process has exited or exec'ed */
};

/* The mappings of a process and where pages are present in them. */
struct reader_map {
	struct vmas vmas;
	struct pagemap_regions regions;
	size_t n_mappings; /* all, also those that are left alone */
	uint64_t sparse; /* mappings left out: PAGEMAP_SPARSE */
};

/* @smaps: what vmas_open() has opened. @only_mergeable: leave out what the process did not register itself.
 * 0, READER_GONE or negative errno; @ret is to be cleared in any case. */
int reader_map(const struct reader *reader, const struct process *process,
	       int smaps, bool only_mergeable, struct reader_map *ret);
void reader_map_clear(struct reader_map *map);

/* The pages of the region at @base that lie in @vmas. */
void reader_masks(const struct vmas *vmas, uint64_t base,
		  struct pagemask *ret_eligible,
		  struct pagemask *ret_mergeable);

/* Whether @address lies in a mergeable one of @vmas. */
bool reader_is_mergeable(const struct vmas *vmas, uint64_t address);

/*
 * Look at a region. In: look->present is what may be looked at,
 * look->mergeable what is mergeable, look->skip what need not be read, @merged
 * what was merged when last seen and is not read again if its frame is still
 * shared. Out: the rest of @look.
 */
int reader_look(const struct reader *reader, const struct process *process,
		uint64_t base, const struct pagemask *merged,
		struct worker *worker, struct look *look);

/*
 * Copy the pages of @mask, a block of CHECKSUM_BLOCK_PAGES that begins at
 * @base, to @area. *@mask loses what could not be read. 0, a positive value
 * where the process has gone, or negative errno.
 */
int reader_block(const struct process *process, uint64_t base, uint64_t *mask,
		 unsigned char *area);

/* Candidates of one region, for the second look. */
struct reader_settle {
	struct pagemask pages; /* in: candidates; out: those that still count */
	struct pagemask changed; /* out: those that are not what they were */
	struct pagemask mergeable;
	uint32_t crc[REGION_PAGES]; /* what they were at the first look */
	uint64_t hash[REGION_PAGES];
	uint64_t pfn[REGION_PAGES];
	struct pagemask zero;
	struct pagemask shared;
};

int reader_settle(const struct reader *reader, const struct process *process,
		  uint64_t base, struct worker *worker,
		  struct reader_settle *settle);
