/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "placement.h"

#include <errno.h>
#include <math.h> /* for INFINITY alone */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "sharing.h"

/* A deviation below 1/200 of a process's pages is even enough (aim: 1/100), */
#define TOLERANCE 200
/* ... and so is one of a page. */
#define TOLERANCE_PAGES 1.0

/* Groups are balanced against each other so often; it is nearly always done
 * after two. */
#define PASSES 8

/* Pages that the same processes map. */
struct group {
	size_t first;
	size_t n;
};

struct work {
	const struct placement *in;
	struct group *groups;
	size_t n_groups;
	uint32_t *want; /* pages of group g on node v: [g * n_nodes + v] */
	double *excess; /* of process p on node v, over what is due to it */
	struct placement_share *shares;
};

static double distance(double a, double b)
{
	return a > b ? a - b : b - a;
}

/* --- groups ------------------------------------------------------------------- */

struct sorted {
	uint64_t key;
	uint64_t order;
	struct placement_page page;
};

static int compare_sorted(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	if (x->page.fixed != y->page.fixed)
		return x->page.fixed ? 1 : -1;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Bring the pages into groups; in a group, into an order by chance. */
static int sort_pages(struct work *w)
{
	const struct placement *in = w->in;
	_cleanup_free_ struct sorted *sorted = calloc(in->n_pages + 1,
						      sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < in->n_pages; i++)
		sorted[i] = (struct sorted){
			.key = sharing_key(in, &in->pages[i]),
			.order = sharing_mix(in->seed ^ in->pages[i].frame),
			.page = in->pages[i],
		};
	qsort(sorted, in->n_pages, sizeof(*sorted), compare_sorted);
	for (size_t i = 0; i < in->n_pages; i++) {
		in->pages[i] = sorted[i].page;
		in->pages[i].to = in->pages[i].node;
		if (in->pages[i].fixed)
			continue;
		if (!i || sorted[i].key != sorted[i - 1].key)
			w->groups[w->n_groups++] = (struct group){ i, 0 };
		w->groups[w->n_groups - 1].n++;
	}
	return 0;
}

static uint32_t *wanted(const struct work *w, size_t group)
{
	return w->want + group * w->in->n_nodes;
}

static double tolerance(double pages)
{
	return MAX(TOLERANCE_PAGES, pages / TOLERANCE);
}

/*
 * Split a group by @weights: whole pages first, from nodes with too many to
 * those with too few. What is left is less than a page for each node.
 */
static void split(const struct placement *in, size_t n, const double *weights,
		  uint32_t *want)
{
	double worst = 0;

	for (uint32_t v = 0; v < in->n_nodes; v++)
		if (weights[v] > 0)
			worst = MAX(worst,
				    distance(want[v], weights[v] * (double)n));
		else if (want[v])
			worst = INFINITY; /* nobody lives there */
	if (worst <= tolerance((double)n))
		return;
	for (;;) {
		uint32_t from = 0, to = 0;
		double over = -INFINITY, under = -INFINITY;

		for (uint32_t v = 0; v < in->n_nodes; v++) {
			double d = want[v] - weights[v] * (double)n;

			if (want[v] && !(weights[v] > 0))
				d += (double)n; /* first of all */
			if (d > over) {
				over = d;
				from = v;
			}
			if (weights[v] > 0 && -d > under) {
				under = -d;
				to = v;
			}
		}
		if (over + under <= 1 || from == to)
			return;
		double m = MAX(1, (double)(uint32_t)(MIN(over, under)));

		m = MIN(m, want[from]);
		want[from] -= (uint32_t)m;
		want[to] += (uint32_t)m;
	}
}

/* --- processes ---------------------------------------------------------------- */

static double *excess_of(const struct work *w, uint32_t process)
{
	return w->excess + (size_t)process * w->in->n_nodes;
}

/* What a group gives to and takes from those who share it, over what is due. */
static void group_count(struct work *w, size_t g)
{
	const struct placement *in = w->in;
	const struct placement_page *page = &in->pages[w->groups[g].first];
	struct sharers s = sharers_of(in, page);
	double weights[PLACEMENT_NODES];
	double n = (double)w->groups[g].n;
	uint32_t p;

	sharing_weigh(in, page, weights);
	while (sharers_next(&s, &p)) {
		w->shares[p].pages += w->groups[g].n;
		for (uint32_t v = 0; v < in->n_nodes; v++)
			if (sharing_is_home(in, p, v))
				excess_of(w, p)[v] += wanted(w, g)[v] -
						      weights[v] * n;
	}
}

/*
 * How much there is to be put right: what processes have too much or too
 * little beyond what is tolerated, and pages where no sharer lives.
 */
static double uneven(struct work *w)
{
	const struct placement *in = w->in;
	double sum = 0;

	memset(w->excess, 0,
	       in->n_processes * in->n_nodes * sizeof(*w->excess));
	memset(w->shares, 0, in->n_processes * sizeof(*w->shares));
	for (size_t g = 0; g < w->n_groups; g++) {
		const struct placement_page *page =
			&in->pages[w->groups[g].first];
		double weights[PLACEMENT_NODES];

		group_count(w, g);
		sharing_weigh(in, page, weights);
		for (uint32_t v = 0; v < in->n_nodes; v++)
			if (!(weights[v] > 0))
				sum += wanted(w, g)[v];
	}
	for (uint32_t p = 0; p < in->n_processes; p++)
		for (uint32_t v = 0; v < in->n_nodes; v++)
			sum += MAX(0,
				   distance(excess_of(w, p)[v], 0) -
					   tolerance(
						   (double)w->shares[p].pages));
	return sum;
}

/* Of one group: how much too much its sharers have on each node, together. */
struct sums {
	double excess[PLACEMENT_NODES];
	uint32_t n[PLACEMENT_NODES]; /* sharers that live there */
	double tolerance;
};

static void sums_read(const struct work *w, size_t g, struct sums *ret)
{
	const struct placement *in = w->in;
	struct sharers s = sharers_of(in, &in->pages[w->groups[g].first]);
	uint32_t p;

	memset(ret, 0, sizeof(*ret));
	ret->tolerance = INFINITY;
	while (sharers_next(&s, &p)) {
		ret->tolerance = MIN(ret->tolerance,
				     tolerance((double)w->shares[p].pages));
		for (uint32_t v = 0; v < in->n_nodes; v++) {
			if (!sharing_is_home(in, p, v))
				continue;
			ret->excess[v] += excess_of(w, p)[v];
			ret->n[v]++;
		}
	}
}

static void group_move(struct work *w, size_t g, uint32_t from, uint32_t to,
		       uint32_t n)
{
	const struct placement *in = w->in;
	struct sharers s = sharers_of(in, &in->pages[w->groups[g].first]);
	uint32_t p;

	wanted(w, g)[from] -= n;
	wanted(w, g)[to] += n;
	while (sharers_next(&s, &p)) {
		if (sharing_is_home(in, p, from))
			excess_of(w, p)[from] -= n;
		if (sharing_is_home(in, p, to))
			excess_of(w, p)[to] += n;
	}
}

/* One move of pages of the group, where it helps most. False: nowhere. */
static bool group_level(struct work *w, size_t g)
{
	const struct placement *in = w->in;
	uint32_t from = 0, to = 0;
	struct sums sums;
	double most = 0;

	sums_read(w, g, &sums);
	for (uint32_t a = 0; a < in->n_nodes; a++) {
		if (!wanted(w, g)[a])
			continue;
		for (uint32_t b = 0; b < in->n_nodes; b++) {
			double x = (sums.excess[a] - sums.excess[b]) /
				   (sums.n[a] + sums.n[b]);

			if (a == b || !sums.n[b] || x <= most)
				continue;
			most = x;
			from = a;
			to = b;
		}
	}
	/* it has to bring more than half a page to be worth one */
	if (most <= sums.tolerance / 2)
		return false;
	group_move(w, g, from, to,
		   (uint32_t)MIN(MAX(1, (double)(uint32_t)(most)),
				 wanted(w, g)[from]));
	return true;
}

static void level(struct work *w)
{
	for (unsigned int pass = 0; pass < PASSES; pass++) {
		bool moved = false;

		for (size_t g = 0; g < w->n_groups; g++)
			for (uint32_t v = 0; v < w->in->n_nodes; v++)
				if (!group_level(w, g))
					break;
				else
					moved = true;
		if (!moved)
			break;
	}
}

/* --- the plan ----------------------------------------------------------------- */

static void count_wanted(struct work *w)
{
	memset(w->want, 0, w->n_groups * w->in->n_nodes * sizeof(*w->want));
	for (size_t g = 0; g < w->n_groups; g++)
		for (size_t i = 0; i < w->groups[g].n; i++)
			wanted(w,
			       g)[w->in->pages[w->groups[g].first + i].node]++;
}

static void split_all(struct work *w)
{
	for (size_t g = 0; g < w->n_groups; g++) {
		double weights[PLACEMENT_NODES];

		sharing_weigh(w->in, &w->in->pages[w->groups[g].first],
			      weights);
		split(w->in, w->groups[g].n, weights, wanted(w, g));
	}
}

/* Pages stay as long as their node wants them; the rest goes where some are
 * missing. */
static void send(struct work *w, size_t g)
{
	struct placement_page *pages = &w->in->pages[w->groups[g].first];
	uint32_t *left = wanted(w, g), to = 0;

	for (size_t i = 0; i < w->groups[g].n; i++) {
		if (left[pages[i].node])
			left[pages[i].node]--;
		else
			pages[i].to = UINT8_MAX;
	}
	for (size_t i = 0; i < w->groups[g].n; i++) {
		if (pages[i].to != UINT8_MAX)
			continue;
		while (!left[to])
			to++;
		left[to]--;
		pages[i].to = (uint8_t)to;
	}
}

static int work_new(const struct placement *in, struct work *w)
{
	*w = (struct work){ .in = in };
	w->groups = calloc(in->n_pages + 1, sizeof(*w->groups));
	w->want = calloc(in->n_pages + 1, in->n_nodes * sizeof(*w->want));
	w->excess = calloc(in->n_processes + 1,
			   in->n_nodes * sizeof(*w->excess));
	w->shares = calloc(in->n_processes + 1, sizeof(*w->shares));
	return w->groups && w->want && w->excess && w->shares ? 0 : -ENOMEM;
}

static void work_clear(struct work *w)
{
	free(w->groups);
	free(w->want);
	free(w->excess);
	free(w->shares);
}

int placement_plan(const struct placement *in)
{
	_cleanup_(work_clear) struct work w;
	double before;
	int r = work_new(in, &w);

	if (!r)
		r = sort_pages(&w);
	if (r)
		return r;
	count_wanted(&w);
	before = uneven(&w);
	if (!(before > 0))
		return 0;
	split_all(&w);
	uneven(&w); /* for the excess that is left */
	level(&w);
	/* never to and fro: moving has to bring something, each time */
	if (uneven(&w) > before * 0.9)
		return 0;
	for (size_t g = 0; g < w.n_groups; g++)
		send(&w, g);
	return 0;
}
