/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sharing - who shares a page, and what part each node has of it
 *
 * The policies of placement.h, for one page.
 */
#pragma once

#include "placement.h"

/* Goes over the processes that map a page and count, each once. */
struct sharers {
	const struct placement_process *processes;
	const struct placement_mapper *at, *end;
	bool busy; /* some are: who is asleep does not count */
};

struct sharers sharers_of(const struct placement *in,
			  const struct placement_page *page);

/* False at the end. */
bool sharers_next(struct sharers *sharers, uint32_t *ret_process);

/* Equal for pages that the same processes share, whatever else they differ in. */
uint64_t sharing_key(const struct placement *in,
		     const struct placement_page *page);

/*
 * The part of each node in @page by the policy. Their sum is 1; that of a
 * node where no sharer lives is 0.
 */
void sharing_weigh(const struct placement *in,
		   const struct placement_page *page, double *ret_weights);

static inline bool sharing_is_home(const struct placement *in, uint32_t process,
				   uint32_t node)
{
	return in->processes[process].home >> node & 1;
}

/* splitmix64 */
static inline uint64_t sharing_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}
