/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forecast.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "search.h"

/* Bytes of a record, most significant first: the key, then the page. */
#define DIGITS 12U
/* Fewer than this are sorted by insertion. */
#define SMALL 24U

struct forecast_record forecast_record(uint64_t key, uint32_t region,
				       unsigned int page)
{
	return (struct forecast_record){ (uint32_t)(key >> 32), (uint32_t)key,
					 region * REGION_PAGES + page };
}

uint64_t forecast_key(const struct forecast_record *r)
{
	return (uint64_t)r->high << 32 | r->low;
}

static unsigned int digit(const struct forecast_record *r, unsigned int d)
{
	uint32_t word = d < 4 ? r->high : d < 8 ? r->low : r->page;

	return word >> (24 - d % 4 * 8) & 255;
}

static int compare(const struct forecast_record *a,
		   const struct forecast_record *b)
{
	uint64_t x = forecast_key(a), y = forecast_key(b);

	if (x != y)
		return x < y ? -1 : 1;
	return a->page < b->page ? -1 : a->page > b->page;
}

static void insertion(struct forecast_record *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct forecast_record r = v[i];
		size_t at = i;

		for (; at && compare(&r, &v[at - 1]) < 0; at--)
			v[at] = v[at - 1];
		v[at] = r;
	}
}

/* Move every record to the part of its digit @d (American flag sort). */
static void split(struct forecast_record *v, size_t n, unsigned int d,
		  size_t ends[FORECAST_PARTS])
{
	size_t at[FORECAST_PARTS], sum = 0;

	memset(ends, 0, FORECAST_PARTS * sizeof(ends[0]));
	for (size_t i = 0; i < n; i++)
		ends[digit(&v[i], d)]++;
	for (unsigned int p = 0; p < FORECAST_PARTS; p++) {
		at[p] = sum;
		sum += ends[p];
		ends[p] = sum;
	}
	for (unsigned int p = 0; p < FORECAST_PARTS; p++) {
		while (at[p] < ends[p]) {
			struct forecast_record r = v[at[p]];
			unsigned int to = digit(&r, d);

			while (to != p) {
				struct forecast_record other = v[at[to]];

				v[at[to]++] = r;
				r = other;
				to = digit(&r, d);
			}
			v[at[p]++] = r;
		}
	}
}

static void sort(struct forecast_record *v, size_t n, unsigned int d)
{
	size_t ends[FORECAST_PARTS], from = 0;

	if (n < SMALL || d == DIGITS) {
		insertion(v, n);
		return;
	}
	split(v, n, d, ends);
	for (unsigned int p = 0; p < FORECAST_PARTS; p++) {
		sort(v + from, ends[p] - from, d + 1);
		from = ends[p];
	}
}

void forecast_split(struct forecast_record *records, size_t n,
		    size_t ret_ends[FORECAST_PARTS])
{
	split(records, n, 0, ret_ends);
}

void forecast_sort(struct forecast_record *records, size_t n)
{
	sort(records, n, 1);
}

bool forecast_has(const struct forecast_record *records, size_t n,
		  const struct forecast_record *record)
{
	size_t at = search_first(n, i, compare(&records[i], record) >= 0);

	return at < n && compare(&records[at], record) == 0;
}

int forecast_marks_need(struct forecast_region *region)
{
	if (!region->marks)
		region->marks = calloc(1, sizeof(*region->marks));
	return region->marks ? 0 : -ENOMEM;
}

static const struct forecast_region *region_of(const struct forecast *f,
					       const struct forecast_record *r)
{
	return &f->regions[r->page / REGION_PAGES];
}

/* What is known of one record. */
struct state {
	bool merged, gone, covered;
	uint32_t owner;
};

static struct state state_of(const struct forecast *f,
			     const struct forecast_record *r)
{
	const struct forecast_region *region = region_of(f, r);
	const struct forecast_marks *m = region->marks;
	unsigned int i = r->page % REGION_PAGES;

	if (!m)
		return (struct state){ .owner = region->owner };
	return (struct state){ pagemask_test(&m->merged, i),
			       pagemask_test(&m->gone, i),
			       pagemask_test(&m->covered, i), region->owner };
}

/* One behind the last record that is equal to the one at @from. */
static size_t group_end(const struct forecast *f, size_t from)
{
	uint64_t key = forecast_key(&f->records[from]);
	size_t to = from + 1;

	while (to < f->n && forecast_key(&f->records[to]) == key)
		to++;
	return to;
}

bool forecast_is_new(const struct forecast *f, size_t i, uint32_t *ret_owner)
{
	struct state s = state_of(f, &f->records[i]);

	*ret_owner = s.owner;
	return !s.gone && !s.merged;
}

bool forecast_next(const struct forecast *f, struct forecast_group *group)
{
	struct forecast_group g = { .from = group->to };

	if (g.from >= f->n)
		return false;
	g.to = group_end(f, g.from);
	g.zero = forecast_key(&f->records[g.from]) == FORECAST_ZERO;
	for (size_t i = g.from; i < g.to; i++) {
		struct state s = state_of(f, &f->records[i]);

		g.n_new += !s.gone && !s.merged;
		g.n_merged += !s.gone && s.merged;
	}
	*group = g;
	return true;
}

