/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine-dsa - CRC-32C by the Data Streaming Accelerator
 *
 * Pages go to the device in batches while the CPU copies the next ones; we
 * sleep as long as a batch usually takes and then look. Para-ksm (USENIX ATC
 * 2025) is the reason: a page alone is slower by the device than by the CPU,
 * and batches win.
 *
 * Whatever the device does, each page gets its checksum, by the CPU if need
 * be; memory that the device may still write is put aside until the queue has
 * been closed; a queue that fails is left alone and tried again later, ever
 * more rarely.
 *
 * Proved on a software model of the device (tests/dsa), not on silicon.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ksmd-plus/dsa.h>

#include "checksum.h"
#include "dsa-desc.h"

/* The ways into a queue, the best one last. */
enum dsa_rung {
	DSA_RUNG_ANY = -1,
	DSA_RUNG_CPU,
	DSA_RUNG_VECTOR, /* one write(2) of many descriptors */
	DSA_RUNG_BATCH, /* write(2) of a BATCH descriptor */
	DSA_RUNG_PORTAL, /* ENQCMD or MOVDIR64B */
	DSA_RUNG_MAX_,
};

/* A queue and its node below /dev/dsa. */
struct dsa_node {
	struct dsa_queue queue;
	char path[64];
};

struct engine_dsa_options {
	/* Which queues there are now; up to @max into @ret. Any thread, one
	 * at a time. */
	size_t (*find)(void *userdata, struct dsa_node *ret, size_t max);
	void *userdata;
	enum dsa_rung rung; /* only this one, or DSA_RUNG_ANY */
	/* 0: the usual value of each. */
	unsigned int batch_pages;
	unsigned int least_pages; /* fewer than this stay on the CPU */
	uint64_t timeout_nsec;
	uint64_t backoff_nsec; /* until a failed queue is tried again */
};

struct engine_dsa_state {
	enum dsa_rung rung; /* of the best queue; DSA_RUNG_CPU: none */
	unsigned int n_queues;
	unsigned int n_put_aside; /* sets that a device may still own */
	uint64_t batches;
	uint64_t pages; /* by a device */
	uint64_t fallbacks[DSA_CAUSE_MAX_]; /* pages, by the CPU */
	uint64_t retired; /* queues that were given up */
	enum dsa_cause last; /* why the last one was */
};

/* Whether this program was built with it (make DSA=yes). */
extern const bool engine_dsa_built;

/* "portal", "write-batch", "write-vector", "cpu" */
const char *engine_dsa_rung_name(enum dsa_rung rung);

/*
 * Open and try the queues there are; without any the engine works, on the CPU,
 * and looks again later. 0, -EOPNOTSUPP where it is not built, or negative
 * errno.
 */
int engine_dsa_new(const struct engine_dsa_options *options,
		   const struct checksum_engine **ret);

/* All its lanes are free. NULL in, NULL out. Does not wait for a device that
 * never lets go: what that one owns is lost then. */
const struct checksum_engine *
engine_dsa_free(const struct checksum_engine *engine);

/* Any thread. */
void engine_dsa_state(const struct checksum_engine *engine,
		      struct engine_dsa_state *ret);

/*
 * Which of @queues libaccel-config can show a node for: up to @max into @ret.
 * It crashes on a tree with holes; who calls has looked (sense/dsa). One
 * thread at a time. Return: how many.
 */
size_t engine_dsa_discover(const struct dsa_queue *queues, size_t n,
			   struct dsa_node *ret, size_t max);
