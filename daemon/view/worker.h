/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker - what each thread that reads other processes' pages has for itself
 */
#pragma once

#include <stdint.h>

#include <ksmd-plus/types.h>

struct worker {
	unsigned char *pages; /* REGION_BYTES, page-aligned */
	uint64_t pagemap[REGION_PAGES];
};

/* Memory for @ret->pages, not resident before it is used. 0 or -ENOMEM. */
int worker_open(struct worker *ret);
void worker_close(struct worker *worker);
