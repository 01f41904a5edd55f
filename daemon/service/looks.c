/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "looks.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "pool.h"
#include "sampler.h"
#include "track.h"
#include "watch.h"

/* Regions to each side of one that has changed, to be checked too. */
#define NEIGHBOURS 2U

struct looks {
	struct looks_env env;
	unsigned int in_flight;
	uint64_t random; /* one for each look */
	uint64_t cpu_nsec;
	uint64_t n_found;
};

struct look_job {
	struct job job;
	struct looks *looks;
	struct watched *watched;
	uint32_t region;
	uint64_t base;
	enum sampler_look kind;
	struct pagemask merged;
	int result;
	uint64_t cpu_nsec; /* of the thread, for this job */
	struct look look;
};

static void look_done(struct job *job, enum job_end how);

int looks_new(const struct looks_env *env, struct looks **ret)
{
	struct looks *looks = calloc(1, sizeof(*looks));

	if (!looks)
		return -ENOMEM;
	looks->env = *env;
	/* which pages are sampled next is nobody's to know */
	if (getrandom(&looks->random, sizeof(looks->random), 0) < 0) {
		free(looks);
		return -errno;
	}
	*ret = looks;
	return 0;
}

struct looks *looks_free(struct looks *looks)
{
	free(looks);
	return NULL;
}

uint64_t looks_cpu_usec(const struct looks *looks)
{
	return looks->cpu_nsec / NSEC_PER_USEC;
}

uint64_t looks_found(const struct looks *looks)
{
	return looks->n_found;
}

unsigned int looks_in_flight(const struct looks *looks)
{
	return looks->in_flight;
}

bool looks_is_pending(const struct looks *looks,
		      const struct watched_region *wr)
{
	const struct region *region = track_region(looks->env.track,
						   wr->number);

	return pagemask_next(&region->duplicate, 0) < REGION_PAGES;
}

static uint32_t now_sec(void)
{
	return (uint32_t)(clock_usec(CLOCK_MONOTONIC) / USEC_PER_SEC);
}

static void look_run(struct job *job, struct worker *worker)
{
	struct look_job *j = (struct look_job *)job;
	uint64_t start = clock_nsec(CLOCK_THREAD_CPUTIME_ID);

	j->result = reader_look(j->looks->env.reader, &j->watched->process,
				j->base, &j->merged, worker, &j->look);
	j->cpu_nsec = clock_nsec(CLOCK_THREAD_CPUTIME_ID) - start;
}

static struct look_job *look_new(struct looks *looks, struct watched *w,
				 const struct watched_region *wr,
				 enum sampler_look kind,
				 const struct pagemask *hits)
{
	const struct region *region = track_region(looks->env.track,
						   wr->number);
	struct look_job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->job.run = look_run;
	j->job.done = look_done;
	j->looks = looks;
	j->watched = watched_ref(w);
	j->region = wr->number;
	j->base = wr->base;
	j->kind = kind;
	j->merged = region->merged;
	j->look.huge = wr->huge;
	sampler_skip(kind, &region->known, &region->merged, hits,
		     looks->random++, &j->look.skip);
	reader_masks(&w->vmas, wr->base, &j->look.present, &j->look.mergeable);
	looks->in_flight++;
	return j;
}

static int look_submit(struct looks *looks, struct watched *w,
		       const struct watched_region *wr, enum sampler_look kind,
		       const struct pagemask *hits)
{
	struct look_job *j = look_new(looks, w, wr, kind, hits);

	if (!j)
		return -ENOMEM;
	pool_submit(looks->env.pool, &j->job);
	return 0;
}

int looks_hinted(struct looks *looks, struct watched *w,
		 const struct watched_region *wr, const struct pagemask *pages,
		 const struct pagemask *paired)
{
	struct look_job *j = look_new(looks, w, wr, SAMPLER_HINTED, pages);

	if (!j)
		return -ENOMEM;
	j->look.paired = *paired;
	pool_submit(looks->env.pool, &j->job);
	return 0;
}

void looks_take(struct looks *looks, struct watched *w,
		struct watched_region *wr)
{
	enum sampler_look kind;

