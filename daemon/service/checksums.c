/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checksums.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/journal.h>
#include <ksmd-plus/status.h>

#include "checksum.h"
#include "cleanup.h"
#include "dsa.h"
#include "engine-dsa.h"
#include "log.h"

struct checksums {
	const struct root *root;
	enum config_engine wish;
	const struct checksum_engine *engine;
	const struct checksum_engine *dsa; /* or NULL */
	int error; /* why there is none */
	/* What a page costs, in picoseconds; 0: not measured. */
	uint64_t cpu_psec, dsa_psec;
};

/* On a tree with holes libaccel-config would crash: nothing is found there. */
static size_t find(void *userdata, struct dsa_node *ret, size_t max)
{
	const struct checksums *c = userdata;
	struct dsa_tree tree;

	dsa_read(c->root, &tree);
	if (*tree.odd)
		return 0;
	return engine_dsa_discover(tree.queues, tree.n_queues, ret, max);
}

static enum dsa_rung forced_rung(void)
{
	const char *name = getenv("KSMD_PLUS_DSA_RUNG");

	for (int r = DSA_RUNG_CPU; name && r < DSA_RUNG_MAX_; r++)
		if (!strcmp(name, engine_dsa_rung_name((enum dsa_rung)r)))
			return (enum dsa_rung)r;
	return DSA_RUNG_ANY;
}

static unsigned int n_queues(const struct checksums *c)
{
	struct engine_dsa_state state = { 0 };

	if (c->dsa)
		engine_dsa_state(c->dsa, &state);
	return state.n_queues;
}

/* Where there is a device, or one is asked for. */
static int dsa_start(struct checksums *c)
{
	struct engine_dsa_options options = {
		.find = find,
		.userdata = c,
		.rung = forced_rung(),
	};
	struct dsa_tree tree;

	dsa_read(c->root, &tree);
	if (c->wish == ENGINE_AUTO && !tree.n_devices)
		return 0;
	if (*tree.odd)
		log_event(
			LOG_WARNING, JOURNAL_DSA_REFUSED, NULL,
			"The DSA driver shows no %s; its devices are not used",
			tree.odd);
	else if (tree.read_only)
		log_event(LOG_WARNING, JOURNAL_DSA_REFUSED, NULL,
			  "/sys is read-only; DSA devices cannot be used");
	c->error = engine_dsa_new(&options, &c->dsa);
	return c->error == -ENOMEM ? c->error : 0;
}

/* Measure both, and take what was wished or what is cheaper. */
static int choose(struct checksums *c)
{
	struct engine_dsa_state state;
	int r;

	if (!n_queues(c)) {
		c->engine = c->wish == ENGINE_DSA && c->dsa ? c->dsa
							    : &checksum_cpu;
		return 0;
	}
	r = checksum_measure(&checksum_cpu, &c->cpu_psec);
	if (!r)
		r = checksum_measure(c->dsa, &c->dsa_psec);
	if (r)
		return r;
	engine_dsa_state(c->dsa, &state);
	c->engine = c->wish == ENGINE_DSA ||
				    (n_queues(c) && c->dsa_psec < c->cpu_psec)
			    ? c->dsa
			    : &checksum_cpu;
	log_event(LOG_NOTICE, JOURNAL_ENGINE,
		  LOG_FIELDS(LOG_TEXT("ENGINE", c->engine->name)),
		  "Checksums by %s: a page costs the CPU %" PRIu64
		  " ns by itself, %" PRIu64 " ns with DSA (%s, %u %s)",
		  c->engine == c->dsa ? "DSA" : "the CPU", c->cpu_psec / 1000,
		  c->dsa_psec / 1000, engine_dsa_rung_name(state.rung),
		  state.n_queues, state.n_queues == 1 ? "queue" : "queues");
	return 0;
}

int checksums_new(const struct root *root, enum config_engine wish,
		  struct checksums **ret)
{
	struct checksums *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->root = root;
	c->wish = wish;
	r = wish == ENGINE_CPU ? 0 : dsa_start(c);
	if (!r)
		r = choose(c);
	if (r) {
		checksums_free(c);
		return r;
	}
	/* what is not used is not kept open */
	if (c->engine != c->dsa)
		c->dsa = engine_dsa_free(c->dsa);
	*ret = c;
	return 0;
}

struct checksums *checksums_free(struct checksums *c)
{
	if (!c)
		return NULL;
	engine_dsa_free(c->dsa);
	free(c);
	return NULL;
}

const struct checksum_engine *checksums_engine(const struct checksums *c)
{
	return c->engine;
}

bool checksums_is_as_wished(const struct checksums *c, const char **ret_why)
{
	if (c->wish != ENGINE_DSA || n_queues(c))
		return true;
	*ret_why = c->dsa		     ? "no work queue can be used"
		   : c->error == -EOPNOTSUPP ? "it is not built in"
					     : "it could not be started";
	return false;
}

static void add(struct daemon_status *s, const char *name, uint64_t value)
{
	if (s->n_counters < STATUS_COUNTERS_MAX)
		s->counters[s->n_counters++] = (struct status_counter){
			.name = name,
			.value = value,
		};
}

static void status_dsa(const struct checksums *c, struct daemon_status *s)
{
	struct engine_dsa_state e;
	uint64_t by_cpu = 0;

	engine_dsa_state(c->dsa, &e);
	add(s, "queues", e.n_queues);
	add(s, "batches", e.batches);
	add(s, "pages", e.pages);
	add(s, "retired", e.retired);
	add(s, "put-aside", e.n_put_aside);
	for (int i = DSA_CAUSE_NONE + 1; i < DSA_CAUSE_MAX_; i++) {
		add(s, dsa_cause_name((enum dsa_cause)i), e.fallbacks[i]);
		by_cpu += e.fallbacks[i];
	}
	snprintf(s->engine_detail, sizeof(s->engine_detail),
		 "%s, %u %s; %" PRIu64 " pages in %" PRIu64 " batches, %" PRIu64
		 " pages by the CPU",
		 engine_dsa_rung_name(e.rung), e.n_queues,
		 e.n_queues == 1 ? "queue" : "queues", e.pages, e.batches,
		 by_cpu);
}

void checksums_status(const struct checksums *c, struct daemon_status *s)
{
	s->engine = c->engine->name;
	if (c->dsa)
		status_dsa(c, s);
	if (!c->dsa_psec)
		return;
	add(s, "cpu-psec-per-page", c->cpu_psec);
	add(s, "dsa-psec-per-page", c->dsa_psec);
}
