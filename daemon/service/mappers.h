/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mappers - who maps each merged page, and where it has to go
 *
 * No kernel interface tells the mappers of a frame, so it is turned round:
 * the pagemaps of all who have mergeable mappings, sorted by frame. Built anew
 * for each round, by a worker, and gone after it. Its memory is bounded: where
 * there is more, a round deals with those frames alone that fall into its
 * slice, and each slice is evened out by itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ksmd-plus/types.h>

#include "migrate.h"
#include "placed.h"
#include "placement.h"
#include "topology.h"
#include "vec.h"

struct frames;
struct root;
struct worker;

struct mappers_move {
	uint32_t process;
	struct migrate_page page;
};

struct mappers_moves VEC(struct mappers_move);
struct mappers_ranges VEC(struct range);

struct mappers {
	/* in */
	const struct root *root;
	const struct frames *frames;
	const struct topology *topology;
	enum placement_policy policy;
	uint64_t now_usec;
	uint64_t asleep_usec; /* who hardly ran for so long sleeps */
	uint64_t max_sharing; /* pages with more sharers stay */
	uint64_t zero_pfn;
	uint64_t full; /* nodes that have no room, as bits */
	size_t max_entries;
	uint32_t slice, n_slices;
	struct placeds processes;
	struct mappers_ranges ranges; /* mergeable ones, of all */

	/* out */
	uint64_t n_shared; /* mappings of shared pages, in all slices */
	uint64_t n_unknown; /* ... of frames in no node's memory, it seems */
	bool overflow; /* this slice has more than max_entries */
	uint64_t on_node[TOPOLOGY_NODES]; /* merged pages, of this slice */
	double fairness; /* as the paper has it, see placement.h */
	struct mappers_moves moves; /* by process */
};

/* What one mapping takes at most, in bytes, until the round is over. */
#define MAPPERS_ENTRY_BYTES 96U

/* On a worker: look at homes, build the index, plan, choose the moves. 0 or
 * -ENOMEM. */
int mappers_run(struct mappers *mappers, struct worker *worker);

/* On the loop: free everything, let go of the processes. */
void mappers_clear(struct mappers *mappers);
