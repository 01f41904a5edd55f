/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watched.h"

#include <stdlib.h>

#include "cleanup.h"
#include "clock.h"
#include "search.h"

/* How long a first pass may begin again and again. */
#define GROWING_USEC (10 * USEC_PER_SEC)

bool watched_is_new(const struct watched *w)
{
	return w->first_pass ||
	       clock_usec(CLOCK_MONOTONIC) < w->found_usec + WATCH_NEW_USEC;
}

/* A sixteenth more, or 4 MiB. */
bool watched_is_growing(const struct watched *w)
{
	uint64_t more = MAX(w->resident / 16, (uint64_t)1024);

	return w->n_passes == 0 && !w->fresh && !w->gone && !w->dropped &&
	       clock_usec(CLOCK_MONOTONIC) < w->found_usec + GROWING_USEC &&
	       process_resident(w->process.dir) > w->resident + more;
}

struct watched_region *watched_region_at(struct watched *w, uint64_t base)
{
	size_t at = search_first(w->regions.n, i, w->regions.v[i].base >= base);

	return at < w->regions.n && w->regions.v[at].base == base
		       ? &w->regions.v[at]
		       : NULL;
}

struct watched *watched_ref(struct watched *w)
{
	w->refs++;
	return w;
}

struct watched *watched_unref(struct watched *w)
{
	if (w && --w->refs == 0) {
		process_close(&w->process);
		process_facts_clear(&w->facts);
		free(w->target);
		vec_free(&w->vmas);
		vec_free(&w->regions);
		free(w);
	}
	return NULL;
}
