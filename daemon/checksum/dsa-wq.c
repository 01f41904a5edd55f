/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dsa-wq.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "dsa-desc.h"
#include "dsa-ops.h"

/* As often does the kernel try for write(2) (enqcmds_retries). */
#define ENQCMD_TRIES 32U
/* Pauses of 20, 40, ... 640 us, then it is the CPU's. */
#define PAUSES		 6U
#define PAUSE_FIRST_NSEC (20 * NSEC_PER_USEC)
/* An offload of one batch is said to take about 100 us (Para-ksm). */
#define EXPECTED_NSEC (100 * NSEC_PER_USEC)
/* The kernel's defaults for a queue that says nothing else. */
#define BATCH_DEFAULT	32U
#define ENTRIES_DEFAULT 16U
/* Fewer pages in a submission are the CPU's anyway. */
#define SINGLES_MIN 8U
/* 64-byte lines of the portal's page. */
#define PORTAL_LINES (DSA_PORTAL_BYTES / 64U)

int dsa_wq_open(const struct dsa_node *node, unsigned int batch_max,
		struct dsa_wq **ret)
{
	struct dsa_wq *wq = calloc(1, sizeof(*wq));
	bool shared = node->queue.shared;

	if (!wq)
		return -ENOMEM;
	wq->node = *node;
	wq->fd = dsa_ops.open(node->path);
	if (wq->fd < 0) {
		int r = wq->fd;

		free(wq);
		return r;
	}
	if (shared ? dsa_ops.can_enqcmd() : dsa_ops.can_movdir64b())
		wq->portal = dsa_ops.map(wq->fd);
	wq->rung = DSA_RUNG_MAX_;
	wq->pages_max = batch_max;
	if (!node->queue.max_batch)
		wq->node.queue.max_batch = BATCH_DEFAULT;
	if (wq->node.queue.max_batch < DSA_BATCH_MIN)
		wq->node.queue.can_batch = false;
	atomic_init(&wq->credits, node->queue.entries ? node->queue.entries
						      : ENTRIES_DEFAULT);
	atomic_init(&wq->expected_nsec, EXPECTED_NSEC);
	*ret = wq;
	return 0;
}

void dsa_wq_close(struct dsa_wq *wq)
{
	if (wq->portal)
		dsa_ops.unmap(wq->portal);
	dsa_ops.close(wq->fd);
}

static bool possible(const struct dsa_wq *wq, enum dsa_rung rung)
{
	switch (rung) {
	case DSA_RUNG_PORTAL:
		return wq->portal;
	case DSA_RUNG_BATCH:
		return wq->node.queue.can_batch;
	case DSA_RUNG_VECTOR:
		return true;
	default:
		return false;
	}
}

/* A quarter of the entries, but not so few that it does not pay. */
static unsigned int singles_max(struct dsa_wq *wq)
{
	unsigned int entries = atomic_load(&wq->credits);

	return MAX(entries / 4, MIN(entries, SINGLES_MIN));
}

bool dsa_wq_lower(struct dsa_wq *wq, enum dsa_rung forced)
{
	while (wq->rung > DSA_RUNG_CPU) {
		wq->rung--;
		if (!possible(wq, wq->rung) ||
		    (forced != DSA_RUNG_ANY && forced != wq->rung))
			continue;
		/* descriptors that go singly need an entry each, and
		 * several threads want some */
		wq->batch_max = MIN(wq->pages_max,
				    dsa_wq_batches(wq)
					    ? wq->node.queue.max_batch
					    : singles_max(wq));
		return true;
	}
	return false;
}

bool dsa_wq_batches(const struct dsa_wq *wq)
{
	return wq->rung != DSA_RUNG_VECTOR && wq->node.queue.can_batch;
}

bool dsa_wq_take(struct dsa_wq *wq, unsigned int n)
{
	unsigned int have = atomic_load(&wq->credits);

	while (have >= n)
		if (atomic_compare_exchange_weak(&wq->credits, &have, have - n))
			return true;
	return false;
}

void dsa_wq_give(struct dsa_wq *wq, unsigned int n)
{
	atomic_fetch_add(&wq->credits, n);
}

static bool portal_one(struct dsa_wq *wq, const struct dsa_desc *desc)
{
	unsigned int line = atomic_fetch_add(&wq->submitted, 1) % PORTAL_LINES;
	void *to = wq->portal + line * 64U;

	if (!wq->node.queue.shared) {
		dsa_ops.movdir64b(to, desc);
		return true;
	}
	for (unsigned int i = 0; i < ENQCMD_TRIES; i++)
		if (dsa_ops.enqcmd(to, desc))
			return true;
	return false;
}

/* Without a pause. */
static int submit_some(struct dsa_wq *wq, const struct dsa_desc *descs,
		       unsigned int n)
{
	unsigned int done = 0;
	ssize_t bytes;

	if (wq->rung == DSA_RUNG_PORTAL) {
		while (done < n && portal_one(wq, &descs[done]))
			done++;
		return done ? (int)done : -EAGAIN;
	}
	bytes = dsa_ops.write(wq->fd, descs, n);
	if (bytes < 0)
		return (int)bytes;
	/* 0: too short, says the driver; nothing of ours can be */
	done = (unsigned int)((size_t)bytes / sizeof(*descs));
	return done && done <= n ? (int)done : -EIO;
}

int dsa_wq_submit(struct dsa_wq *wq, const struct dsa_desc *descs,
		  unsigned int n)
{
	unsigned int done = 0, pauses = 0;
	int r = 0;

	while (done < n) {
		struct timespec pause = { 0 };

		r = submit_some(wq, descs + done, n - done);
		if (r > 0) {
			done += (unsigned int)r;
			pauses = 0;
			continue;
		}
		if (r != -EAGAIN || pauses == PAUSES)
			break;
		pause.tv_nsec = (long)(PAUSE_FIRST_NSEC << pauses++);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return done ? (int)done : r;
}
