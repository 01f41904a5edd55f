/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapping - reads where the memory of a process is, and takes that in
 *
 * A job of the pool reads the mappings and where pages are present in them;
 * then regions that are no more are forgotten and new ones taken in, where
 * there is room or shed() makes some.
 */
#pragma once

#include <stdint.h>

#include "reader.h"

struct mapping;
struct pool;
struct track;
struct watch;
struct watched;

struct mapping_env {
	struct pool *pool;
	struct reader *reader;
	struct track *track;
	struct watch *watch;
};

int mapping_new(const struct mapping_env *env, struct mapping **ret);
struct mapping *mapping_free(struct mapping *mapping);

/*
 * Read the mappings of @watched; @done is called from the loop, unless the
 * pool goes down before. 0 or -ENOMEM, then it is not called.
 */
typedef void (*mapping_done_fn)(void *userdata, struct watched *watched);
int mapping_submit(struct mapping *mapping, struct watched *watched,
		   mapping_done_fn done, void *userdata);

/* @watched is going: its regions are forgotten. */
void mapping_forget(struct mapping *mapping, struct watched *watched);

/* CPU that it takes to read the mappings of all once, in microseconds. */
uint64_t mapping_usec(const struct mapping *mapping);
/* CPU that was used for it so far. */
uint64_t mapping_used_usec(const struct mapping *mapping);
/* Regions forgotten for something new. */
uint64_t mapping_shed(const struct mapping *mapping);
