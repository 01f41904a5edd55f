/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "merge.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "clock.h"
#include "enrolling.h"
#include "evidence.h"
#include "log.h"
#include "pool.h"
#include "pulser.h"
#include "settle.h"
#include "track.h"
#include "watch.h"

/* A candidate is looked at again after this long (design 3.8): what changes
 * all the time has changed by then. */
#define SETTLE_DELAY_USEC (300 * USEC_PER_MSEC)
/* Candidates wait for more of them, but not longer; and longer while a new
 * process is read, whose ranges are better planned when all is known. */
#define SETTLE_WAIT_USEC       (2500 * USEC_PER_MSEC)
#define SETTLE_WAIT_FIRST_USEC (10 * USEC_PER_SEC)
/* Settled at once, in one of so many slices: 12 MiB of items. */
#define SETTLE_PAGES 262144U
/* How often a pulse is looked at. */
#define PULSE_POLL_USEC (20 * USEC_PER_MSEC)
#define TICK_USEC	(100 * USEC_PER_MSEC)
#define IDLE_TICK_USEC	(1 * USEC_PER_SEC)
/* How often the baseline is measured anew. */
#define BASELINE_USEC (5 * USEC_PER_SEC)

struct merge {
	struct merge_env env;
	struct merge_limits limits;
	enum merge_stage stage;
	bool paused;
	bool held; /* what is settled is enrolled when merging goes on */
	sd_event_source *timer;
	uint64_t first_usec; /* when candidates began to wait; 0: none */
	uint64_t promise_usec; /* when the oldest promise was made */
	uint64_t baseline_usec; /* when it was measured */
	struct track_slice slice; /* of the candidates, being settled */
	struct track_queue queue;
	size_t at; /* next of the queue to be looked at */
	unsigned int in_flight;
	struct settle settle;
	bool hurry; /* candidates have come by a hint */
	uint64_t sliced_promise; /* of earlier slices, if all is enrolled */
	struct enrolling *enrolling;
	struct merge_counters counters;
};

struct settle_job {
	struct job job;
	struct merge *merge;
	struct watched *watched;
	uint32_t region;
	uint64_t base;
	int result;
	uint64_t cpu_nsec; /* of the thread, for this job */
	struct reader_settle settle;
};

static void settle_advance(struct merge *merge);
static void slice_begin(struct merge *merge);

/* --- settle ---------------------------------------------------------------- */

static void settle_run(struct job *job, struct worker *worker)
{
	struct settle_job *j = (struct settle_job *)job;
	uint64_t start = clock_nsec(CLOCK_THREAD_CPUTIME_ID);

	j->result = reader_settle(j->merge->env.reader, &j->watched->process,
				  j->base, worker, &j->settle);
	j->cpu_nsec = clock_nsec(CLOCK_THREAD_CPUTIME_ID) - start;
}

static void items_add(struct merge *merge, const struct settle_job *j)
{
	const struct reader_settle *s = &j->settle;

	if (vec_reserve(&merge->settle,
			merge->settle.n + pagemask_count(&s->pages)))
		return;
	for (unsigned int i = pagemask_next(&s->pages, 0); i < REGION_PAGES;
	     i = pagemask_next(&s->pages, i + 1)) {
		struct settle_item item = {
			.hash = s->hash[i],
			.pfn = s->pfn[i],
			.ref = { j->region, (uint16_t)i },
			.domain = j->watched->domain,
			.owner = j->watched->number,
			.zero = pagemask_test(&s->zero, i),
			.merged = pagemask_test(&s->shared, i) &&
				  pagemask_test(&s->mergeable, i),
		};

		/* the zero page itself, or a forked page of zeros */
		if (item.zero && pagemask_test(&s->shared, i))
			continue;
		merge->settle.v[merge->settle.n++] = item;
	}
}

