/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker - what each thread that reads other processes' pages has for itself
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ksmd-plus/types.h>

struct checksum_engine;
struct checksum_lane;

struct worker {
	struct checksum_lane *lane; /* pages are copied to its area */
	uint64_t pagemap[REGION_PAGES];
	bool used; /* there may be copies of pages in the area */
};

/* A lane of @engine, which outlives the worker. 0 or negative errno. */
int worker_open(const struct checksum_engine *engine, struct worker *ret);
void worker_close(struct worker *worker);

/* Before a rest: overwrite the copies of other processes' pages. */
void worker_wipe(struct worker *worker);
