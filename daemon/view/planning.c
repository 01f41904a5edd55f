/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "planning.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "config.h"
#include "kfeat.h"
#include "search.h"
#include "vmas.h"

struct planning_limits planning_limits_of(const struct config *config,
					  const struct kfeat *kfeat)
{
	return (struct planning_limits){
		.max_ranges = config->max_ranges,
		.max_map_count = kfeat->max_map_count,
		.max_ptes_shared = kfeat->thp >= THP_MADVISE
					   ? kfeat->khugepaged_max_ptes_shared
					   : 0,
	};
}

/* Join adjacent mappings: for the planner they are one. */
static int range_append(struct ranges *ranges, uint64_t start, uint64_t end)
{
	if (ranges->n && ranges->v[ranges->n - 1].end == start) {
		ranges->v[ranges->n - 1].end = end;
		return 0;
	}
	return vec_push(ranges, ((struct range){ start, end }));
}

static int run_append(struct plan_runs *runs, uint64_t start, uint64_t end,
		      bool enrolled_already)
{
	struct plan_run *last = runs->n ? &runs->v[runs->n - 1] : NULL;

	if (last && last->end == start && last->enrolled == enrolled_already) {
		last->end = end;
		return 0;
	}
	return vec_push(runs,
			((struct plan_run){ start, end, enrolled_already }));
}

bool planning_is_held(bool huge, const struct pagemask *duplicate)
{
	return huge && pagemask_count(duplicate) < PLAN_HUGE_PAGES;
}

/* The duplicates of one region that are not mergeable yet, as runs. */
static int region_runs(const struct planning_region *region, uint64_t from,
		       uint64_t to, struct plan_runs *runs)
{
	unsigned int i;

	if (planning_is_held(region->huge, region->duplicate))
		return 0;
	i = from > region->base
		    ? (unsigned int)((from - region->base) / PAGE_BYTES)
		    : 0;
	for (i = pagemask_next(region->duplicate, i); i < REGION_PAGES;
	     i = pagemask_next(region->duplicate, i + 1)) {
		uint64_t at = region->base + i * PAGE_BYTES;
		int r;

		if (at >= to)
			break;
		r = run_append(runs, at, at + PAGE_BYTES, false);
		if (r)
			return r;
	}
	return 0;
}

/* What the planner wants to know of one process. */
struct plan_input {
	struct plan_runs runs;
	struct ranges mappings;
	struct ranges collapsible;
	uint32_t n_enrolled;
};

static void input_clear(struct plan_input *in)
{
	vec_free(&in->runs);
	vec_free(&in->mappings);
	vec_free(&in->collapsible);
}

/* Mapping by mapping: enrolled whole, or the duplicates of its regions. */
static int collect(const struct planning_process *p, struct plan_input *in)
{
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; !r && i < p->vmas->n; i++) {
		const struct vma *v = &p->vmas->v[i];

		r = range_append(&in->mappings, v->start, v->end);
		if (!r && v->thp_eligible)
			r = range_append(&in->collapsible, v->start, v->end);
		if (!r && v->mergeable) {
			size_t n = in->runs.n;

			r = run_append(&in->runs, v->start, v->end, true);
			in->n_enrolled += in->runs.n > n;
			continue;
		}
		for (; at < p->n_regions; at++)
			if (p->region(p->userdata, at).base + REGION_BYTES >
			    v->start)
				break;
		for (size_t k = at; !r && k < p->n_regions; k++) {
			struct planning_region region = p->region(p->userdata,
								  k);

			if (region.base >= v->end)
				break;
			r = region_runs(&region, v->start, v->end, &in->runs);
		}
	}
	return r;
}

static uint64_t wanted_pages(const struct plan_runs *runs)
{
	uint64_t n = 0;

	for (size_t i = 0; i < runs->n; i++)
		if (!runs->v[i].enrolled)
			n += (runs->v[i].end - runs->v[i].start) / PAGE_BYTES;
	return n;
}

static bool is_enrolled(const struct plan_runs *runs, uint64_t address)
{
	size_t at = search_first(runs->n, i, runs->v[i].end > address);

	return at < runs->n && runs->v[at].start <= address &&
	       runs->v[at].enrolled;
}

/* What joins two mergeable ranges makes room for another: so that there are
 * never more than allowed, not even in between, such ranges go first. */
static int joining_first(const struct plan_runs *runs, struct ranges *ranges)
{
	_cleanup_free_ struct range *rest = NULL;
	size_t n_rest = 0, out = 0;

	rest = malloc((ranges->n + 1) * sizeof(*rest));
	if (!rest)
		return -ENOMEM;
	for (size_t i = 0; i < ranges->n; i++) {
		const struct range r = ranges->v[i];

		if (is_enrolled(runs, r.start - 1) && is_enrolled(runs, r.end))
			ranges->v[out++] = r;
		else
			rest[n_rest++] = r;
	}
	if (n_rest)
		memcpy(ranges->v + out, rest, n_rest * sizeof(*rest));
	return 0;
}

int planning_ranges(const struct planning_process *process,
		    const struct planning_limits *limits, struct ranges *ret,
		    uint64_t *ret_wanted)
{
	struct plan_input in = { 0 };
	int r = collect(process, &in);
	struct plan_limits plan = {
		.max_ranges = planner_max_ranges(limits->max_ranges,
						 in.n_enrolled,
						 process->n_mappings,
						 limits->max_map_count),
		.max_ptes_shared = limits->max_ptes_shared,
	};

	*ret_wanted = wanted_pages(&in.runs);
	if (!r && *ret_wanted)
		r = planner_plan(&in.runs, &in.mappings, &in.collapsible, &plan,
				 ret);
	if (!r)
		r = joining_first(&in.runs, ret);
	input_clear(&in);
	return r;
}
