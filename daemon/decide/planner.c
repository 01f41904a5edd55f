/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "planner.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* A range of the plan while it is made. */
struct draft {
	uint64_t start;
	uint64_t end;
	uint64_t wanted; /* pages in it that are wanted */
	uint64_t enrolled; /* pages in it that are mergeable already */
	uint32_t n_enrolled; /* ... in so many ranges */
	uint64_t gap; /* pages up to the next draft; 0: not to be filled */
};

struct drafts VEC(struct draft);

#define NO_GAP 0

static uint64_t pages(uint64_t start, uint64_t end)
{
	return (end - start) / PAGE_BYTES;
}

/* Whether [start, end) lies in one of @list, from *at on (both ascend). */
static bool inside(const struct ranges *list, size_t *at, uint64_t start,
		   uint64_t end)
{
	while (*at < list->n && list->v[*at].end <= start)
		(*at)++;
	return *at < list->n && list->v[*at].start <= start &&
	       end <= list->v[*at].end;
}

static int drafts_make(const struct plan_runs *runs,
		       const struct ranges *mappings, struct drafts *drafts)
{
	size_t at = 0;

	for (size_t i = 0; i < runs->n; i++) {
		const struct plan_run *run = &runs->v[i];
		uint64_t n = pages(run->start, run->end);
		struct draft d = {
			.start = run->start,
			.end = run->end,
			.wanted = run->enrolled ? 0 : n,
			.enrolled = run->enrolled ? n : 0,
			.n_enrolled = run->enrolled,
		};
		uint64_t next = i + 1 < runs->n ? runs->v[i + 1].start : 0;

		if (next == run->end)
			d.gap = NO_GAP; /* they touch: joined for nothing */
		else if (next && inside(mappings, &at, run->start, next))
			d.gap = pages(run->end, next);
		if (vec_push(drafts, d))
			return -ENOMEM;
	}
	return 0;
}

/* Join each draft with its successor where the gap is at most @gap_max, or
 * none. */
static void drafts_join(struct drafts *drafts, uint64_t gap_max)
{
	size_t out = 0;

	if (!drafts->n)
		return;
	for (size_t i = 1; i < drafts->n; i++) {
		struct draft *last = &drafts->v[out], *d = &drafts->v[i];
		bool touches = last->end == d->start;

		if (touches || (last->gap && last->gap <= gap_max)) {
			last->end = d->end;
			last->wanted += d->wanted;
			last->enrolled += d->enrolled;
			last->n_enrolled += d->n_enrolled;
			last->gap = d->gap;
		} else {
			drafts->v[++out] = *d;
		}
	}
	drafts->n = out + 1;
}

