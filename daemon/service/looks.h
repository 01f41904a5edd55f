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

/* Looks that are not done. */
unsigned int looks_in_flight(const struct looks *looks);

/* Whether duplicates of the region wait to be merged, as far as known. */
bool looks_is_pending(const struct looks *looks,
		      const struct watched_region *region);
