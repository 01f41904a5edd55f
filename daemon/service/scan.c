/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "looks.h"
#include "mapping.h"
#include "pfnset.h"
#include "pool.h"
#include "process.h"
#include "track.h"
#include "watch.h"

/*
 * However deep in debt, a few regions are looked at this often: what the loop
 * itself costs on a slow or crowded machine must not stop the search for ever.
 */
#define STARVED_USEC (5 * USEC_PER_SEC)
/* What loses more than it wins is looked at this often at most. */
#define HELD_PASS_USEC (60 * USEC_PER_SEC)
/* Shared frames are remembered for so long. */
#define SEEN_USEC (5 * USEC_PER_SEC)
/* Regions in which representatives are looked for at a time: 3 ms. */
#define SUCCESSION_REGIONS 64U
/* How soon to ask again whether a round may begin. */
#define MAY_BEGIN_USEC (100 * USEC_PER_MSEC)

struct watched_queue VEC(struct watched *);

struct scan {
	struct scan_env env;
	sd_event_source *timer;
	struct watched_queue todo; /* references; the last is next */
	struct watched *current; /* being passed over; a reference */
	size_t at; /* its next region */
	bool mapping; /* its map job is under way */
	struct mapping *maps;
	struct looks *looks;
	bool round; /* a round is in progress */
	bool paused;
	bool soon;
	uint64_t job_usec; /* when a job was begun last */
	uint64_t beginning_usec; /* until then, work is for something new */
	uint64_t next_usec; /* when the next round may begin */
	uint64_t seen_usec; /* since when frames are remembered */
	uint64_t aged_usec; /* when track_round_done() was called last */
	uint64_t rounds;
};

static void advance(struct scan *scan);

/* --- the mappings of one process ------------------------------------------- */

static void on_mapped(void *userdata, struct watched *w)
{
	struct scan *scan = userdata;

	(void)w;
	scan->mapping = false;
	advance(scan);
}

static int map_submit(struct scan *scan, struct watched *w)
{
	int r = mapping_submit(scan->maps, w, on_mapped, scan);

	scan->mapping = !r;
	return r;
}

/* --- rounds ---------------------------------------------------------------- */

/* Take in those that are due and new, or due and not. */
static void due_take(struct scan *scan, bool if_new, uint64_t now)
{
	size_t n;
	struct watched *const *list = watch_list(scan->env.watch, &n);

	for (size_t i = 0; i < n; i++) {
		struct watched *w = list[i];

		if (watched_is_readable(w) && !w->shares &&
		    now >= w->pass_usec && watched_is_new(w) == if_new &&
		    vec_push(&scan->todo, w) == 0)
			watched_ref(w);
	}
}

/* Those that are new come first. */
static void round_begin(struct scan *scan)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	due_take(scan, false, now);
	due_take(scan, true, now);
	scan->round = true;
	scan->soon = false;
}

/* The next one begins when the first process is due again. */
static void round_end(struct scan *scan)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	struct watched *const *list;
	size_t n;

	scan->round = false;
	scan->rounds++;
	if (now >= scan->aged_usec + TRACK_ROUND_USEC) {
		track_round_done(scan->env.track);
		scan->aged_usec = now;
	}
	scan->next_usec = now + SCAN_INTERVAL_MAX_USEC;
	list = watch_list(scan->env.watch, &n);
	for (size_t i = 0; i < n; i++)
		if (watched_is_readable(list[i]))
			scan->next_usec = MIN(scan->next_usec,
					      list[i]->pass_usec);
	scan->next_usec = MAX(scan->next_usec, now + SCAN_INTERVAL_MIN_USEC);
}

static void timer_set(struct scan *scan, uint64_t usec)
{
	sd_event_source_set_time(scan->timer, usec);
	sd_event_source_set_enabled(scan->timer, SD_EVENT_ONESHOT);
}

static bool is_to_be_probed(const struct scan *scan, const struct watched *w)
{
	return w->n_passes == 0 && watch_has_reference(scan->env.watch, w);
}

/* What a frame held a while ago says nothing about what it holds now. */
static void seen_expire(struct scan *scan)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	if (now < scan->seen_usec + SEEN_USEC || looks_in_flight(scan->looks))
		return;
	pfnset_clear(scan->env.reader->seen);
	scan->seen_usec = now;
}