static int u64_compare(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/* Fill the smallest gaps until at most @max drafts are left, if possible. */
static int drafts_limit(struct drafts *drafts, uint32_t max)
{
	_cleanup_free_ uint64_t *gaps = NULL;
	size_t n_gaps = 0, excess, n_equal = 0;
	uint64_t gap_max;

	if (drafts->n <= max)
		return 0;
	excess = drafts->n - max;
	gaps = malloc(drafts->n * sizeof(*gaps));
	if (!gaps)
		return -ENOMEM;
	for (size_t i = 0; i < drafts->n; i++)
		if (drafts->v[i].gap && drafts->v[i].gap <= PLAN_GAP_MAX_PAGES)
			gaps[n_gaps++] = drafts->v[i].gap;
	if (!n_gaps)
		return 0;
	qsort(gaps, n_gaps, sizeof(*gaps), u64_compare);
	excess = MIN(excess, n_gaps);
	gap_max = gaps[excess - 1];
	/* of the gaps as long as the last one filled, spare those not needed */
	for (size_t i = excess; i < n_gaps && gaps[i] == gap_max; i++)
		n_equal++;
	for (size_t i = drafts->n; n_equal && i-- > 0;) {
		if (drafts->v[i].gap == gap_max) {
			drafts->v[i].gap = NO_GAP;
			n_equal--;
		}
	}
	drafts_join(drafts, gap_max);
	return 0;
}

static int draft_compare_wanted(const void *pa, const void *pb)
{
	const struct draft *const *a = pa, *const *b = pb;

	if ((*a)->wanted != (*b)->wanted)
		return (*a)->wanted < (*b)->wanted ? 1 : -1;
	return (*a)->start < (*b)->start ? -1 : 1;
}

/* A gap was filled to make room for other ranges: without it there is none. */
static bool makes_room(const struct draft *d)
{
	return d->n_enrolled > 1;
}

/*
 * Of what is to become one range, keep the part that gives most: its ends may
 * be too far from the rest. A draft with enrolled pages stays as it is.
 */
static void draft_trim(struct draft *d, const struct plan_runs *runs,
		       size_t *at)
{
	struct draft part = { 0 }, best = { 0 };
	int64_t gain = 0, best_gain = 0;

	while (*at < runs->n && runs->v[*at].end <= d->start)
		(*at)++;
	for (size_t i = *at; i < runs->n && runs->v[i].start < d->end; i++) {
		uint64_t start = MAX(runs->v[i].start, d->start);
		uint64_t end = MIN(runs->v[i].end, d->end);
		uint64_t n = pages(start, end);

		if (part.end)
			gain -= (int64_t)(pages(part.end, start) *
					  PLAN_PAGE_COST);
		if (gain <= 0) {
			gain = 0;
			part = (struct draft){ .start = start };
		}
		part.end = end;
		part.wanted += n;
		gain += (int64_t)(n * (PAGE_BYTES - PLAN_PAGE_COST));
		if (gain > best_gain) {
			best_gain = gain;
			best = part;
		}
	}
	best.gap = d->gap;
	*d = best;
}

static bool is_worth(const struct draft *d)
{
	uint64_t n = pages(d->start, d->end) - d->enrolled;
	uint64_t cost = n * PLAN_PAGE_COST;

	if (!d->enrolled)
		cost += PLAN_RANGE_COST;
	return d->wanted * PAGE_BYTES > cost;
}

/*
 * Drop what costs more than it gives, and of what cannot be joined the
 * ranges with the fewest duplicates. What is enrolled stays.
 */
static int drafts_drop(struct drafts *drafts, const struct plan_runs *runs,
		       uint32_t max)
{
	_cleanup_free_ struct draft **order = NULL;
	size_t n_new = 0, n_enrolled = 0, out = 0, at = 0;

	order = malloc((drafts->n + 1) * sizeof(struct draft *));
	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < drafts->n; i++) {
		struct draft *d = &drafts->v[i];

		if (!d->enrolled)
			draft_trim(d, runs, &at);
		if (!is_worth(d))
			d->wanted = 0;
		if (d->enrolled)
			n_enrolled++;
		else if (d->wanted)
			order[n_new++] = d;
	}
	qsort(order, n_new, sizeof(struct draft *), draft_compare_wanted);
	for (size_t i = max > n_enrolled ? max - n_enrolled : 0; i < n_new; i++)
		order[i]->wanted = 0;
	for (size_t i = 0; i < drafts->n; i++)
		if (drafts->v[i].wanted || drafts->v[i].enrolled)
			drafts->v[out++] = drafts->v[i];
	drafts->n = out;
	return 0;
}

/* Append [start, end) without the runs that are enrolled. */
static int range_emit(const struct plan_runs *runs, size_t *at, uint64_t start,
		      uint64_t end, struct ranges *ret)
{
	while (*at < runs->n && runs->v[*at].end <= start)
		(*at)++;
	for (size_t i = *at; i < runs->n && runs->v[i].start < end; i++) {
		const struct plan_run *run = &runs->v[i];

		if (!run->enrolled)
			continue;
		if (run->start > start &&
		    vec_push(ret, ((struct range){ start, run->start })))
			return -ENOMEM;
		start = MAX(start, run->end);
	}
	if (start < end)
		return vec_push(ret, ((struct range){ start, end }));
	return 0;
}

static uint64_t wanted_in(const struct plan_runs *runs, size_t from,
			  uint64_t start, uint64_t end)
{
	uint64_t n = 0;

	for (size_t i = from; i < runs->n && runs->v[i].start < end; i++)
		if (runs->v[i].end > start)
			n += pages(MAX(runs->v[i].start, start),
				   MIN(runs->v[i].end, end));
	return n;
}

/* The part of a draft in [start, end), from its first run to its last. */
static int piece_add(const struct plan_runs *runs, size_t from, uint64_t start,
		     uint64_t end, struct drafts *pieces)
{
	struct draft piece = { 0 };

	for (size_t i = from; i < runs->n && runs->v[i].start < end; i++) {
		const struct plan_run *run = &runs->v[i];
		uint64_t first = MAX(run->start, start);
		uint64_t n;

		if (run->end <= start)
			continue;
		if (!piece.end)
			piece.start = first;
		piece.end = MIN(run->end, end);
		n = pages(first, piece.end);
		piece.wanted += run->enrolled ? 0 : n;
		piece.enrolled += run->enrolled ? n : 0;
		piece.n_enrolled += run->enrolled;
	}
	return piece.end ? vec_push(pieces, piece) : 0;
}

