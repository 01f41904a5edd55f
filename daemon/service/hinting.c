/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hinting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/journal.h>

#include "budget.h"
#include "cleanup.h"
#include "clock.h"
#include "demand.h"
#include "hinted.h"
#include "hints.h"
#include "log.h"
#include "looks.h"
#include "mapping.h"
#include "merge.h"
#include "pool.h"
#include "readers.h"
#include "scan.h"
#include "watch.h"

/* A page has been left alone for one to two turns when it is looked at. */
#define TURN_USEC (250 * USEC_PER_MSEC)
/* Without anybody to watch the hooks stay for a while: loading them takes some
 * 100 ms of CPU. */
#define LINGER_USEC (60 * USEC_PER_SEC)
/* ... and wait until what was there at first has been read and merged, so long
 * at least and at most. */
#define DEFER_USEC     USEC_PER_SEC
#define DEFER_MAX_USEC (10 * USEC_PER_SEC)
/* Mappings are read again for pages that are in none of them, and where they
 * are old; both times not so often that it takes a hundredth of a CPU. */
#define MAP_MISSING_USEC (500 * USEC_PER_MSEC)
#define MAP_OLD_USEC	 (5 * USEC_PER_SEC)
#define MAP_SHARE	 100U
/* Turns that a page may wait for its mapping to be known. */
#define TRIES_MAX 8U
#define BATCH	  256U
/* While a hook rests somebody looks so often whether it is wanted. */
#define READERS_USEC USEC_PER_SEC

struct hinting {
	struct hinting_env env;
	sd_event_source *timer;
	struct hinted *hinted;
	struct hints *hints; /* NULL: not hooked */
	struct hints_state state;
	bool stopped;
	bool refused; /* not to be tried again before a reload */
	struct demand demand; /* for a hook for which everybody pays */
	struct readers readers;
	uint64_t readers_usec; /* the next look at them */
	unsigned int n_watched;
	uint64_t alone_usec; /* since when nobody is watched */
	uint64_t some_usec; /* since when somebody is */
	enum hints_want hook; /* as it was configured when last opened */
	unsigned int buffer;
	struct looks *looks;
	uint64_t found; /* looks_found() when last asked */
	struct budget budget; /* of what is done for hints */
	uint64_t maps_usec; /* CPU for mappings */
	uint64_t lost; /* hints that were overwritten */
	uint64_t unwatched; /* processes for whom there was no room */
	char text[256];
};

static bool is_wanted(const struct watched *w)
{
	return w->mode >= MODE_MANAGED;
}

/* What somebody should know who looks at "status": measured, see the bench. */
static const char *const costs[] = {
	[HOOK_TRACEPOINT] = "each system call takes about 0.06 us longer",
	[HOOK_SYS_EXIT] = "each system call takes about 0.1 us longer",
	[HOOK_NONE] = NULL,
	[HOOK_FENTRY] = NULL,
};

/* Only where nobody has asked for that hook by its name. */
static bool may_rest(const struct hinting *h)
{
	return h->hints && h->hook == HINTS_AUTO &&
	       hints_is_costly(h->state.hook);
}

static void text_set(struct hinting *h)
{
	const char *cost = !h->hints ? NULL
			   : may_rest(h) && !h->demand.hooked
				   ? "rests: nobody who is watched reads files"
				   : costs[h->state.hook];
	const char *name = hints_hook_name(h->state.hook);

	if (!h->env.config->hints_enabled)
		snprintf(h->text, sizeof(h->text), "off");
	else if (!h->hints && !h->refused)
		snprintf(h->text, sizeof(h->text),
			 h->n_watched
				 ? "not yet (what is there is looked at first)"
				 : "none (nobody is there to be watched)");
	else if (cost || *h->state.why)
		snprintf(h->text, sizeof(h->text), "%s (%s%s%s)", name,
			 cost ? cost : "", cost && *h->state.why ? "; " : "",
			 h->state.why);
	else
		snprintf(h->text, sizeof(h->text), "%s", name);
}

/* --- hooks ----------------------------------------------------------------- */

static void watch_one(struct hinting *h, const struct watched *w)
{
	if (hints_watch(h->hints, w->process.id.pid, w->number))
		h->unwatched++;
}

/* What is configured; for tests the environment may name one hook. */
static enum hints_want hook_wanted(const struct config *config)
{
	static const enum hints_want wants[] = {
		[HOOK_FENTRY] = HINTS_FENTRY,
		[HOOK_TRACEPOINT] = HINTS_TRACEPOINT_NAMED,
		[HOOK_SYS_EXIT] = HINTS_TRACEPOINT_ANY,
	};
	const char *name = getenv("KSMD_PLUS_HOOK");

	for (enum hints_hook i = HOOK_FENTRY; name && i <= HOOK_SYS_EXIT; i++)
		if (!strcmp(name, hints_hook_name(i)))
			return wants[i];
	return config->hints_hook;
}