static void settle_done(struct job *job, enum job_end how)
{
	struct settle_job *j = (struct settle_job *)job;
	struct merge *merge = j->merge;

	merge->in_flight -= how != JOB_LATE;
	j->watched->mute |= how == JOB_LOST;
	if (how == JOB_LOST)
		return settle_advance(merge);
	j->watched->account.cpu_nsec += j->cpu_nsec;
	if (how == JOB_DONE && j->result == 0 && !j->watched->dropped) {
		items_add(merge, j);
		track_reject_all(merge->env.track, j->region, j->base,
				 &j->settle.changed, j->settle.crc);
	}
	watched_unref(j->watched);
	free(j);
	if (how == JOB_DONE)
		settle_advance(merge);
}

static int settle_submit(struct merge *merge, const struct track_candidates *c)
{
	const struct region *region = track_find(merge->env.track, c->region);
	struct watched *w = region ? watch_get(merge->env.watch, region->owner)
				   : NULL;
	struct pagemask eligible;
	struct settle_job *j;

	if (!region || !watched_is_readable(w))
		return 0;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->job.run = settle_run;
	j->job.done = settle_done;
	j->merge = merge;
	j->watched = watched_ref(w);
	j->region = c->region;
	j->base = region->base;
	reader_masks(&w->vmas, region->base, &eligible, &j->settle.mergeable);
	for (unsigned int i = 0; i < PAGEMASK_WORDS; i++)
		j->settle.pages.words[i] = c->pages.words[i] &
					   region->known.words[i] &
					   eligible.words[i];
	for (unsigned int i = pagemask_next(&j->settle.pages, 0);
	     i < REGION_PAGES; i = pagemask_next(&j->settle.pages, i + 1))
		j->settle.crc[i] = regions_crc(region, i);
	merge->in_flight++;
	pool_submit(merge->env.pool, &j->job);
	return 0;
}

/* --- enrol ------------------------------------------------------------------ */

/* For who is held back, or only observed, no pulse is made. */
static bool is_promised(const struct watched *w)
{
	return watched_is_readable(w) && !w->held && w->mode >= MODE_MANAGED;
}

/* @all: as if all were in mergeable mappings. */
static bool is_covered(const struct merge *merge,
		       const struct settle_item *item, bool all)
{
	const struct region *region = track_find(merge->env.track,
						 item->ref.region);
	const struct watched *w = watch_get(merge->env.watch, item->owner);

	if (!region || !is_promised(w) || region->owner != item->owner)
		return false;
	return all ||
	       reader_is_mergeable(&w->vmas,
				   region->base + item->ref.page * PAGE_BYTES);
}

/* What the items promise, with only what is covered by marks, or with all. */
static uint64_t items_promise(struct merge *merge, bool all)
{
	for (size_t i = 0; i < merge->settle.n; i++) {
		struct settle_item *item = &merge->settle.v[i];

		item->covered = item->confirmed && is_covered(merge, item, all);
	}
	return settle_promise(&merge->settle, merge->limits.max_sharing);
}

/* Of all duplicates that wait, how many are in mergeable mappings now: a
 * share that the promise of slices, whose items are gone, is cut to. */
static uint64_t covered_part(const struct merge *merge, uint64_t promise)
{
	uint64_t n_all = 0, n_covered = 0;
	size_t n;
	struct watched *const *list = watch_list(merge->env.watch, &n);

	for (size_t i = 0; i < n; i++)
		if (is_promised(list[i]))
			evidence_covered(merge->env.track, list[i], &n_all,
					 &n_covered);
	return n_all ? promise * n_covered / n_all : 0;
}

/* Every range is marked that will be: what is a pulse to bring? */
static void on_enrolled(void *userdata, uint64_t late)
{
	struct merge *merge = userdata;
	uint64_t promise = late;

	if (merge->slice.of > 1)
		promise += covered_part(merge, merge->sliced_promise);
	else
		promise += items_promise(merge, false);
	merge->sliced_promise = 0;
	if (promise && !merge->counters.promised)
		merge->promise_usec = clock_usec(CLOCK_MONOTONIC);
	merge->counters.promised += promise;
	vec_free(&merge->settle);
	vec_free(&merge->queue);
	merge->slice.of = 1;
	merge->stage = MERGE_IDLE;
	merge_consider(merge);
}

