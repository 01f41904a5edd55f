/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

bool watched_is_whole(const struct watched *w)
{
	uint64_t bytes = 0, present = 0;

	for (size_t i = 0; i < w->vmas.n; i++) {
		bytes += w->vmas.v[i].end - w->vmas.v[i].start;
		present += w->vmas.v[i].rss;
	}
	return w->mode == MODE_WHOLE && (bytes <= WATCHED_VAST_BYTES ||
					 bytes / WATCHED_VAST_PARTS <= present);
}

struct watched_region *watched_region_at(struct watched *w, uint64_t base)
{
	size_t at = search_first(w->regions.n, i, w->regions.v[i].base >= base);

	return at < w->regions.n && w->regions.v[at].base == base
		       ? &w->regions.v[at]
		       : NULL;
}

struct watched *watched_new(struct process *process,
			    struct process_facts *facts,
			    const struct rule_verdict *verdict)
{
	const struct rule_target *target = verdict->target;
	struct watched *w = calloc(1, sizeof(*w));

	if (w)
		w->target = strdup(target ? target->name : "");
	if (!w || !w->target) {
		free(w);
		return NULL;
	}
	w->refs = 1;
	w->process = *process;
	w->facts = *facts;
	w->mode = verdict->mode;
	w->domain = rules_domain(target);
	w->fresh = true;
	snprintf(w->rule, sizeof(w->rule), "%s", verdict->rule);
	*process = PROCESS_NONE;
	memset(facts, 0, sizeof(*facts));
	return w;
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

int watched_list_add(struct watched_list *list, struct watched *w)
{
	for (size_t i = 0; i < list->n; i++) {
		if (!list->v[i]) {
			w->number = (uint32_t)i;
			list->v[i] = w;
			return 0;
		}
	}
	w->number = (uint32_t)list->n;
	return vec_push(list, w);
}

bool watched_list_has_reference(const struct watched_list *list,
				const struct watched *w)
{
	for (size_t i = 0; w->facts.exe && i < list->n; i++) {
		const struct watched *other = list->v[i];

		if (other && other != w && other->reference &&
		    other->domain == w->domain && other->facts.exe &&
		    !strcmp(other->facts.exe, w->facts.exe))
			return true;
	}
	return false;
}

uint64_t watched_list_registered(const struct watched_list *list)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct watched *w = list->v[i];

		for (size_t k = 0; w && k < w->vmas.n; k++)
			if (w->vmas.v[k].mergeable)
				bytes += w->vmas.v[k].rss;
	}
	return bytes / PAGE_BYTES;
}
