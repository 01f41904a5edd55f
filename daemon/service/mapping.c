/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mapping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "pool.h"
#include "process.h"
#include "shed.h"
#include "track.h"
#include "watch.h"

struct mapping {
	struct mapping_env env;
	uint64_t all_usec; /* CPU to read the mappings of all */
	uint64_t used_usec;
	uint64_t shed;
};

struct map_job {
	struct job job;
	struct mapping *mapping;
	struct watched *watched;
	mapping_done_fn done;
	void *userdata;
	int smaps; /* opened here: whoever reads has no right to */
	bool only_mergeable;
	int result;
	uint64_t cpu_nsec; /* of the thread, for this job */
	struct reader_map map;
};

int mapping_new(const struct mapping_env *env, struct mapping **ret)
{
	struct mapping *mapping = calloc(1, sizeof(*mapping));

	if (!mapping)
		return -ENOMEM;
	mapping->env = *env;
	*ret = mapping;
	return 0;
}

struct mapping *mapping_free(struct mapping *mapping)
{
	free(mapping);
	return NULL;
}

static void map_run(struct job *job, struct worker *worker)
{
	struct map_job *j = (struct map_job *)job;
	uint64_t start = clock_nsec(CLOCK_THREAD_CPUTIME_ID);

	(void)worker;
	if (j->smaps < 0)
		j->result = j->smaps == -ENOENT || j->smaps == -ESRCH
				    ? READER_GONE
				    : j->smaps;
	else
		j->result = reader_map(j->mapping->env.reader,
				       &j->watched->process, j->smaps,
				       j->only_mergeable, &j->map);
	j->cpu_nsec = clock_nsec(CLOCK_THREAD_CPUTIME_ID) - start;
}

/* Regions that are no more are forgotten, new ones taken in; both sorted. */
static int regions_update(struct mapping *mapping, struct watched *w,
			  const struct pagemap_regions *now)
{
	struct track *track = mapping->env.track;
	struct watched_regions next = { 0 };
	size_t old = 0, n;
	struct watched *const *list = watch_list(mapping->env.watch, &n);
	int r = vec_reserve(&next, now->n);

	if (r)
		return r;
	if (clock_usec(CLOCK_MONOTONIC) < w->found_usec + SHED_NEW_USEC)
		mapping->shed += shed(list, n, track, w,
				      now->n - MIN(now->n, w->regions.n));
	w->regions_lost = 0;
	w->present_pages = 0;
	for (size_t i = 0; i < now->n; i++) {
		struct watched_region wr = { .base = now->v[i].base,
					     .huge = now->v[i].huge };

		w->present_pages += now->v[i].present;
		while (old < w->regions.n && w->regions.v[old].base < wr.base)
			track_region_remove(track, w->regions.v[old++].number);
		if (old < w->regions.n && w->regions.v[old].base == wr.base) {
			wr.number = w->regions.v[old].number;
			wr.merged = w->regions.v[old].merged;
			wr.heat = w->regions.v[old++].heat;
		} else if (track_region_add(track, wr.base, w->number,
					    w->domain, &wr.number)) {
			w->regions_lost++;
			continue;
		}
		next.v[next.n++] = wr;
	}
	while (old < w->regions.n)
		track_region_remove(track, w->regions.v[old++].number);
	vec_free(&w->regions);
	w->regions = next;
	return 0;
}

static void map_usec_set(struct mapping *mapping, struct watched *w,
			 uint64_t usec)
{
	mapping->all_usec += usec;
	mapping->all_usec -= w->map_usec;
	w->map_usec = usec;
}

static void map_take(struct map_job *j)
{
	struct mapping *mapping = j->mapping;
	struct watched *w = j->watched;

	if (j->result == READER_GONE)
		w->gone = true;
	if (!w->dropped && !w->gone && j->result == 0 &&
	    regions_update(mapping, w, &j->map.regions) == 0) {
		vec_free(&w->vmas);
		w->vmas = j->map.vmas;
		memset(&j->map.vmas, 0, sizeof(j->map.vmas));
		map_usec_set(mapping, w, j->cpu_nsec / NSEC_PER_USEC);
		w->n_mappings = j->map.n_mappings;
		w->sparse = j->map.sparse;
		w->fresh = false;
		w->mapped_usec = clock_usec(CLOCK_MONOTONIC);
	}
	mapping->used_usec += j->cpu_nsec / NSEC_PER_USEC;
	w->account.cpu_nsec += j->cpu_nsec;
}

static void map_done(struct job *job, enum job_end how)
{
	struct map_job *j = (struct map_job *)job;
	struct watched *w = j->watched;

	if (how == JOB_LOST) {
		w->mute = true;
		j->done(j->userdata, w);
		return;
	}
	if (how == JOB_DONE)
		map_take(j);
	reader_map_clear(&j->map);
	close_fd(j->smaps);
	if (how == JOB_DONE)
		j->done(j->userdata, w);
	free(j);
	watched_unref(w);
}

int mapping_submit(struct mapping *mapping, struct watched *w,
		   mapping_done_fn done, void *userdata)
{
	struct map_job *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->smaps = vmas_open(w->process.dir);
	/* of the mm whose pages are open, even if others live in that too */
	if (j->smaps >= 0 && process_is_gone(&w->process)) {
		close_fd(j->smaps);
		j->smaps = -ESRCH;
	}
	j->job.run = map_run;
	j->job.done = map_done;
	j->mapping = mapping;
	j->watched = watched_ref(w);
	j->done = done;
	j->userdata = userdata;
	j->only_mergeable = w->mode == MODE_MANAGED;
	pool_submit(mapping->env.pool, &j->job);
	return 0;
}

void mapping_forget(struct mapping *mapping, struct watched *w)
{
	for (size_t i = 0; i < w->regions.n; i++)
		track_region_remove(mapping->env.track, w->regions.v[i].number);
	vec_free(&w->regions);
	map_usec_set(mapping, w, 0);
}

uint64_t mapping_usec(const struct mapping *mapping)
{
	return mapping->all_usec;
}

uint64_t mapping_used_usec(const struct mapping *mapping)
{
	return mapping->used_usec;
}

uint64_t mapping_shed(const struct mapping *mapping)
{
	return mapping->shed;
}
