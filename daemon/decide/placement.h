/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * placement - on which memory node each merged page is to live
 *
 * Where equal pages of several nodes merge, ksmd keeps whichever it met first,
 * and everybody else's accesses become remote (nuKSM, section III). Which
 * copy stays cannot be chosen, but the page can be moved later.
 *
 * Each page has a share of 1 to give, which a policy splits over the nodes of
 * those who map it. What a process is due on its node is the sum of these
 * shares, and pages are moved until everybody has what is due. So single
 * pages with different sharers come out even as well. Pages of the same
 * sharers are split evenly among themselves first.
 *
 * What is nearly even is left alone: what was placed once stays, however often
 * it is planned again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "activity.h"

/* Nodes are numbered from 0 without gaps; machines with more are left alone. */
#define PLACEMENT_NODES 64U

enum placement_policy {
	/*
	 * Every node of a sharer has an equal part (nuKSM, IV-A and IV-E).
	 * A process without a home counts as one that is a little everywhere.
	 */
	PLACEMENT_FAIR,
	/*
	 * By nice values (nuKSM, IV-B): with snice = nice + 21, process i of
	 * n has 1 - snice_i / sum, divided by n - 1 so that the sum is 1.
	 */
	PLACEMENT_PRIORITY,
};

struct placement_process {
	uint64_t home; /* its nodes, as bits; not 0 */
	int nice; /* -20 to 19 */
	/* Where a sharer is busy, those who are asleep do not count. */
	enum activity activity;
};

/* One address that maps a page. */
struct placement_mapper {
	uint64_t address;
	uint32_t process;
};

struct placement_page {
	uint64_t frame;
	uint32_t first; /* of its mappers, which are sorted by process */
	uint32_t n;
	uint8_t node; /* where it is */
	uint8_t to; /* where it is to be; set by placement_plan() */
	bool fixed; /* it stays, and others are not moved because of it */
};

struct placement {
	enum placement_policy policy;
	uint64_t seed; /* which of many equal pages move */
	uint32_t n_nodes;
	const struct placement_process *processes;
	size_t n_processes;
	const struct placement_mapper *mappers;
	struct placement_page *pages;
	size_t n_pages;
};

/*
 * Set @to of every page. Sorts the pages: those with the same sharers come to
 * stand together. 0 or -ENOMEM.
 */
int placement_plan(const struct placement *placement);

/* What one process has of the pages that it maps. */
struct placement_share {
	uint64_t pages;
	double local; /* on its nodes; of one without a home, its part there */
};

/* For each process, as pages are (@planned: as they are to be). */
void placement_shares(const struct placement *placement, bool planned,
		      struct placement_share *ret_shares);

/*
 * nuKSM's model of its machine: memory that is local to a process answers
 * after 89 ns, other memory after 139 ns. How much slower a process is that
 * uses nothing but such pages, as a factor of 1 or more.
 */
double placement_slowdown(const struct placement_share *share);

/*
 * The least slowdown by the greatest, of those that map pages: 1 is fair. Who
 * is asleep does not feel it, and is left out unless all are.
 */
double placement_fairness(const struct placement *placement,
			  const struct placement_share *shares);