static void enrol_begin(struct merge *merge)
{
	merge->stage = MERGE_ENROLLING;
	merge->held = merge->paused;
	if (!merge->held)
		enrolling_begin(merge->enrolling, &merge->limits.planning);
}

static void settled(struct merge *merge)
{
	merge->counters.settled += merge->settle.n;
	merge->counters.confirmed += settle_group(&merge->settle);
	for (size_t i = 0; i < merge->settle.n; i++) {
		const struct settle_item *item = &merge->settle.v[i];

		if (!track_find(merge->env.track, item->ref.region))
			continue;
		if (item->confirmed)
			track_confirm(merge->env.track, item->ref);
		else
			track_reject(merge->env.track, item->ref);
	}
	for (size_t i = 0; i < merge->settle.n; i++)
		track_settled(merge->env.track, merge->settle.v[i].ref,
			      merge->settle.v[i].alone);
	if (merge->slice.of > 1) {
		merge->sliced_promise += items_promise(merge, true);
		merge->settle.n = 0;
	}
	if (++merge->slice.number < merge->slice.of)
		slice_begin(merge);
	else
		enrol_begin(merge);
}

static void settle_advance(struct merge *merge)
{
	unsigned int deep = 2 * pool_threads(merge->env.pool) + 2;

	while (merge->in_flight < deep && merge->at < merge->queue.n)
		if (settle_submit(merge, &merge->queue.v[merge->at++]))
			log_debug("No memory to settle a region, skipping it");
	if (merge->in_flight)
		return;
	merge->queue.n = merge->at = 0;
	settled(merge);
}

static void slice_begin(struct merge *merge)
{
	if (track_take(merge->env.track, &merge->slice, &merge->queue))
		log_debug("No memory for all candidates; the rest waits");
	settle_advance(merge);
}

static void settle_begin(struct merge *merge)
{
	struct track_counters c;

	track_counters(merge->env.track, &c);
	merge->stage = MERGE_SETTLING;
	merge->first_usec = 0;
	merge->hurry = false;
	merge->slice = (struct track_slice){
		.of = (uint32_t)(c.candidates / SETTLE_PAGES + 1),
		/* one content may fill a slice: not without a bound */
		.max_pages = 4 * SETTLE_PAGES,
	};
	slice_begin(merge);
}

/* --- pulse ----------------------------------------------------------------- */

static void pulse_start(struct merge *merge)
{
	if (pulser_begin(merge->env.pulser, merge->counters.promised,
			 watch_registered(merge->env.watch))) {
		merge->counters.promised = 0;
		return;
	}
	merge->stage = MERGE_PULSING;
	sd_event_source_set_time(merge->timer, 0);
}

static void pulse_poll(struct merge *merge)
{
	enum pulse_verdict verdict = pulser_poll(merge->env.pulser);

	if (verdict == PULSE_GO_ON)
		return;
	merge->counters.promised = pulser_end(merge->env.pulser, verdict);
	merge->stage = MERGE_IDLE;
	merge->counters.pulses++;
	if (!merge->counters.promised)
		track_pulse_done(merge->env.track);
	merge->env.pulsed(merge->env.userdata);
}

/* --- the cycle ------------------------------------------------------------- */

static bool settle_is_due(struct merge *merge, uint64_t now)
{
	struct track_counters c;

	track_counters(merge->env.track, &c);
	if (!c.candidates)
		return false;
	if (!merge->first_usec) {
		merge->first_usec = now;
		sd_event_source_set_time(merge->timer, now + SETTLE_DELAY_USEC);
	}
	if (now < merge->first_usec + SETTLE_DELAY_USEC)
		return false;
	switch (merge->env.searching(merge->env.userdata)) {
	case SCAN_IDLE:
		return true;
	case SCAN_ROUND:
		return merge->hurry ||
		       now >= merge->first_usec + SETTLE_WAIT_USEC;
	default:
		return now >= merge->first_usec + SETTLE_WAIT_FIRST_USEC;
	}
}

void merge_hurry(struct merge *merge)
{
	merge->hurry = true;
	merge_consider(merge);
}