/* The first page in [start, end) that is in no run; @end if all are. */
static uint64_t gap_in(const struct plan_runs *runs, size_t from,
		       uint64_t start, uint64_t end)
{
	for (size_t i = from; i < runs->n && runs->v[i].start <= start; i++)
		start = MAX(start, runs->v[i].end);
	return MIN(start, end);
}

/*
 * A region that is mergeable from end to end is one mapping, which
 * khugepaged may collapse; it takes up to max_ptes_shared merged pages back.
 * Such a region is cut at its first gap: our own boundary protects it then.
 */
static int draft_cut(const struct draft *d, const struct plan_runs *runs,
		     size_t *at, const struct ranges *collapsible,
		     const struct plan_limits *limits, struct drafts *pieces)
{
	uint64_t start = d->start;
	uint64_t region = (start + REGION_BYTES - 1) & ~(REGION_BYTES - 1);
	size_t here = *at, c = 0;
	int r = 0;

	for (; !r && region + REGION_BYTES <= d->end; region += REGION_BYTES) {
		uint64_t end = region + REGION_BYTES, gap;

		while (here < runs->n && runs->v[here].end <= region)
			here++;
		if (!inside(collapsible, &c, region, end) ||
		    wanted_in(runs, here, region, end) >
			    limits->max_ptes_shared)
			continue;
		gap = gap_in(runs, here, region, end);
		r = piece_add(runs, *at, start, gap, pieces);
		start = MIN(gap + PAGE_BYTES, end);
		*at = here;
	}
	while (*at < runs->n && runs->v[*at].end <= start)
		(*at)++;
	return r ? r : piece_add(runs, *at, start, d->end, pieces);
}

/* Cut such regions in all drafts; what comes of it may be too many again. */
static int drafts_cut(struct drafts *drafts, const struct plan_runs *runs,
		      const struct ranges *collapsible,
		      const struct plan_limits *limits, uint32_t max)
{
	struct drafts pieces = { 0 };
	size_t at = 0;
	int r = 0;

	if (!limits->max_ptes_shared)
		return 0;
	for (size_t i = 0; !r && i < drafts->n; i++)
		r = draft_cut(&drafts->v[i], runs, &at, collapsible, limits,
			      &pieces);
	if (r) {
		vec_free(&pieces);
		return r;
	}
	vec_free(drafts);
	*drafts = pieces;
	drafts_join(drafts, NO_GAP);
	return drafts_drop(drafts, runs, max);
}

static uint32_t count_enrolled(const struct plan_runs *runs)
{
	uint32_t n = 0;

	for (size_t i = 0; i < runs->n; i++)
		n += runs->v[i].enrolled;
	return n;
}

int planner_plan(const struct plan_runs *runs, const struct ranges *mappings,
		 const struct ranges *collapsible,
		 const struct plan_limits *limits, struct ranges *ret)
{
	/* no gap is filled because the process itself has marked so many */
	uint32_t max = MAX(limits->max_ranges, count_enrolled(runs));
	struct drafts drafts = { 0 };
	size_t at = 0;
	int r = drafts_make(runs, mappings, &drafts);

	drafts_join(&drafts, PLAN_GAP_PAGES);
	if (!r)
		r = drafts_limit(&drafts, max);
	if (!r)
		r = drafts_drop(&drafts, runs, max);
	if (!r)
		r = drafts_cut(&drafts, runs, collapsible, limits, max);
	for (size_t i = 0; !r && i < drafts.n; i++)
		if (drafts.v[i].wanted || makes_room(&drafts.v[i]))
			r = range_emit(runs, &at, drafts.v[i].start,
				       drafts.v[i].end, ret);
	vec_free(&drafts);
	return r;
}

uint64_t planner_usable(uint64_t max_map_count)
{
	return max_map_count - max_map_count / PLAN_RESERVED_PART;
}

uint32_t planner_max_ranges(uint32_t max_ranges, uint32_t n_enrolled,
			    uint64_t n_mappings, uint64_t max_map_count)
{
	uint64_t usable = planner_usable(max_map_count);
	uint64_t left = usable > n_mappings ? usable - n_mappings : 0;
	uint64_t allowed = n_enrolled + left / 20 / 2;

	return (uint32_t)MIN((uint64_t)max_ranges, allowed);
}