	/* the rest of it comes with the next pass */
	if (wr->heat.state == HEAT_PROBED && w->probe)
		return;
	if (track_region(looks->env.track, wr->number)->retry)
		sampler_heat(&wr->heat);
	kind = sampler_choose(&wr->heat, now_sec(), w->probe,
			      looks_is_pending(looks, wr));
	if (kind == SAMPLER_NOTHING)
		return;
	if (look_submit(looks, w, wr, kind, NULL))
		log_debug("No memory to look at a region, skipping it");
}

/* The place of the region that was looked at; it may be gone by now. */
static struct watched_region *region_of(const struct look_job *j)
{
	struct watched_region *wr = watched_region_at(j->watched, j->base);

	return wr && wr->number == j->region ? wr : NULL;
}

/* What changes has neighbours that do: check them in the next pass. */
static void neighbours_heat(struct watched *w, const struct watched_region *wr)
{
	size_t at = (size_t)(wr - w->regions.v);
	size_t from = at - MIN(at, (size_t)NEIGHBOURS);
	size_t to = MIN(at + NEIGHBOURS + 1, w->regions.n);

	for (size_t i = from; i < to; i++)
		w->regions.v[i].heat.due_sec = 0;
}

/* Probes have found something: look around the hits. */
static int around_submit(const struct look_job *j,
			 const struct watched_region *wr)
{
	const struct region *region = track_region(j->looks->env.track,
						   j->region);
	struct pagemask hits;

	for (unsigned int i = 0; i < PAGEMASK_WORDS; i++)
		hits.words[i] = region->candidate.words[i] &
				j->look.checked.words[i];
	return look_submit(j->looks, j->watched, wr, SAMPLER_AROUND, &hits);
}

/* Where probes do not pay, the pass begins again without. */
static void probing_judge(struct watched *w, enum sampler_look kind,
			  const struct look_result *result)
{
	if (kind == SAMPLER_PROBE) {
		w->probing.n_probed += result->n_checked;
		w->probing.n_hits += result->n_found;
	} else if (kind == SAMPLER_AROUND) {
		w->probing.n_around += result->n_checked;
		w->probing.n_found += result->n_found;
	}
	if (!w->probe || !sampler_probes_in_vain(&w->probing))
		return;
	w->probe = false;
	w->again = true;
}

/* What follows for the region and its process. */
static int look_learn(const struct look_job *j, struct watched_region *wr,
		      const struct look_result *result)
{
	struct watched *w = j->watched;

	j->looks->n_found += result->n_found;
	w->account.broken += result->n_broken;
	w->account.wasted += result->n_wasted;
	wr->merged = (uint16_t)pagemask_count(
		&track_region(j->looks->env.track, wr->number)->merged);

	/* a part of it, at somebody else's word: as warm as it was */
	if (j->kind == SAMPLER_HINTED)
		return 0;
	sampler_learn(&wr->heat, j->kind, result, now_sec());
	w->news |= result->n_new || result->n_changed || result->n_found;
	probing_judge(w, j->kind, result);
	if (j->kind == SAMPLER_PROBE && result->n_found)
		return around_submit(j, wr);
	if (j->kind == SAMPLER_FEW && wr->heat.state == HEAT_CHANGED) {
		neighbours_heat(w, wr);
		return look_submit(j->looks, w, wr, SAMPLER_ALL, NULL);
	}
	return 0;
}

static void look_take(const struct look_job *j)
{
	struct watched_region *wr = region_of(j);
	struct look_result result;
	int r;

	if (j->result == READER_GONE)
		j->watched->gone = true;
	if (!wr || j->watched->dropped || j->result)
		return;
	r = track_look(j->looks->env.track, j->region, &j->look, &result);
	if (!r)
		r = look_learn(j, wr, &result);
	if (r)
		log_debug("No memory for a region, ignoring");
}

static void look_done(struct job *job, enum job_end how)
{
	struct look_job *j = (struct look_job *)job;
	struct looks *looks = j->looks;

	if (how == JOB_LOST) {
		j->watched->mute = true;
		looks->in_flight--;
		looks->env.done(looks->env.userdata);
		return;
	}
	if (how != JOB_LATE) {
		looks->in_flight--;
		looks->cpu_nsec += j->cpu_nsec;
		j->watched->account.cpu_nsec += j->cpu_nsec;
	}
	if (how == JOB_DONE)
		look_take(j);
	watched_unref(j->watched);
	free(j);
	if (how == JOB_DONE)
		looks->env.done(looks->env.userdata);
}