void merge_consider(struct merge *merge)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	if (merge->stage != MERGE_IDLE || merge->paused)
		return;
	/* those to whom it was made are gone */
	if (merge->counters.promised && !watch_registered(merge->env.watch))
		merge->counters.promised = 0;
	if (settle_is_due(merge, now))
		settle_begin(merge);
	else if (enrolling_retry_is_due(merge->enrolling, now))
		enrol_begin(merge);
	else if (merge->counters.promised &&
		 pulser_is_worth(merge->env.pulser, merge->counters.promised,
				 watch_registered(merge->env.watch),
				 now - merge->promise_usec))
		pulse_start(merge);
}

/* Design section 4: where all memory was registered by its owners, ksmd passes
 * over it in target_scan_time between pulses. */
static void baseline_consider(struct merge *merge, uint64_t now)
{
	bool managed_only = true;
	size_t n;
	struct watched *const *list = watch_list(merge->env.watch, &n);

	if (merge->stage != MERGE_IDLE || merge->paused ||
	    now < merge->baseline_usec + BASELINE_USEC)
		return;
	merge->baseline_usec = now;
	for (size_t i = 0; i < n; i++)
		if (list[i] && !list[i]->gone && list[i]->mode != MODE_MANAGED)
			managed_only = false;
	pulser_baseline(merge->env.pulser,
			managed_only ? watch_registered(merge->env.watch) : 0);
}

static uint64_t tick_usec(const struct merge *merge)
{
	struct track_counters c;

	if (merge->stage == MERGE_PULSING)
		return PULSE_POLL_USEC;
	track_counters(merge->env.track, &c);
	if (c.candidates || merge->counters.promised || merge->stage)
		return TICK_USEC;
	return IDLE_TICK_USEC;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct merge *merge = userdata;
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	(void)usec;
	if (merge->stage == MERGE_PULSING)
		pulse_poll(merge);
	else
		merge_consider(merge);
	baseline_consider(merge, now);
	sd_event_source_set_time(source, now + tick_usec(merge));
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

/* A pulse that is cut short says nothing about its pages: the promise stays,
 * and is worth another one when merging goes on. */
void merge_pause(struct merge *merge, bool pause)
{
	merge->paused = pause;
	if (!pause && merge->held)
		enrol_begin(merge);
	if (!pause || merge->stage != MERGE_PULSING)
		return;
	pulser_end(merge->env.pulser, PULSE_TIMEOUT);
	merge->stage = MERGE_IDLE;
}

void merge_close(struct merge *merge)
{
	merge_pause(merge, true);
	enrolling_close(merge->enrolling);
}

void merge_set_limits(struct merge *merge, const struct merge_limits *limits)
{
	merge->limits = *limits;
}

enum merge_stage merge_stage(const struct merge *merge)
{
	return merge->stage;
}

void merge_counters(const struct merge *merge, struct merge_counters *ret)
{
	*ret = merge->counters;
}

int merge_new(const struct merge_env *env, const struct merge_limits *limits,
	      struct merge **ret)
{
	struct merge *merge = calloc(1, sizeof(*merge));
	int r;

	if (!merge)
		return -ENOMEM;
	merge->env = *env;
	merge->limits = *limits;
	r = enrolling_new(&(struct enrolling_env){ .track = env->track,
						   .watch = env->watch,
						   .enrol = env->enrol,
						   .done = on_enrolled,
						   .userdata = merge },
			  &merge->enrolling);
	if (r >= 0)
		r = sd_event_add_time(env->event, &merge->timer,
				      CLOCK_MONOTONIC, 0, 1000, on_timer,
				      merge);
	if (r < 0) {
		merge_free(merge);
		return r;
	}
	*ret = merge;
	return 0;
}

struct merge *merge_free(struct merge *merge)
{
	if (!merge)
		return NULL;
	sd_event_source_unref(merge->timer);
	enrolling_free(merge->enrolling);
	vec_free(&merge->queue);
	vec_free(&merge->settle);
	free(merge);
	return NULL;
}
