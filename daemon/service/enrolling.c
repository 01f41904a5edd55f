/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enrolling.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "clock.h"
#include "enrol.h"
#include "evidence.h"
#include "explaining.h"
#include "log.h"
#include "track.h"
#include "vmas.h"
#include "watch.h"

/* A target that could not be held now is tried again, ever more slowly. */
#define RETRY_MIN_USEC (200 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (30 * USEC_PER_SEC)

struct enrolling {
	struct enrolling_env env;
	unsigned int operations; /* not answered yet */
	uint64_t late;
	bool closed;
};

int enrolling_new(const struct enrolling_env *env, struct enrolling **ret)
{
	struct enrolling *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->env = *env;
	*ret = e;
	return 0;
}

struct enrolling *enrolling_free(struct enrolling *e)
{
	free(e);
	return NULL;
}

void enrolling_close(struct enrolling *e)
{
	e->closed = true;
}

static void turn_end(struct enrolling *e)
{
	uint64_t late = e->late;

	e->late = 0;
	e->env.done(e->env.userdata, late);
}

/* What took is believed for now: the next pass reads the mappings again. */
static void marks_note(struct watched *w, const struct enrol_outcome *outcome)
{
	size_t before = w->vmas.n;

	if (watched_is_whole(w) && outcome->result == INJECT_DONE)
		for (size_t i = 0; i < w->vmas.n; i++)
			w->vmas.v[i].mergeable = true;
	if (!vmas_mark(&w->vmas, outcome->ranges, outcome->n_done))
		w->n_mappings += w->vmas.n - before;
}

static void retry_later(struct watched *w, uint64_t now)
{
	w->retry_usec = now + MIN(RETRY_MIN_USEC << w->n_tries, RETRY_MAX_USEC);
	w->n_tries = MIN(w->n_tries + 1, 10U);
}

static void outcome_note(struct enrolling *e, struct watched *w,
			 const struct enrol_outcome *outcome)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	w->last = INJECT_REASON_NONE;
	/* what was marked before it stopped is marked all the same */
	marks_note(w, outcome);
	switch (outcome->result) {
	case INJECT_RETRY:
		w->last = outcome->reason;
		retry_later(w, now);
		break;
	case INJECT_SKIP:
		w->skip = outcome->reason ? outcome->reason
					  : INJECT_REASON_PERMISSION;
		log_debug("Leaving %s (pid %d) alone [%s]: %s", w->facts.comm,
			  w->process.id.pid,
			  reason_text(explaining_of_inject(w->skip))->name,
			  reason_text(explaining_of_inject(w->skip))->sentence);
		break;
	case INJECT_GONE:
		w->gone = true;
		break;
	case INJECT_FAILED:
		/* EAGAIN: no more mappings allowed; not soon again */
		w->error = outcome->error;
		w->retry_usec = now + RETRY_MAX_USEC;
		break;
	default:
		if (w->retry_usec)
			e->late += w->wanted_pages;
		w->retry_usec = 0;
		w->n_tries = 0;
		w->error = 0;
		w->whole_done = watched_is_whole(w);
	}
}

static void on_enrolled(void *userdata, struct watched *w,
			const struct enrol_outcome *outcome)
{
	struct enrolling *e = userdata;

	outcome_note(e, w, outcome);
	if (--e->operations == 0 && !e->closed)
		turn_end(e);
}

static bool may_enrol(const struct watched *w, uint64_t now)
{
	return watched_is_readable(w) && !w->skip && !w->held &&
	       now >= w->retry_usec && w->relieved_usec <= w->mapped_usec &&
	       (w->mode == MODE_SELECTIVE ||
		(w->mode == MODE_WHOLE && !w->whole_done));
}

/* What has kept it from being enrolled is of no interest any more, unless there
 * were duplicates and only no room for their ranges. */
static void nothing_left(struct watched *w)
{
	w->retry_usec = 0;
	if (w->wanted_pages)
		return;
	w->last = INJECT_REASON_NONE;
	w->error = 0;
}

/* Submit what is wanted of @w, or let it wait: a retry that is due and finds
 * nothing to do any more would be due for ever. */
static int process_enrol(struct enrolling *e, struct watched *w, uint64_t now,
			 const struct planning_limits *limits)
{
	struct ranges ranges = { 0 };
	bool submit = false;
	int r = evidence_ranges(e->env.track, w, limits, &ranges,
				&w->wanted_pages);

	if (!r && watched_is_whole(w) && w->wanted_pages) {
		r = enrol_submit(e->env.enrol, w, INJECT_MERGE_ANY, NULL, 0,
				 on_enrolled, e);
		submit = true;
	} else if (!r && ranges.n) {
		r = enrol_submit(e->env.enrol, w, INJECT_MERGEABLE, ranges.v,
				 ranges.n, on_enrolled, e);
		submit = true;
	}
	e->operations += !r && submit;
	if (r)
		retry_later(w, now);
	else if (!submit)
		nothing_left(w);
	vec_free(&ranges);
	return r;
}

void enrolling_begin(struct enrolling *e, const struct planning_limits *limits)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	size_t n;
	struct watched *const *list = watch_list(e->env.watch, &n);

	for (size_t i = 0; i < n; i++)
		if (list[i] && may_enrol(list[i], now) &&
		    process_enrol(e, list[i], now, limits))
			log_debug("No memory to plan pid %d, skipping it",
				  list[i]->process.id.pid);
	if (!e->operations)
		turn_end(e);
}

bool enrolling_retry_is_due(const struct enrolling *e, uint64_t now)
{
	size_t n;
	struct watched *const *list = watch_list(e->env.watch, &n);

	for (size_t i = 0; i < n; i++)
		if (list[i] && list[i]->retry_usec && may_enrol(list[i], now))
			return true;
	return false;
}
