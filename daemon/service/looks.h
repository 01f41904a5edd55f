/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * looks - one region after the other is looked at, as the sampler wants it
 *
 * A look is a job of the pool: pagemap, the pages that are wanted, their
 * checksums. What it saw goes to track; what it brought goes to the sampler,
 * and may ask for another look at the same region at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "reader.h"

struct looks;
struct pool;
struct track;
struct watched;
struct watched_region;

struct looks_env {
	struct pool *pool;
	struct reader *reader;
	struct track *track;
	/* A look was taken in, and room for another is there. */
	void (*done)(void *userdata);
	void *userdata;
};

int looks_new(const struct looks_env *env, struct looks **ret);
struct looks *looks_free(struct looks *looks);

/* Look at @region of @watched, if there is a reason to do so now. */
void looks_take(struct looks *looks, struct watched *watched,
		struct watched_region *region);

/*
 * Look at @pages of @region, of which the @paired are expected to have a twin.
 * 0 or -ENOMEM.
 */
int looks_hinted(struct looks *looks, struct watched *watched,
		 const struct watched_region *region,
		 const struct pagemask *pages, const struct pagemask *paired);

/* CPU that the looks took so far, and pages with twins that they found. */
uint64_t looks_cpu_usec(const struct looks *looks);
uint64_t looks_found(const struct looks *looks);

/* Looks that are not done. */
unsigned int looks_in_flight(const struct looks *looks);

/* Whether duplicates of the region wait to be merged, as far as known. */
bool looks_is_pending(const struct looks *looks,
		      const struct watched_region *region);
