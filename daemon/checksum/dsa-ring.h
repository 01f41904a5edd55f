/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsa-ring - one thread's batches on their way to devices and back
 *
 * Pages are gathered into a batch; a full one goes to a queue at once, up to
 * four are on their way, the oldest is waited for first.
 */
#pragma once

#include <stdatomic.h>

#include "dsa-set.h"
#include "engine-dsa.h"

struct dsa_queues;
struct dsa_wq;

/* One for all rings. */
struct dsa_ring_env {
	struct dsa_queues *queues;
	unsigned int least_pages;
	uint64_t timeout_nsec;
	_Atomic uint64_t batches;
	_Atomic uint64_t pages[DSA_CAUSE_MAX_]; /* NONE: by a device */
};

struct dsa_slot {
	struct dsa_wq *wq;
	unsigned int n; /* pages */
	unsigned int accepted; /* of these, by the queue */
	bool batched; /* one BATCH descriptor; else one for each page */
	uint64_t at_nsec;
	struct checksum_item items[DSA_BATCH_PAGES];
};

struct dsa_ring {
	struct checksum_lane lane; /* first */
	struct dsa_ring_env *env;
	struct dsa_set *set;
	struct dsa_set *spare; /* without one the CPU does it all */
	bool lost; /* the set can be used no more */
	bool gathering; /* in the slot behind those in flight */
	unsigned int first;
	unsigned int n_flying;
	struct dsa_slot slots[DSA_SLOTS];
};

/* 0 or -ENOMEM. Needs no cleaning up then. */
int dsa_ring_init(struct dsa_ring *ring, const struct checksum_engine *engine,
		  struct dsa_ring_env *env);
void dsa_ring_clear(struct dsa_ring *ring);

void dsa_ring_submit(struct dsa_ring *ring, const struct checksum_item *items,
		     size_t n);
void dsa_ring_reap(struct dsa_ring *ring);

/*
 * With nothing on its way: try some pages in @wq, on its rung.
 * Return: NONE if all came back right, by the device.
 */
enum dsa_cause dsa_ring_try(struct dsa_ring *ring, struct dsa_wq *wq);
