/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * placed - a process with merged pages, as placing sees it
 *
 * What is found out about it in one round is where the next one begins.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ksmd-plus/types.h>

#include "activity.h"
#include "home.h"
#include "placement.h"
#include "vec.h"

struct mappers;
struct watched;

struct placed {
	struct process_id id;
	struct watched *watched; /* a reference, of the round alone */
	size_t first_range, n_ranges;
	bool still; /* nothing of it may be moved (observe) */
	bool gone;
	struct home home;
	struct activity_seen activity;
	uint64_t may_use; /* nodes, as bits */
	uint64_t refused; /* ... that it may not, as it turned out */
	uint64_t refused_usec; /* until then */
	int nice;
	struct placement_share share; /* now */
};

struct placeds VEC(struct placed);

/*
 * Add @watched to @mappers, if it has mergeable mappings. @before: what an
 * earlier round knew about it, or NULL. 0 or -ENOMEM.
 */
int placed_add(struct mappers *mappers, struct watched *watched,
	       const struct placed *before);

/* Look where it lives and whether it runs. @own: pages on each node that it
 * shares with nobody. */
void placed_look(struct placed *placed, const struct mappers *mappers,
		 const uint64_t own[64]);
