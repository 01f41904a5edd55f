/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsa-queues - the open work queues: which is used, which is trusted
 *
 * A queue that fails is retired: nobody gets it any more, and when the last
 * batch in it is over a thread of its own closes it, which may take as long as
 * the device likes. Only after that the sets that were lost in it are freed.
 * When queues may be looked for again is decided here as well: after a second,
 * and ever more rarely while they keep failing.
 *
 * Any thread may call; there is a lock inside.
 */
#pragma once

#include <stdatomic.h>

#include "dsa-set.h"
#include "engine-dsa.h"

struct dsa_queues;
struct dsa_wq;

/* @backoff_nsec: between the first failure and the next look. */
int dsa_queues_new(uint64_t backoff_nsec, struct dsa_queues **ret);

/*
 * Retire and close all. What a device does not let go within two seconds is
 * left to it. NULL in, NULL out.
 */
struct dsa_queues *dsa_queues_free(struct dsa_queues *queues);

/* A queue of this thread's node before any other, the next one in turn; NULL
 * if there is none. To be given back with dsa_queues_drop(). */
struct dsa_wq *dsa_queues_pick(struct dsa_queues *queues);
void dsa_queues_ref(struct dsa_queues *queues, struct dsa_wq *wq);
void dsa_queues_drop(struct dsa_queues *queues, struct dsa_wq *wq);

/* Never pick @wq again. */
void dsa_queues_retire(struct dsa_queues *queues, struct dsa_wq *wq,
		       enum dsa_cause cause);

/* A batch went well. */
void dsa_queues_good(struct dsa_queues *queues);

/* Batch @slot of @set was lost in @wq, which is retired or soon will be. */
void dsa_queues_hold(struct dsa_queues *queues, struct dsa_wq *wq,
		     struct dsa_set *set, unsigned int slot);

/* Let go of @set, of which something is held. */
void dsa_queues_put_aside(struct dsa_queues *queues, struct dsa_set *set);

/* Whether it is time to look for queues; if so, nobody else is told so until
 * dsa_queues_looked(). */
bool dsa_queues_due(struct dsa_queues *queues);
/* @complete: there was none that could not be used. */
void dsa_queues_looked(struct dsa_queues *queues, bool complete);

enum {
	DSA_QUEUES_OPEN = 1, /* in use */
	DSA_QUEUES_LEAVING, /* retired, and not closed yet */
};

/* Whether @queue is here: 0, DSA_QUEUES_OPEN or DSA_QUEUES_LEAVING. */
int dsa_queues_find(struct dsa_queues *queues, const struct dsa_queue *queue);

/* Take @wq, to be tried: one reference. Then either it is used by all, or
 * given back. */
void dsa_queues_add(struct dsa_queues *queues, struct dsa_wq *wq);
void dsa_queues_admit(struct dsa_queues *queues, struct dsa_wq *wq);

/* What of the state is known here. */
void dsa_queues_state(struct dsa_queues *queues, struct engine_dsa_state *ret);
