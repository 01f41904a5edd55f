/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine-dsa.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "clock.h"
#include "dsa-discover.h"
#include "dsa-queues.h"
#include "dsa-ring.h"
#include "dsa-wq.h"

/* Below this the CPU is done before the device has begun (Para-ksm: a batch
 * of 8 is where it pays). */
#define LEAST_PAGES 8U
/* 10,000 times what a batch takes: whoever is slower than that is gone. */
#define TIMEOUT_NSEC NSEC_PER_SEC
#define BACKOFF_NSEC NSEC_PER_SEC
/* More queues than this nobody can keep busy with four threads. */
#define OPEN_MAX 8U

struct engine_dsa {
	struct checksum_engine engine; /* first */
	struct engine_dsa_options options;
	struct dsa_queues *queues;
	struct dsa_ring_env env;
};

const bool engine_dsa_built = true;

const char *engine_dsa_rung_name(enum dsa_rung rung)
{
	switch (rung) {
	case DSA_RUNG_PORTAL:
		return "portal";
	case DSA_RUNG_BATCH:
		return "write-batch";
	case DSA_RUNG_VECTOR:
		return "write-vector";
	default:
		return "cpu";
	}
}

size_t engine_dsa_discover(const struct dsa_queue *queues, size_t n,
			   struct dsa_node *ret, size_t max)
{
	return dsa_discover(queues, n, ret, max);
}

/* --- finding queues --------------------------------------------------------- */

/* Open @node and try the rungs from above. Whether it is in use now. */
static bool adopt(struct engine_dsa *e, struct dsa_ring *ring,
		  const struct dsa_node *node)
{
	enum dsa_cause cause = DSA_CAUSE_REFUSED;
	struct dsa_wq *wq;

	if (dsa_wq_open(node, e->options.batch_pages, &wq))
		return false;
	dsa_queues_add(e->queues, wq);
	/* after silence nothing more is asked of it */
	while (cause != DSA_CAUSE_NONE && cause != DSA_CAUSE_LOST &&
	       dsa_wq_lower(wq, e->options.rung))
		cause = dsa_ring_try(ring, wq);
	if (cause == DSA_CAUSE_NONE)
		dsa_queues_admit(e->queues, wq);
	else
		dsa_queues_drop(e->queues, wq);
	return cause == DSA_CAUSE_NONE;
}

/*
 * Dedicated queues only where there is no shared one: opening one takes it
 * away from everybody else. Whether all are in use that can be.
 */
static bool look(struct engine_dsa *e, struct dsa_ring *ring)
{
	struct dsa_node nodes[DSA_QUEUES_MAX];
	size_t n = e->options.rung == DSA_RUNG_CPU
			   ? 0
			   : e->options.find(e->options.userdata, nodes,
					     ARRAY_SIZE(nodes));
	bool shared = false, complete = true;
	unsigned int n_open = 0;

	for (size_t i = 0; i < n; i++)
		shared |= nodes[i].queue.shared;
	for (size_t i = 0; i < n && n_open < OPEN_MAX; i++) {
		bool is_open;

		if (nodes[i].queue.shared != shared || !nodes[i].queue.can_crc)
			continue;
		switch (dsa_queues_find(e->queues, &nodes[i].queue)) {
		case DSA_QUEUES_OPEN:
			is_open = true;
			break;
		case DSA_QUEUES_LEAVING:
			is_open = false;
			break;
		default:
			is_open = adopt(e, ring, &nodes[i]);
		}
		n_open += is_open;
		complete &= is_open;
	}
	return complete;
}

/* --- lanes ------------------------------------------------------------------ */

static struct dsa_ring *ring_of(struct checksum_lane *lane)
{
	return (struct dsa_ring *)lane;
}

static struct engine_dsa *engine_of(const struct checksum_engine *engine)
{
	return (struct engine_dsa *)engine;
}

static int lane_new(const struct checksum_engine *engine,
		    struct checksum_lane **ret)
{
	struct dsa_ring *ring = malloc(sizeof(*ring));
	int r = ring ? dsa_ring_init(ring, engine, &engine_of(engine)->env)
		     : -ENOMEM;

	if (r) {
		free(ring);
		return r;
	}
	*ret = &ring->lane;
	return 0;
}

static void submit(struct checksum_lane *lane,
		   const struct checksum_item *items, size_t n)
{
	dsa_ring_submit(ring_of(lane), items, n);
}

static void reap(struct checksum_lane *lane)
{
	struct engine_dsa *e = engine_of(lane->engine);

	dsa_ring_reap(ring_of(lane));
	if (dsa_queues_due(e->queues))
		dsa_queues_looked(e->queues, look(e, ring_of(lane)));
}

static struct checksum_lane *lane_free(struct checksum_lane *lane)
{
	if (lane)
		dsa_ring_clear(ring_of(lane));
	free(lane);
	return NULL;
}

static const struct checksum_engine engine_dsa = {
	.name = "dsa",
	.lane_new = lane_new,
	.submit = submit,
	.reap = reap,
	.lane_free = lane_free,
};

/* --- the engine ------------------------------------------------------------- */

static void options_complete(struct engine_dsa_options *o)
{
	if (!o->batch_pages || o->batch_pages > DSA_BATCH_PAGES)
		o->batch_pages = DSA_BATCH_PAGES;
	if (!o->least_pages)
		o->least_pages = LEAST_PAGES;
	if (!o->timeout_nsec)
		o->timeout_nsec = TIMEOUT_NSEC;
	if (!o->backoff_nsec)
		o->backoff_nsec = BACKOFF_NSEC;
}

int engine_dsa_new(const struct engine_dsa_options *options,
		   const struct checksum_engine **ret)
{
	struct engine_dsa *e = calloc(1, sizeof(*e));
	struct checksum_lane *lane;
	int r;

	if (!e)
		return -ENOMEM;
	e->engine = engine_dsa;
	e->options = *options;
	options_complete(&e->options);
	r = dsa_queues_new(e->options.backoff_nsec, &e->queues);
	e->env.queues = e->queues;
	e->env.least_pages = e->options.least_pages;
	e->env.timeout_nsec = e->options.timeout_nsec;
	if (!r)
		r = lane_new(&e->engine, &lane);
	if (r) {
		engine_dsa_free(&e->engine);
		return r;
	}
	reap(lane); /* nothing is to be reaped: looks for queues */
	lane_free(lane);
	*ret = &e->engine;
	return 0;
}

const struct checksum_engine *
engine_dsa_free(const struct checksum_engine *engine)
{
	struct engine_dsa *e = engine_of(engine);

	if (!e)
		return NULL;
	dsa_queues_free(e->queues);
	free(e);
	return NULL;
}

void engine_dsa_state(const struct checksum_engine *engine,
		      struct engine_dsa_state *ret)
{
	struct engine_dsa *e = engine_of(engine);
	struct engine_dsa_state s = { .rung = DSA_RUNG_CPU };

	dsa_queues_state(e->queues, &s);
	s.batches = atomic_load(&e->env.batches);
	s.pages = atomic_load(&e->env.pages[DSA_CAUSE_NONE]);
	for (int c = DSA_CAUSE_NONE + 1; c < DSA_CAUSE_MAX_; c++)
		s.fallbacks[c] = atomic_load(&e->env.pages[c]);
	*ret = s;
}