/* One line in the journal says what there is, and why not more. */
static void hooks_open(struct hinting *h)
{
	const struct config *config = h->env.config;
	unsigned int n_slots = 1;
	struct watched *const *list;
	size_t n;
	int r;

	h->hook = config->hints_hook;
	h->buffer = config->hints_buffer;
	while (n_slots < h->buffer)
		n_slots *= 2;
	r = hints_open(h->env.root, hook_wanted(config), n_slots, &h->state,
		       &h->hints);
	h->refused = r != 0;
	demand_init(&h->demand, clock_usec(CLOCK_MONOTONIC));
	text_set(h);
	if (r < 0)
		log_event_limited(LOG_ERR, JOURNAL_HINTS_REFUSED, NULL,
				  "Cannot follow reads of files: %s",
				  strerror(-r));
	else if (h->hook != HINTS_OFF)
		log_event_limited(LOG_NOTICE, JOURNAL_HINTS,
				  LOG_FIELDS(LOG_TEXT("HOOK", h->text)),
				  "Hints from reads of files: %s", h->text);
	if (r)
		return;
	list = watch_list(h->env.watch, &n);
	for (size_t i = 0; i < n; i++)
		if (list[i] && !list[i]->gone && is_wanted(list[i]))
			watch_one(h, list[i]);
}

static void hooks_close(struct hinting *h)
{
	struct hinted_counters c;

	if (!h->hints)
		return;
	h->hints = hints_close(h->hints);
	text_set(h);
	hinted_counters(h->hinted, &c);
	log_info("Hints so far: %" PRIu64 " taken, %" PRIu64 " lost; %" PRIu64
		 " pages, %" PRIu64 " pairs from the same place of a file",
		 c.hints, h->lost, c.pages, c.pairs);
}

static bool may_open(const struct hinting *h, uint64_t now)
{
	bool busy = scan_state(h->env.scan) == SCAN_FIRST ||
		    merge_stage(h->env.merge) != MERGE_IDLE;

	return now >= h->some_usec + (busy ? DEFER_MAX_USEC : DEFER_USEC);
}

/* Hooked while somebody is watched, and a while longer. */
static void hooks_consider(struct hinting *h, uint64_t now)
{
	if (h->n_watched)
		h->alone_usec = now;
	if (!h->env.config->hints_enabled || now > h->alone_usec + LINGER_USEC)
		hooks_close(h);
	else if (!h->hints && !h->refused && h->n_watched && may_open(h, now))
		hooks_open(h);
}

/* Bytes that hints of watched processes tell of. */
static uint64_t hints_collect(struct hinting *h)
{
	struct hint list[BATCH];
	uint64_t bytes = 0;
	size_t n;

	/* no more than one ring at a time: others wait for the loop */
	for (unsigned int left = 2 * h->buffer; left >= BATCH; left -= BATCH) {
		n = hints_take(h->hints, list, BATCH, &h->lost);
		for (size_t i = 0; i < n; i++) {
			const struct watched *w = watch_get(h->env.watch,
							    list[i].number);

			if (!w || w->process.id.pid != (pid_t)list[i].tgid)
				continue;
			hinted_add(h->hinted, &list[i]);
			bytes += list[i].bytes;
		}
		if (n < BATCH)
			break;
	}
	return bytes;
}

/* A hook for which everybody pays rests while it is of no use. */
static void demand_turn(struct hinting *h, uint64_t now, uint64_t bytes)
{
	bool before = h->demand.hooked;
	struct watched *const *list;
	size_t n;
	int r;

	if (!may_rest(h))
		return;
	if (before) {
		demand_hinted(&h->demand, now, bytes);
	} else if (now >= h->readers_usec) {
		h->readers_usec = now + READERS_USEC;
		list = watch_list(h->env.watch, &n);
		demand_read(&h->demand, now,
			    readers_look(&h->readers, list, n));
	}
	if (h->demand.hooked == before)
		return;
	r = hints_rest(h->hints, before);
	if (r) {
		log_debug("Cannot follow reads again, trying later: %s",
			  strerror(-r));
		h->demand.hooked = before;
	}
	readers_forget(&h->readers);
	text_set(h);
}

/* --- looks ----------------------------------------------------------------- */

static bool may_look(struct hinting *h)
{
	h->budget.share_permyriad = MAX(h->env.budget->share_permyriad / 2, 1U);
	budget_update(&h->budget, clock_usec(CLOCK_MONOTONIC),
		      looks_cpu_usec(h->looks) + h->maps_usec, false);
	return !scan_is_paused(h->env.scan) && !budget_wait_usec(&h->budget);
}

static void on_mapped(void *userdata, struct watched *w)
{
	struct hinting *h = userdata;

	w->mapping = false;
	h->maps_usec += w->map_usec;
}

/* Read the mappings of @w, if that may be done now. */
static void map_again(struct hinting *h, struct watched *w, bool missing)
{
	uint64_t least = missing ? MAP_MISSING_USEC : MAP_OLD_USEC;

	if (w->mapping || w->mute ||
	    clock_usec(CLOCK_MONOTONIC) <
		    w->mapped_usec + MAX(least, w->map_usec * MAP_SHARE))
		return;
	w->mapping = !mapping_submit(scan_mapping(h->env.scan), w, on_mapped,
				     h);
}

