/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sampled.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "planner.h"
#include "reader.h"
#include "survey.h"

/* What one process is to be lowered by, for a page outside of huge pages. */
static double process_left(const struct survey *survey,
			   const struct survey_process *sp,
			   const struct planning_limits *limits)
{
	uint32_t ranges = planner_max_ranges(limits->max_ranges, 0,
					     sp->n_mappings,
					     limits->max_map_count);

	if (sp->vmas.n > ranges)
		return 1;
	if ((double)sp->looked / survey->share <= ranges)
		return 0;
	return (double)PLAN_PAGE_COST / PAGE_BYTES;
}

/* The part of a region's pages that registered themselves. */
static double registered(const struct survey_process *sp, uint64_t base)
{
	struct pagemask eligible, mergeable;
	unsigned int n;

	reader_masks(&sp->vmas, base, &eligible, &mergeable);
	n = pagemask_count(&eligible);
	return n ? (double)pagemask_count(&mergeable) / n : 0;
}

/* Frames that the planner may leave, at most. */
static double left_most(const struct survey *survey,
			const struct planning_limits *limits)
{
	const struct forecast *f = &survey->forecast;
	_cleanup_free_ uint16_t *met = calloc(f->n_regions + 1, sizeof(*met));
	double left = 0;

	if (!met)
		return -1;
	for (size_t i = 0; i < f->n; i++)
		met[f->records[i].page / REGION_PAGES]++;
	for (size_t i = 0; i < f->n_regions; i++) {
		const struct forecast_region *region = &f->regions[i];
		const struct survey_process *sp =
			survey->processes.v[region->owner];
		double part;

		if (!met[i])
			continue;
		part = process_left(survey, sp, limits);
		if (region->huge)
			part = fmax(part,
				    (PLAN_HUGE_PAGES - 1.0) / REGION_PAGES);
		if (part > 0)
			left += met[i] * part *
				(1 - registered(sp, region->base));
	}
	return left / survey->share;
}

/* What one group says. */
static void group_add(const struct forecast *f, const struct forecast_group *g,
		      struct estimate_sample *sample, struct sampled *s)
{
	bool twins = g->n_new + g->n_merged > 1;

	if (g->zero)
		sample->zeros += g->n_new;
	else
		estimate_met(sample, g->n_new + g->n_merged);
	if (g->to - g->from > 1 || g->zero)
		s->n_volatile += g->to - g->from - g->n_new - g->n_merged;
	for (size_t i = g->from; (twins || g->zero) && i < g->to; i++) {
		uint32_t owner;

		if (!forecast_is_new(f, i, &owner))
			continue;
		s->processes[owner].n_zeros += g->zero;
		s->processes[owner].n_twins += !g->zero;
	}
}

/* Each process's part: of zeros its own, of the rest as twins were met. */
static void processes_share(struct sampled *s, size_t n,
			    const struct estimate_sample *sample,
			    double contents)
{
	uint64_t n_twins = 0;

	for (size_t i = 0; i < n; i++)
		n_twins += s->processes[i].n_twins;
	for (size_t i = 0; i < n; i++) {
		struct sampled_process *p = &s->processes[i];

		if (sample->zeros)
			p->zero = s->zeros.best * (double)p->n_zeros /
				  (double)sample->zeros;
		p->saved = p->zero;
		if (n_twins)
			p->saved += contents * (double)p->n_twins /
				    (double)n_twins;
	}
}

int sampled_make(const struct survey *survey,
		 const struct planning_limits *limits, struct sampled **ret)
{
	_cleanup_(sampled_freep) struct sampled *s = calloc(1, sizeof(*s));
	struct estimate_sample sample = { .share = survey->share };
	const struct forecast *f = &survey->forecast;
	struct estimate_interval contents;
	struct forecast_group group = { 0 };
	int r;

	if (!s)
		return -ENOMEM;
	s->processes = calloc(survey->processes.n + 1, sizeof(*s->processes));
	if (!s->processes)
		return -ENOMEM;
	while (forecast_next(f, &group))
		group_add(f, &group, &sample, s);
	r = estimate_freed(&sample, f->max_sharing, f->zero_pages, &contents,
			   &s->zeros);
	if (r)
		return r;
	s->left = left_most(survey, limits);
	if (s->left < 0)
		return -ENOMEM;
	s->saved.best = contents.best + s->zeros.best;
	s->saved.low = fmax(contents.low + s->zeros.low - s->left, 0);
	s->saved.high = fmin(contents.high + s->zeros.high,
			     (double)survey->n_present);
	processes_share(s, survey->processes.n, &sample, contents.best);
	*ret = TAKE_PTR(s);
	return 0;
}

struct sampled *sampled_free(struct sampled *s)
{
	if (s) {
		free(s->processes);
		free(s);
	}
	return NULL;
}
