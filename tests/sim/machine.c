/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define TICK_USEC      (SEC / 10)
#define BEGINNING_USEC (30 * SEC)

static uint32_t any(struct machine *m, uint32_t below)
{
	m->random = m->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(m->random >> 33) % below;
}

void machine_init(struct machine *m, uint32_t share_permyriad)
{
	*m = (struct machine){ .now_usec = 1000 * SEC, .random = 42 };
	budget_init(&m->budget, share_permyriad, m->now_usec, 0);
}

static void process_end(struct machine *m, struct sim_process *p)
{
	m->n_regions -= p->n_regions;
	free(p->regions);
	*p = (struct sim_process){ 0 };
}

void machine_clear(struct machine *m)
{
	for (size_t i = 0; i < m->n; i++)
		process_end(m, &m->processes[i]);
	free(m->processes);
	m->processes = NULL;
	m->n = 0;
}

size_t machine_add(struct machine *m, uint32_t n_regions, uint32_t change_sec,
		   uint64_t lives_usec)
{
	size_t i = 0;

	while (i < m->n && m->processes[i].regions)
		i++;
	if (i == m->n) {
		m->processes = reallocarray(m->processes, ++m->n,
					    sizeof(*m->processes));
		if (!m->processes)
			abort();
	}
	m->processes[i] = (struct sim_process){
		.regions = calloc(n_regions, sizeof(struct sim_region)),
		.n_regions = n_regions,
		.change_sec = change_sec,
		.found_usec = m->now_usec,
		.ends_usec = lives_usec == UINT64_MAX
				     ? UINT64_MAX
				     : m->now_usec + lives_usec,
	};
	m->n_regions += n_regions;
	m->beginning_usec = m->now_usec + BEGINNING_USEC;
	return i;
}

/* A look at one region, and what it learns. */
static void look(struct machine *m, struct sim_process *p, struct sim_region *r,
		 enum sampler_look kind)
{
	static const uint32_t cost[] = {
		[SAMPLER_NEW] = COST_NEW_USEC,
		[SAMPLER_FEW] = COST_FEW_USEC,
		[SAMPLER_ALL] = COST_ALL_USEC,
	};
	struct look_result result = { 0 };

	m->cpu_usec += cost[kind];
	m->n_looks[kind]++;
	r->n_full += kind == SAMPLER_ALL;
	if (r->heat.state == HEAT_NEW)
		result.n_new = REGION_PAGES;
	/* a quarter has changed: eight pages in it miss it one time in ten */
	if (r->changed_usec && (kind == SAMPLER_ALL || any(m, 10))) {
		result.n_changed = REGION_PAGES / 4;
		m->noticed_max_usec = MAX(m->noticed_max_usec,
					  m->now_usec - r->changed_usec);
	}
	if (kind == SAMPLER_ALL)
		r->changed_usec = 0;
	p->news |= result.n_new || result.n_changed;
	sampler_learn(&r->heat, kind, &result, (uint32_t)(m->now_usec / SEC));
}

static bool may_step(struct machine *m, const struct sim_process *p)
{
	bool new = p->n_passes == 0 ||
		   m->now_usec < p->found_usec + BEGINNING_USEC;

	budget_update(&m->budget, m->now_usec, m->cpu_usec,
		      m->now_usec < m->beginning_usec);
	return !budget_wait_usec(&m->budget) ||
	       (new &&budget_has_burst(&m->budget));
}

static uint64_t maps_usec(const struct machine *m)
{
	return m->n_regions * COST_MAP_USEC;
}

/* Go on with a pass. False: the budget is used up. */
static bool pass(struct machine *m, struct sim_process *p)
{
	if (!p->mapped) {
		if (!may_step(m, p))
			return false;
		m->cpu_usec += p->n_regions * COST_MAP_USEC;
		p->mapped = true;
		p->at = 0;
		p->news = false;
	}
	for (; p->at < p->n_regions; p->at++) {
		struct sim_region *r = &p->regions[p->at];
		enum sampler_look kind = sampler_choose(
			&r->heat, (uint32_t)(m->now_usec / SEC), false, false);

		if (kind == SAMPLER_NOTHING)
			continue;
		if (!may_step(m, p))
			return false;
		look(m, p, r, kind);
		if (kind == SAMPLER_FEW && r->heat.state == HEAT_CHANGED)
			look(m, p, r, SAMPLER_ALL);
	}
	p->mapped = false;
	p->n_passes++;
	p->calm = p->news ? 0 : p->calm + 1;
	p->pass_usec = m->now_usec +
		       sampler_pass_sec(p->calm, maps_usec(m),
					m->budget.share_permyriad) *
			       SEC;
	return true;
}

/* Memory changes, and processes end. */
static void live(struct machine *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct sim_process *p = &m->processes[i];
		uint64_t changes;

		if (p->regions && m->now_usec >= p->ends_usec)
			process_end(m, p);
		if (!p->regions || !p->change_sec)
			continue;
		changes = (uint64_t)p->n_regions * TICK_USEC / SEC /
			  p->change_sec;
		if (any(m, p->change_sec * 10) <
		    p->n_regions % (p->change_sec * 10))
			changes++;
		while (changes--) {
			struct sim_region *r =
				&p->regions[any(m, p->n_regions)];

			if (!r->changed_usec && r->heat.state != HEAT_NEW)
				r->changed_usec = m->now_usec;
		}
	}
}

void machine_run(struct machine *m, uint64_t usec)
{
	for (uint64_t end = m->now_usec + usec; m->now_usec < end;
	     m->now_usec += TICK_USEC) {
		live(m);
		for (size_t k = 0; k < m->n; k++) {
			struct sim_process *p =
				&m->processes[(m->at + k) % m->n];

			if (!p->regions ||
			    (!p->mapped && m->now_usec < p->pass_usec))
				continue;
			if (!pass(m, p)) {
				m->at = (m->at + k) % m->n;
				break;
			}
		}
	}
}
