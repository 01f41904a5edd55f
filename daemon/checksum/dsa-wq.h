/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsa-wq - one open work queue, and the ladder of ways into it
 *
 * From above: the portal (ENQCMD or MOVDIR64B, with BATCH), write(2) of a
 * BATCH, one write(2) of many descriptors. Since May 2024 the kernel gives the
 * portal only to CAP_SYS_RAWIO, and older devices no BATCH by write(2).
 *
 * A dedicated queue that is overrun drops descriptors silently, so nobody
 * submits without credits; a shared queue is not filled beyond its threshold
 * by us alone.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include <ksmd-plus/dsa.h>

#include "engine-dsa.h"

struct dsa_desc;
struct dsa_hold;

struct dsa_wq {
	struct dsa_node node;
	int fd;
	unsigned char *portal;
	enum dsa_rung rung;
	unsigned int pages_max; /* as dsa_wq_open() was told */
	unsigned int batch_max; /* pages in one submission, on this rung */
	atomic_uint credits;
	atomic_uint submitted; /* turns the portal's lines */
	_Atomic uint64_t expected_nsec; /* from submission to the record */
	atomic_uint failures; /* in a row */

	/* Of dsa-queues, under its lock. */
	struct dsa_wq *next;
	struct dsa_hold *holds;
	unsigned int refs;
	bool retired;
};

/*
 * Open @node. No rung is chosen yet: dsa_wq_lower() chooses the highest.
 * 0 or negative errno.
 */
int dsa_wq_open(const struct dsa_node *node, unsigned int batch_max,
		struct dsa_wq **ret);

/* Close it; may take as long as the device does. @wq is to be freed then. */
void dsa_wq_close(struct dsa_wq *wq);

/*
 * Take the next rung below; the only one that is allowed is @forced, unless
 * that is DSA_RUNG_ANY. False where there is none.
 */
bool dsa_wq_lower(struct dsa_wq *wq, enum dsa_rung forced);

/* Whether pages go in one BATCH descriptor. */
bool dsa_wq_batches(const struct dsa_wq *wq);

/* Take @n credits, all or none; and give them back. */
bool dsa_wq_take(struct dsa_wq *wq, unsigned int n);
void dsa_wq_give(struct dsa_wq *wq, unsigned int n);

/*
 * Submit @descs, with a few pauses where the queue is full.
 * Return: how many were accepted, from the first, or negative errno if none:
 * -EAGAIN where the queue stays full or is disabled.
 */
int dsa_wq_submit(struct dsa_wq *wq, const struct dsa_desc *descs,
		  unsigned int n);
