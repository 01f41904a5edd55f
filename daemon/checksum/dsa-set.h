/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsa-set - all memory that a device may touch for one thread
 *
 * Pages, descriptors and records in one piece, so that it can be put aside as
 * one: after a time-out the device still owns what was submitted, until the
 * queue has been closed. The set then has an owner more for each batch that
 * was lost, and is freed by the last.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include <ksmd-plus/types.h>

#include "dsa-desc.h"

/* Batches in flight: the CPU copies the next while the device reads. */
#define DSA_SLOTS 4U
/* Gain grows up to 256 and is flat beyond it (Para-ksm). */
#define DSA_BATCH_PAGES 256U

struct dsa_set;

/* A lost batch: who keeps the set. */
struct dsa_hold {
	struct dsa_set *set;
	struct dsa_hold *next;
};

struct dsa_set_slot {
	struct dsa_desc list[DSA_BATCH_PAGES];
	struct dsa_desc batch;
	struct dsa_record records[DSA_BATCH_PAGES];
	struct dsa_record batch_record;
};

struct dsa_set {
	unsigned char area[REGION_BYTES];
	struct dsa_set_slot slots[DSA_SLOTS];
	/* not the device's: */
	struct dsa_hold holds[DSA_SLOTS] __attribute__((aligned(4096)));
	atomic_uint owners;
};

/* One owner: who called. NULL without memory. */
struct dsa_set *dsa_set_new(void);

/* One owner less. True if it was the last; @set is gone then. */
bool dsa_set_drop(struct dsa_set *set);
