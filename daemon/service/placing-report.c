/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "placing-report.h"

#include <stdlib.h>

static int compare_pids(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	return x->id.pid < y->id.pid ? -1 : x->id.pid > y->id.pid;
}

void placing_report_take(struct placing_report *r,
			 const struct placeds *processes)
{
	r->processes.n = 0;
	if (vec_reserve(&r->processes, processes->n))
		return; /* homes are found again */
	for (size_t i = 0; i < processes->n; i++) {
		struct placed placed = processes->v[i];

		placed.watched = NULL;
		if (!placed.gone)
			r->processes.v[r->processes.n++] = placed;
	}
	if (r->processes.n)
		qsort(r->processes.v, r->processes.n, sizeof(*r->processes.v),
		      compare_pids);
}

void placing_report_pages(struct placing_report *r, const struct mappers *m)
{
	r->n_slices = m->n_slices;
	r->fairness = m->fairness;
	r->n_nodes = 0;
	for (uint32_t v = 0; v < TOPOLOGY_NODES; v++)
		if (topology_nodes(m->topology) >> v & 1)
			r->nodes[r->n_nodes++] = (struct numa_node_status){
				.node = v,
				.pages = m->on_node[v] * m->n_slices,
			};
}

const struct placed *placing_report_find(const struct placing_report *r,
					 struct process_id id)
{
	struct placed key = { .id = id };
	const struct placed *found =
		r->processes.n ? bsearch(&key, r->processes.v, r->processes.n,
					 sizeof(*r->processes.v), compare_pids)
			       : NULL;

	return found && found->id.start_time == id.start_time ? found : NULL;
}

const char *placing_report_policy(enum config_numa policy)
{
	static const char *const names[] = {
		[NUMA_FAIR] = "fair",
		[NUMA_PRIORITY] = "priority",
		[NUMA_OFF] = "off",
	};

	return names[policy];
}

const char *placing_report_activity(enum config_numa policy, bool off,
				    bool moving)
{
	if (policy == NUMA_OFF)
		return "merged pages stay where they are";
	if (off)
		return "merge_across_nodes is 0: every node has its own pages";
	if (moving)
		return "moving merged pages to those who use them";
	return "merged pages are where they should be";
}

static const char *activity_name(enum activity activity)
{
	static const char *const names[] = {
		[ACTIVITY_UNKNOWN] = "unknown",
		[ACTIVITY_ASLEEP] = "asleep",
		[ACTIVITY_BUSY] = "busy",
	};

	return names[activity];
}

void placing_report_status(struct placing_report *r, struct numa_status *ret)
{
	r->rows.n = 0;
	for (size_t i = 0; i < r->processes.n; i++) {
		const struct placed *p = &r->processes.v[i];
		struct numa_process_status row = {
			.pid = (uint32_t)p->id.pid,
			.home = p->home.nodes,
			.pages = p->share.pages * r->n_slices,
			.local = (uint64_t)(p->share.local * r->n_slices + 0.5),
			.activity = activity_name(p->activity.is),
		};

		if (vec_push(&r->rows, row))
			break;
	}
	ret->moved = r->moved;
	ret->refused = r->refused;
	ret->rounds = r->rounds;
	ret->fairness_permyriad = (uint32_t)(r->fairness * 10000 + 0.5);
	ret->nodes = r->nodes;
	ret->n_nodes = r->n_nodes;
	ret->processes = r->rows.v;
	ret->n_processes = r->rows.n;
}

void placing_report_clear(struct placing_report *r)
{
	vec_free(&r->processes);
	vec_free(&r->rows);
}
