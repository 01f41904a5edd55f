/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "settle.h"

#include <stdlib.h>

#include "cleanup.h"

#define COMPARE(a, b)                                                          \
	do {                                                                   \
		if ((a) != (b))                                                \
			return (a) < (b) ? -1 : 1;                             \
	} while (0)

static int item_compare(const void *pa, const void *pb)
{
	const struct settle_item *a = pa, *b = pb;

	COMPARE(a->zero, b->zero);
	COMPARE(a->domain, b->domain);
	COMPARE(a->hash, b->hash);
	COMPARE(a->pfn, b->pfn);
	COMPARE(a->ref.region, b->ref.region);
	COMPARE(a->ref.page, b->ref.page);
	return 0;
}

static bool same_group(const struct settle_item *a, const struct settle_item *b)
{
	return !a->zero && !b->zero && a->domain == b->domain &&
	       a->hash == b->hash;
}

/* One behind the last item of the group that starts at @from. */
static size_t group_end(const struct settle *settle, size_t from)
{
	size_t to = from + 1;

	while (to < settle->n && same_group(&settle->v[from], &settle->v[to]))
		to++;
	return to;
}

uint64_t settle_group(struct settle *settle)
{
	uint64_t n_confirmed = 0;
	size_t to;

	if (settle->n)
		qsort(settle->v, settle->n, sizeof(settle->v[0]), item_compare);
	for (size_t from = 0; from < settle->n; from = to) {
		bool equal;

		to = group_end(settle, from);
		/* sorted by frame: the ends differ if any two do */
		equal = settle->v[from].zero ||
			settle->v[from].pfn != settle->v[to - 1].pfn;
		for (size_t i = from; i < to; i++)
			settle->v[i].confirmed = equal;
		settle->v[from].alone = !equal && to - from == 1;
		n_confirmed += equal ? to - from : 0;
	}
	return n_confirmed;
}

static uint64_t group_promise(const struct settle_item *items, size_t n,
			      uint64_t max_sharing)
{
	uint64_t pfn = 0, n_frames = 0, n_new = 0, n_merged = 0;

	for (size_t i = 0; i < n; i++) {
		if (!items[i].confirmed || !items[i].covered)
			continue;
		n_frames += items[i].pfn != pfn;
		pfn = items[i].pfn;
		if (items[i].merged)
			n_merged++;
		else
			n_new++;
	}
	if (n && items[0].zero)
		return n_new;
	if (n_frames < 2 || !n_new)
		return 0;
	/* one of them becomes the shared page, if there is none yet */
	n_new -= !n_merged;
	return n_new - n_new / MAX(max_sharing, (uint64_t)2);
}

uint64_t settle_promise(const struct settle *settle, uint64_t max_sharing)
{
	uint64_t promise = 0;
	size_t to;

	for (size_t from = 0; from < settle->n; from = to) {
		to = group_end(settle, from);
		promise += group_promise(&settle->v[from], to - from,
					 max_sharing);
	}
	return promise;
}