static void pass_begin(struct scan *scan, struct watched *w)
{
	seen_expire(scan);
	w->news = false;
	w->resident = process_resident(w->process.dir);
	w->probe = is_to_be_probed(scan, w);
	if (w->n_passes == 0 && !w->probe)
		w->reference = true;
	if (watched_is_readable(w) && !w->dropped && map_submit(scan, w))
		log_debug("No memory to map a process, skipping it");
}

/* A second pass reads what probes have left out; who is held back can wait. */
static void pass_end(const struct scan *scan, struct watched *w)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	w->calm = w->news && !w->held ? 0 : w->calm + 1;
	w->pass_usec = now +
		       sampler_pass_sec(w->calm, mapping_usec(scan->maps),
					scan->env.budget->share_permyriad) *
			       USEC_PER_SEC;
	if (w->held)
		w->pass_usec = MAX(w->pass_usec, now + HELD_PASS_USEC);
	if (w->fresh)
		return;
	w->first_pass = w->n_passes == 0 && w->probe;
	w->n_passes++;
}

/* Choose the next process; false if there is none. */
static bool current_next(struct scan *scan)
{
	if (scan->current)
		pass_end(scan, scan->current);
	scan->current = watched_unref(scan->current);
	/* what is probed is compared with all that was read before */
	if (!scan->todo.n ||
	    (looks_in_flight(scan->looks) &&
	     is_to_be_probed(scan, scan->todo.v[scan->todo.n - 1])))
		return false;
	scan->current = scan->todo.v[--scan->todo.n];
	scan->at = 0;
	pass_begin(scan, scan->current);
	return true;
}

/* Submit one job if there is one. False: nothing to do but to wait. */
static bool step(struct scan *scan)
{
	struct watched *w = scan->current;

	if (scan->mapping)
		return false;
	if (w && w->again) {
		w->again = false;
		scan->at = 0;
	}
	if (w && !w->mute && scan->at >= w->regions.n &&
	    watched_is_growing(w)) {
		scan->at = 0;
		pass_begin(scan, w);
		return true;
	}
	if (!watched_is_readable(w) || w->dropped || scan->at >= w->regions.n)
		return current_next(scan);
	looks_take(scan->looks, w, &w->regions.v[scan->at++]);
	return true;
}

/* Work on new processes does not wait for the budget. */
static bool next_is_new(const struct scan *scan)
{
	if (scan->current)
		return watched_is_new(scan->current);
	return scan->todo.n && watched_is_new(scan->todo.v[scan->todo.n - 1]);
}

static uint64_t wait_usec(struct scan *scan, uint64_t now)
{
	if (scan->current && scan->current->first_pass)
		scan->beginning_usec = now + WATCH_NEW_USEC;
	budget_update(scan->env.budget, now,
		      scan->env.cpu_usec(scan->env.userdata),
		      now < scan->beginning_usec);
	return budget_wait_usec(scan->env.budget);
}

/* Whether there is something to do, and may be done now. */
static bool may_step(struct scan *scan, uint64_t now)
{
	uint64_t wait = wait_usec(scan, now);

	if (!wait || now >= scan->job_usec + STARVED_USEC ||
	    (next_is_new(scan) && budget_has_burst(scan->env.budget)))
		return true;
	timer_set(scan, now + MIN(wait, USEC_PER_SEC));
	return false;
}

static void advance(struct scan *scan)
{
	unsigned int deep = 2 * pool_threads(scan->env.pool) + 2;
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	bool more;

	if (scan->paused || !may_step(scan, now))
		return;
	while (looks_in_flight(scan->looks) < deep && step(scan))
		scan->job_usec = now;
	more = track_succeed(scan->env.track, SUCCESSION_REGIONS);
	scan->env.progress(scan->env.userdata);
	if (scan_state(scan) != SCAN_IDLE)
		return;
	if (scan->round)
		round_end(scan);
	if (more) {
		timer_set(scan, now);
	} else if (!scan->soon && now < scan->next_usec) {
		timer_set(scan, scan->next_usec);
	} else if (!scan->env.may_begin(scan->env.userdata)) {
		timer_set(scan, now + MAY_BEGIN_USEC);
	} else {
		round_begin(scan);
		timer_set(scan, now);
	}
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	advance(userdata);
	return 0;
}

static void on_looked(void *userdata)
{
	advance(userdata);
}

