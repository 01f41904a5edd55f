/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regions - the record of each 2 MiB region, within a bound
 *
 * Numbers the regions, stores the checksums of their known pages packed, and
 * counts the memory. What the masks mean is struct track's business.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagemask.h"
#include "vec.h"

/* What planning and reading want to know of one region. */
struct region {
	uint64_t base;
	uint32_t owner; /* the caller's number of the process */
	uint32_t domain;
	uint32_t pulse; /* pulses completed when duplicates were found */
	bool huge;
	bool queued; /* has candidates and stands in the queue */
	bool seen; /* was looked at, all of it */
	bool retry; /* had failed pages, which may be tried again now */
	struct pagemask known;
	struct pagemask merged;
	struct pagemask candidate;
	struct pagemask duplicate;
	struct pagemask rejected;
	struct pagemask failed;
	uint32_t *crc; /* of the known pages, in order; owned */
};

struct region_table VEC(struct region *);
struct region_numbers VEC(uint32_t);

/* All zero but for max_bytes: empty. */
struct regions {
	struct region_table table; /* NULL where a number is free */
	struct region_numbers free_numbers;
	uint64_t max_bytes;
	uint64_t bytes;
	uint64_t n;
	uint64_t n_unseen; /* that may have no checksums yet */
	uint64_t n_pages; /* known */
};

void regions_clear(struct regions *regions);

/* Whether they may not grow by @more bytes; what was not looked at yet will
 * need its checksums. */
bool regions_are_full(const struct regions *regions, uint64_t more);

/* How many more there is room for. */
uint64_t regions_room(const struct regions *regions);

/*
 * A new region. Return: 0 with its number in *ret, 1 if the bound is reached,
 * or -ENOMEM.
 */
int regions_add(struct regions *regions, const struct region *region,
		uint32_t *ret);

/* Free a region's record and its number. */
void regions_remove(struct regions *regions, uint32_t number);

/*
 * @crc (@n of them, from malloc()) are the checksums of the pages @known from
 * now on. Takes @crc.
 */
void regions_set_known(struct regions *regions, struct region *region,
		       const struct pagemask *known, uint32_t *crc,
		       unsigned int n);

/* All of the region has been looked at: from now on it takes what it needs. */
void regions_set_seen(struct regions *regions, struct region *region);

/* The checksum of a known page. */
uint32_t regions_crc(const struct region *region, unsigned int page);
