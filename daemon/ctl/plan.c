/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"
#include "search.h"
#include "survey.h"

/* One process, as planning.h wants to see it. */
struct source {
	const struct forecast_region *regions;
	struct pagemask duplicate; /* of the region asked for last */
};

static struct planning_region source_region(const void *userdata, size_t i)
{
	/* the mask has to live until the next call only */
	struct source *s = (struct source *)userdata;
	const struct forecast_region *region = &s->regions[i];

	memset(&s->duplicate, 0, sizeof(s->duplicate));
	for (unsigned int k = 0; region->marks && k < PAGEMASK_WORDS; k++)
		s->duplicate.words[k] = region->marks->twin.words[k] &
					~region->marks->merged.words[k];
	return (struct planning_region){ region->base, region->huge,
					 &s->duplicate };
}

/* The first of @n regions that ends above @address. */
static size_t region_find(const struct forecast_region *regions, size_t n,
			  uint64_t address)
{
	return search_first(n, i, regions[i].base + REGION_BYTES > address);
}

/* Mark what @range covers in one region; a huge page is given up for it. */
static int region_cover(struct forecast_region *region,
			const struct range *range, struct plan_costs *costs)
{
	uint64_t from = MAX(range->start, region->base) - region->base;
	uint64_t to = MIN(range->end, region->base + REGION_BYTES) -
		      region->base;
	bool was_free;

	if (forecast_marks_need(region))
		return -ENOMEM;
	was_free = pagemask_next(&region->marks->covered, 0) == REGION_PAGES;
	pagemask_set_range(&region->marks->covered,
			   (unsigned int)(from / PAGE_BYTES),
			   (unsigned int)(to / PAGE_BYTES));
	costs->huge_pages += region->huge && was_free;
	return 0;
}

static int ranges_cover(struct forecast_region *regions, size_t n,
			const struct ranges *ranges, struct plan_costs *costs)
{
	int r = 0;

	for (size_t i = 0; !r && i < ranges->n; i++) {
		const struct range *range = &ranges->v[i];
		size_t k = region_find(regions, n, range->start);

		for (; !r && k < n && regions[k].base < range->end; k++)
			r = region_cover(&regions[k], range, costs);
	}
	return r;
}

/* What is mergeable already needs no range; it merges with the next pulse. */
static void registered_cover(const struct survey_process *sp,
			     struct forecast_region *regions)
{
	for (size_t i = 0; i < sp->n_regions; i++) {
		struct pagemask eligible, mergeable;

		if (!regions[i].marks)
			continue;
		reader_masks(&sp->vmas, regions[i].base, &eligible, &mergeable);
		for (unsigned int k = 0; k < PAGEMASK_WORDS; k++)
			regions[i].marks->covered.words[k] |=
				mergeable.words[k];
	}
}

static int process_plan(struct survey *survey, struct survey_process *sp,
			const struct planning_limits *limits,
			struct plan_costs *costs)
{
	struct forecast_region *regions = survey->forecast.regions +
					  sp->first_region;
	struct source source = { .regions = regions };
	struct planning_process process = {
		.vmas = &sp->vmas,
		.n_mappings = sp->n_mappings,
		.n_regions = sp->n_regions,
		.region = source_region,
		.userdata = &source,
	};
	struct ranges ranges = { 0 };
	size_t n_before = sp->vmas.n;
	uint64_t wanted;
	int r = planning_ranges(&process, limits, &ranges, &wanted);

	if (!r)
		r = ranges_cover(regions, sp->n_regions, &ranges, costs);
	registered_cover(sp, regions);
	if (!r && ranges.n)
		r = vmas_mark(&sp->vmas, ranges.v, ranges.n);
	costs->ranges = ranges.n;
	costs->splits = sp->vmas.n > n_before ? sp->vmas.n - n_before : 0;
	vec_free(&ranges);
	return r;
}

/* Each page in a range has its record with ksmd, whether it merges or not. */
static void metadata_count(const struct forecast *f, struct plan *plan)
{
	for (size_t i = 0; i < f->n; i++) {
		uint32_t page = f->records[i].page;
		const struct forecast_region *region =
			&f->regions[page / REGION_PAGES];

		if (region->marks &&
		    pagemask_test(&region->marks->covered,
				  page % REGION_PAGES) &&
		    !pagemask_test(&region->marks->merged, page % REGION_PAGES))
			plan->costs[region->owner].bytes += PLAN_PAGE_COST;
	}
	for (size_t i = 0; i < plan->n; i++) {
		struct plan_costs *c = &plan->costs[i];

		c->bytes += c->splits * (PLAN_RANGE_COST / 2);
		plan->total_costs.ranges += c->ranges;
		plan->total_costs.splits += c->splits;
		plan->total_costs.huge_pages += c->huge_pages;
		plan->total_costs.bytes += c->bytes;
	}
}

/* Those that save most first, by insertion: there are few places. */
static void order_make(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n; i++) {
		size_t at = plan->n_pairs;

		if (plan->counts[i].merging == 0)
			continue;
		while (at && plan->counts[plan->by_saved[at - 1]].saved <
				     plan->counts[i].saved)
			at--;
		if (at == PLAN_PAIRS_MAX)
			continue;
		if (plan->n_pairs < PLAN_PAIRS_MAX)
			plan->n_pairs++;
		memmove(&plan->by_saved[at + 1], &plan->by_saved[at],
			(plan->n_pairs - at - 1) * sizeof(plan->by_saved[0]));
		plan->by_saved[at] = i;
	}
}

static int pairs_make(const struct forecast *f, struct plan *plan)
{
	_cleanup_free_ int *places = malloc((plan->n + 1) * sizeof(*places));

	order_make(plan);
	plan->pairs = calloc(plan->n_pairs * plan->n_pairs + 1,
			     sizeof(*plan->pairs));
	if (!places || !plan->pairs)
		return -ENOMEM;
	for (size_t i = 0; i < plan->n; i++)
		places[i] = -1;
	for (size_t i = 0; i < plan->n_pairs; i++)
		places[plan->by_saved[i]] = (int)i;
	forecast_pairs(f, places, plan->n_pairs, plan->pairs);
	return 0;
}

int plan_make(struct survey *survey, const struct planning_limits *limits,
	      struct plan **ret)
{
	_cleanup_(plan_freep) struct plan *plan = calloc(1, sizeof(*plan));
	int r = 0;

	if (!plan)
		return -ENOMEM;
	plan->n = survey->processes.n;
	plan->counts = calloc(plan->n + 1, sizeof(*plan->counts));
	plan->costs = calloc(plan->n + 1, sizeof(*plan->costs));
	if (!plan->counts || !plan->costs)
		return -ENOMEM;
	for (size_t i = 0; !r && i < plan->n; i++)
		r = process_plan(survey, survey->processes.v[i], limits,
				 &plan->costs[i]);
	if (r)
		return r;
	forecast_count(&survey->forecast, plan->counts, &plan->total);
	metadata_count(&survey->forecast, plan);
	r = pairs_make(&survey->forecast, plan);
	if (r)
		return r;
	*ret = TAKE_PTR(plan);
	return 0;
}

struct plan *plan_free(struct plan *plan)
{
	if (plan) {
		free(plan->counts);
		free(plan->costs);
		free(plan->pairs);
		free(plan);
	}
	return NULL;
}

uint64_t plan_pair(const struct plan *plan, size_t a, size_t b)
{
	return plan->pairs[MIN(a, b) * plan->n_pairs + MAX(a, b)];
}