int scan_new(const struct scan_env *env, struct scan **ret)
{
	struct scan *scan = calloc(1, sizeof(*scan));
	int r;

	if (!scan)
		return -ENOMEM;
	scan->env = *env;
	r = looks_new(
		&(struct looks_env){
			.pool = env->pool,
			.reader = env->reader,
			.track = env->track,
			.done = on_looked,
			.userdata = scan,
		},
		&scan->looks);
	if (!r)
		r = mapping_new(&(struct mapping_env){ .pool = env->pool,
						       .reader = env->reader,
						       .track = env->track,
						       .watch = env->watch },
				&scan->maps);
	if (!r)
		r = sd_event_add_time(env->event, &scan->timer, CLOCK_MONOTONIC,
				      0, 1000, on_timer, scan);
	if (r < 0) {
		scan_free(scan);
		return r;
	}
	*ret = scan;
	return 0;
}

struct scan *scan_free(struct scan *scan)
{
	if (!scan)
		return NULL;
	watched_unref(scan->current);
	while (scan->todo.n)
		watched_unref(scan->todo.v[--scan->todo.n]);
	vec_free(&scan->todo);
	sd_event_source_unref(scan->timer);
	looks_free(scan->looks);
	mapping_free(scan->maps);
	free(scan);
	return NULL;
}

void scan_found(struct scan *scan, struct watched *w)
{
	w->found_usec = clock_usec(CLOCK_MONOTONIC);
	/* no memory: the next round has it */
	if (w->shares || vec_reserve(&scan->todo, scan->todo.n + 2))
		return;
	/* what is being passed over steps back, and starts again later */
	if (scan->current && !scan->current->first_pass && !scan->mapping)
		scan->todo.v[scan->todo.n++] = TAKE_PTR(scan->current);
	scan->todo.v[scan->todo.n++] = watched_ref(w);
	scan->beginning_usec = w->found_usec + WATCH_NEW_USEC;
	timer_set(scan, 0);
}

/* Its turn may be far off, and until then its descriptors would be held. */
static void todo_drop(struct scan *scan, struct watched *w)
{
	struct watched_queue *todo = &scan->todo;
	size_t kept = 0;

	for (size_t i = 0; i < todo->n; i++)
		if (todo->v[i] == w)
			watched_unref(w);
		else
			todo->v[kept++] = todo->v[i];
	todo->n = kept;
}

void scan_lost(struct scan *scan, struct watched *w)
{
	todo_drop(scan, w);
	mapping_forget(scan->maps, w);
}

void scan_pause(struct scan *scan, bool pause)
{
	scan->paused = pause;
	if (!pause)
		timer_set(scan, 0);
}

/* Whether something is to be seen in @w that was not there at its last pass. */
static bool waits(const struct scan *scan, const struct watched *w)
{
	if (w->held)
		return false;
	for (size_t i = 0; i < w->regions.n; i++)
		if (w->regions.v[i].heat.state == HEAT_PROBED ||
		    looks_is_pending(scan->looks, &w->regions.v[i]))
			return true;
	return w->first_pass;
}

void scan_soon(struct scan *scan, bool all)
{
	struct watched *const *list;
	size_t n;

	list = watch_list(scan->env.watch, &n);
	for (size_t i = 0; i < n; i++) {
		if (!list[i] || (!all && !waits(scan, list[i])))
			continue;
		list[i]->pass_usec = 0;
		for (size_t k = 0; all && k < list[i]->regions.n; k++)
			sampler_heat(&list[i]->regions.v[k].heat);
	}
	scan->soon = true;
	timer_set(scan, 0);
}

enum scan_state scan_state(const struct scan *scan)
{
	/* what is new is on top */
	const struct watched *next = scan->todo.n
					     ? scan->todo.v[scan->todo.n - 1]
					     : NULL;

	if ((scan->current && scan->current->n_passes == 0) ||
	    (next && next->n_passes == 0))
		return SCAN_FIRST;
	return scan->current || next || scan->mapping ||
			       looks_in_flight(scan->looks)
		       ? SCAN_ROUND
		       : SCAN_IDLE;
}

uint64_t scan_rounds(const struct scan *scan)
{
	return scan->rounds;
}

uint64_t scan_progress(const struct scan *scan)
{
	return scan->job_usec + scan->rounds;
}

bool scan_is_paused(const struct scan *scan)
{
	return scan->paused;
}

struct mapping *scan_mapping(const struct scan *scan)
{
	return scan->maps;
}