/* Look at the pages of @region, or let it wait until more is known. */
static void region_look(struct hinting *h, struct watched *w,
			const struct hinted_region *region)
{
	const struct watched_region *wr = watched_region_at(w, region->base);
	uint64_t age = clock_usec(CLOCK_MONOTONIC) - w->mapped_usec;
	struct pagemask eligible, mergeable;
	bool missing = !wr;

	reader_masks(&w->vmas, region->base, &eligible, &mergeable);
	for (unsigned int i = 0; i < PAGEMASK_WORDS; i++)
		missing |= region->pages.words[i] & ~eligible.words[i];
	if (missing || age > MAP_OLD_USEC)
		map_again(h, w, missing);
	/* at last, what is known of it has to do */
	if (wr && (!missing || region->tries == TRIES_MAX) &&
	    age <= MAX(MAP_OLD_USEC, w->map_usec * MAP_SHARE)) {
		if (looks_hinted(h->looks, w, wr, &region->pages,
				 &region->paired))
			log_debug("No memory to look at a hint, skipping it");
	} else if (region->tries < TRIES_MAX) {
		hinted_put_back(h->hinted, region);
	}
}

static void regions_look(struct hinting *h)
{
	unsigned int deep = 2 * pool_threads(h->env.pool) + 2;
	struct hinted_region region;

	while (looks_in_flight(h->looks) < deep && may_look(h) &&
	       hinted_take(h->hinted, &region)) {
		struct watched *w = watch_get(h->env.watch, region.owner);

		if (!watched_is_readable(w) || w->held)
			continue;
		/* it is being read in full just now */
		if (w->fresh || w->n_passes == 0) {
			if (region.tries < TRIES_MAX)
				hinted_put_back(h->hinted, &region);
		} else {
			region_look(h, w, &region);
		}
	}
}

static void on_looked(void *userdata)
{
	struct hinting *h = userdata;
	uint64_t found = looks_found(h->looks);
	bool more = found != h->found;

	h->found = found;
	regions_look(h);
	if (more)
		merge_hurry(h->env.merge);
}

/* --- turns ----------------------------------------------------------------- */

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct hinting *h = userdata;
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	(void)usec;
	hooks_consider(h, now);
	if (h->hints)
		demand_turn(h, now, hints_collect(h));
	if (!hinted_is_empty(h->hinted)) {
		hinted_turn(h->hinted);
		regions_look(h);
	}
	sd_event_source_set_time(source, now + TURN_USEC);
	sd_event_source_set_enabled(source, h->hints || h->n_watched
						    ? SD_EVENT_ONESHOT
						    : SD_EVENT_OFF);
	return 0;
}

static void timer_start(struct hinting *h)
{
	if (h->stopped)
		return;
	sd_event_source_set_time(h->timer, 0);
	sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
}

void hinting_stop(struct hinting *h)
{
	h->stopped = true;
	sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
}

void hinting_reload(struct hinting *h)
{
	const struct config *config = h->env.config;

	if (h->hook != config->hints_hook ||
	    h->buffer != config->hints_buffer) {
		hooks_close(h);
		h->refused = false;
	}
	text_set(h);
	timer_start(h);
}

void hinting_found(struct hinting *h, const struct watched *w)
{
	if (!h || !is_wanted(w))
		return;
	if (!h->n_watched++)
		h->some_usec = clock_usec(CLOCK_MONOTONIC);
	text_set(h);
	if (h->hints)
		watch_one(h, w);
	else
		timer_start(h);
}

void hinting_lost(struct hinting *h, const struct watched *w)
{
	if (!h || !is_wanted(w))
		return;
	h->n_watched--;
	hinted_forget(h->hinted, w->number);
	if (h->hints)
		hints_unwatch(h->hints, w->process.id.pid);
}

const char *hinting_text(const struct hinting *h)
{
	return h->text;
}

int hinting_new(const struct hinting_env *env, struct hinting **ret)
{
	struct hinting *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->env = *env;
	h->hook = env->config->hints_hook;
	h->buffer = env->config->hints_buffer;
	text_set(h);
	budget_init(&h->budget, 1, clock_usec(CLOCK_MONOTONIC), 0);
	r = hinted_new(&h->hinted);
	if (!r)
		r = looks_new(&(struct looks_env){ .pool = env->pool,
						   .reader = env->reader,
						   .track = env->track,
						   .done = on_looked,
						   .userdata = h },
			      &h->looks);
	if (!r)
		r = sd_event_add_time(env->event, &h->timer, CLOCK_MONOTONIC, 0,
				      1000, on_timer, h);
	if (r < 0) {
		hinting_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

struct hinting *hinting_free(struct hinting *h)
{
	if (!h)
		return NULL;
	hooks_close(h);
	sd_event_source_unref(h->timer);
	looks_free(h->looks);
	hinted_free(h->hinted);
	free(h);
	return NULL;
}
