/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include <ksmd-plus/journal.h>

#include "cleanup.h"
#include "clock.h"
#include "enrol.h"
#include "log.h"
#include "merge.h"
#include "pool.h"
#include "process.h"
#include "pulser.h"
#include "scan.h"
#include "vigil.h"

/* So many looks in the time that systemd gives. */
#define LOOKS 4U
/* A job, or a round, may take so many times what it takes at most. */
#define PATIENCE 20U

enum { PART_SEARCH, PART_PULSE, PART_INJECTOR, PART_WORKER };

struct watchdog {
	struct watchdog_env env;
	sd_event_source *timer;
	uint64_t given_usec;
	uint32_t stalled; /* VIGIL_NONE: nothing */
	struct vigil vigil;
	uint64_t cpu_usec[VIGIL_PARTS]; /* of each part's thread, when seen */
	uint64_t seen_usec;
};

static const char *part_name(uint32_t part, char *buf, size_t size)
{
	static const char *const names[] = {
		[PART_SEARCH] = "the rounds of the search",
		[PART_PULSE] = "the end of a pulse of ksmd",
		[PART_INJECTOR] = "an answer of the injector",
	};

	if (part < PART_WORKER)
		return names[part];
	snprintf(buf, size, "the job of worker %" PRIu32, part - PART_WORKER);
	return buf;
}

/*
 * A thread that is runnable and had hardly any CPU since the last look waits
 * for one. One that runs all the time does not wait: it may be in a loop.
 */
static bool is_starved(struct watchdog *w, uint32_t part, pid_t tid,
		       uint64_t cpu_usec, uint64_t now)
{
	uint64_t had = cpu_usec - MIN(cpu_usec, w->cpu_usec[part]);

	w->cpu_usec[part] = cpu_usec;
	return tid && process_is_running(w->env.root, tid) &&
	       had < (now - w->seen_usec) / 2;
}

static struct vigil_sample worker_look(struct watchdog *w, unsigned int i,
				       uint64_t now)
{
	struct pool_worker worker;
	struct vigil_sample s;

	pool_look(w->env.pool, i, &worker);
	s = (struct vigil_sample){
		.busy = worker.busy,
		.count = worker.done,
		.patience_usec = MAX(w->given_usec,
				     worker.longest_usec * PATIENCE),
	};
	s.starved = is_starved(w, PART_WORKER + i, worker.tid, worker.cpu_usec,
			       now);
	return s;
}

/* Between two rounds it waits for merging to end, which has its own parts. */
static struct vigil_sample search_look(const struct watchdog *w)
{
	const struct watchdog_env *env = &w->env;

	return (struct vigil_sample){
		.busy = !scan_is_paused(env->scan) &&
			!pool_pending(env->pool) &&
			merge_stage(env->merge) == MERGE_IDLE,
		.count = scan_progress(env->scan),
		.patience_usec = MAX(w->given_usec,
				     SCAN_INTERVAL_MAX_USEC * PATIENCE / 4),
	};
}

/* It knows itself when it has to end. */
static struct vigil_sample pulse_look(const struct watchdog *w, uint64_t now)
{
	struct merge_counters c;

	merge_counters(w->env.merge, &c);
	return (struct vigil_sample){
		.busy = merge_stage(w->env.merge) == MERGE_PULSING &&
			now > pulser_deadline_usec(w->env.pulser),
		.count = c.pulses,
		.patience_usec = w->given_usec,
	};
}

static struct vigil_sample injector_look(struct watchdog *w, uint64_t now)
{
	struct enrol_counters c;
	struct vigil_sample s;

	enrol_counters(w->env.enrol, &c);
	s = (struct vigil_sample){
		.busy = enrol_pending(w->env.enrol) > 0,
		.count = c.requests,
		.patience_usec = w->given_usec,
	};
	s.starved = is_starved(w, PART_INJECTOR, enrol_pid(w->env.enrol),
			       c.cpu_usec, now);
	return s;
}

static uint32_t look(struct watchdog *w)
{
	unsigned int n = MIN(pool_threads(w->env.pool),
			     VIGIL_PARTS - PART_WORKER);
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	struct vigil_sample samples[VIGIL_PARTS];

	samples[PART_SEARCH] = search_look(w);
	samples[PART_PULSE] = pulse_look(w, now);
	samples[PART_INJECTOR] = injector_look(w, now);
	for (unsigned int i = 0; i < n; i++)
		samples[PART_WORKER + i] = worker_look(w, i, now);
	w->seen_usec = now;
	return vigil_look(&w->vigil, now, w->given_usec / LOOKS, samples,
			  PART_WORKER + n);
}

static void tell_stalled(struct watchdog *w, uint32_t stalled)
{
	char buf[64];
	const char *name = part_name(stalled, buf, sizeof(buf));
	uint64_t still_usec = w->vigil.parts[stalled].still_usec;

	log_event_limited(
		LOG_ERR, JOURNAL_STALLED,
		LOG_FIELDS(LOG_TEXT("PART", name),
			   LOG_NUMBER("STALLED_USEC", still_usec)),
		"No progress for %.1f s: %s is waited for. The watchdog is not told that all is well",
		(double)still_usec / USEC_PER_SEC, name);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct watchdog *w = userdata;
	uint32_t stalled = look(w);

	(void)usec;
	sd_event_source_set_time(source, clock_usec(CLOCK_MONOTONIC) +
						 w->given_usec / LOOKS);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	if (stalled == VIGIL_NONE)
		sd_notify(0, "WATCHDOG=1");
	else if (w->stalled != stalled)
		tell_stalled(w, stalled);
	else
		log_debug("Still no progress");
	if (stalled == VIGIL_NONE && w->stalled != VIGIL_NONE)
		log_info("It goes on");
	w->stalled = stalled;
	return 0;
}

int watchdog_new(const struct watchdog_env *env, struct watchdog **ret)
{
	struct watchdog *w;
	uint64_t given_usec;
	int r = sd_watchdog_enabled(0, &given_usec);

	if (r <= 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->env = *env;
	w->given_usec = MAX(given_usec, (uint64_t)LOOKS);
	w->stalled = VIGIL_NONE;
	r = sd_event_add_time(env->event, &w->timer, CLOCK_MONOTONIC, 0,
			      w->given_usec / LOOKS / 4, on_timer, w);
	if (r < 0) {
		free(w);
		return r;
	}
	*ret = w;
	return 0;
}

struct watchdog *watchdog_free(struct watchdog *watchdog)
{
	if (!watchdog)
		return NULL;
	sd_event_source_disable_unref(watchdog->timer);
	free(watchdog);
	return NULL;
}