static int twin_set(struct forecast *f, const struct forecast_record *r)
{
	struct forecast_region *region = &f->regions[r->page / REGION_PAGES];
	int rc = forecast_marks_need(region);

	if (!rc)
		pagemask_set(&region->marks->twin, r->page % REGION_PAGES);
	return rc;
}

int forecast_mark(struct forecast *f, uint64_t *ret_twins)
{
	uint64_t twins = 0;
	size_t to;

	for (size_t i = 0; i < f->n_regions; i++)
		if (f->regions[i].marks)
			memset(&f->regions[i].marks->twin, 0,
			       sizeof(struct pagemask));
	for (size_t from = 0; from < f->n; from = to) {
		bool zero = forecast_key(&f->records[from]) == FORECAST_ZERO;
		size_t n = 0;

		to = group_end(f, from);
		for (size_t i = from; to - from > 1 && i < to; i++)
			n += !state_of(f, &f->records[i]).gone;
		if (n < 2 && !(zero && f->zero_pages))
			continue;
		for (size_t i = from; i < to; i++) {
			if (state_of(f, &f->records[i]).gone)
				continue;
			if (twin_set(f, &f->records[i]))
				return -ENOMEM;
			twins++;
		}
	}
	*ret_twins = twins;
	return 0;
}

/* Frames that merging @n_new of equal content frees. */
static uint64_t freed(const struct forecast *f, bool zero, uint64_t n_new,
		      uint64_t n_merged)
{
	if (zero && f->zero_pages)
		return n_new;
	if (!n_new || n_new + n_merged < 2)
		return 0;
	n_new -= !n_merged;
	return n_new - n_new / MAX(f->max_sharing, (uint64_t)2);
}

/* Give each owner in [from, to) its part; records of one owner are together. */
static void shares_add(const struct forecast *f, size_t from, size_t to,
		       double share, struct forecast_counts *owners,
		       struct forecast_counts *total)
{
	bool zero = forecast_key(&f->records[from]) == FORECAST_ZERO;
	uint64_t n_own = 0;

	for (size_t i = from; i < to; i++) {
		struct state s = state_of(f, &f->records[i]);
		struct forecast_counts *o = &owners[s.owner];
		bool last = i + 1 == to ||
			    state_of(f, &f->records[i + 1]).owner != s.owner;

		if (!s.gone && !s.merged && s.covered) {
			o->saved += share;
			o->merging++;
			o->zero += zero && share > 0;
			n_own++;
		}
		if (last && !zero && n_own > 1) {
			o->inside += n_own - 1;
			total->inside += n_own - 1;
		}
		n_own = last ? 0 : n_own;
	}
}

static void group_count(const struct forecast *f, size_t from, size_t to,
			struct forecast_counts *owners,
			struct forecast_counts *total)
{
	bool zero = forecast_key(&f->records[from]) == FORECAST_ZERO;
	uint64_t n_new = 0, n_merged = 0, n;

	for (size_t i = from; i < to; i++) {
		const struct forecast_record *r = &f->records[i];
		struct state s = state_of(f, r);
		const struct forecast_marks *m = region_of(f, r)->marks;

		if (s.gone) {
			owners[s.owner].gone++;
			total->gone++;
		} else if (s.merged) {
			n_merged++;
		} else if (s.covered) {
			n_new++;
		} else if (m &&
			   pagemask_test(&m->twin, r->page % REGION_PAGES)) {
			owners[s.owner].left++;
			total->left++;
		}
	}
	n = freed(f, zero, n_new, n_merged);
	if (!n)
		return;
	total->saved += (double)n;
	total->merging += n_new;
	total->zero += zero ? n : 0;
	shares_add(f, from, to, (double)n / (double)n_new, owners, total);
}

void forecast_count(const struct forecast *f, struct forecast_counts *owners,
		    struct forecast_counts *ret_total)
{
	struct forecast_counts total = { 0 };
	size_t to;

	for (size_t from = 0; from < f->n; from = to) {
		to = group_end(f, from);
		group_count(f, from, to, owners, &total);
	}
	*ret_total = total;
}

void forecast_pairs(const struct forecast *f, const int *places, size_t n,
		    uint64_t *matrix)
{
	size_t to;

	for (size_t from = 0; from < f->n; from = to) {
		size_t n_in = 0;
		int last = -1, in[64];

		to = group_end(f, from);
		if (to - from < 2 ||
		    forecast_key(&f->records[from]) == FORECAST_ZERO)
			continue;
		for (size_t i = from; i < to && n_in < ARRAY_SIZE(in); i++) {
			struct state s = state_of(f, &f->records[i]);
			int place = places[s.owner];

			if (s.gone || !(s.covered || s.merged) || place < 0 ||
			    place == last)
				continue;
			in[n_in++] = last = place;
		}
		for (size_t i = 0; i < n_in; i++)
			for (size_t k = i + 1; k < n_in; k++) {
				size_t a = (size_t)MIN(in[i], in[k]);
				size_t b = (size_t)MAX(in[i], in[k]);

				matrix[a * n + b]++;
			}
	}
}
