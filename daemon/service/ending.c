/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ending.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <ksmd-plus/journal.h>

#include "clock.h"
#include "ksm.h"
#include "log.h"
#include "pulser.h"
#include "watch.h"

/* What the sweep may take; it is for tidiness only. */
#define SWEEP_USEC  (2 * USEC_PER_SEC)
#define SWEEP_SCANS 2U
#define POLL_USEC   (10 * USEC_PER_MSEC)

struct ending {
	struct ending_env env;
	sd_event_source *timer;
	size_t at; /* next process to withdraw */
	bool any; /* somebody had marks of ours */
	bool sweeping;
	bool closed;
	uint64_t scans; /* full_scans when the sweep began */
	uint64_t deadline_usec;
};

static void timer_set(struct ending *e, uint64_t usec)
{
	sd_event_source_set_time(e->timer, usec);
	sd_event_source_set_enabled(e->timer, SD_EVENT_ONESHOT);
}

static void sweep_begin(struct ending *e)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	struct ksm_counters c;

	if (!e->any || ksm_read(e->env.withdraw.root, &c) || c.run != 1 ||
	    pulser_begin(e->env.pulser, 1, e->env.registered)) {
		sd_event_exit(e->env.event, 0);
		return;
	}
	e->sweeping = true;
	e->scans = c.full_scans;
	e->deadline_usec = now + SWEEP_USEC;
	timer_set(e, now + POLL_USEC);
}

static void withdraw_next(void *userdata)
{
	struct ending *e = userdata;
	size_t n;
	struct watched *const *list = watch_list(e->env.watch, &n);

	while (!e->closed && e->at < n) {
		struct watched *w = list[e->at++];
		enum withdraw_verdict verdict =
			w ? withdraw_begin(&e->env.withdraw, w, withdraw_next,
					   e)
			  : WITHDRAW_NOTHING;

		e->any |= verdict != WITHDRAW_NOTHING;
		if (verdict == WITHDRAW_BEGUN)
			return;
	}
	if (!e->closed)
		sweep_begin(e);
}

/* The sweep is done; or all of it takes too long. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	struct ending *e = userdata;
	struct ksm_counters c;

	(void)source;
	(void)usec;
	if (!e->sweeping)
		log_event(
			LOG_WARNING, JOURNAL_ENDING_LATE, NULL,
			"Withdrawing takes too long; what is left stays merged");
	if (!e->sweeping || now >= e->deadline_usec ||
	    ksm_read(e->env.withdraw.root, &c) ||
	    c.full_scans >= e->scans + SWEEP_SCANS)
		sd_event_exit(e->env.event, 0);
	else
		timer_set(e, now + POLL_USEC);
	return 0;
}

int ending_begin(const struct ending_env *env, struct ending **ret)
{
	struct ending *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->env = *env;
	r = sd_event_add_time(env->event, &e->timer, CLOCK_MONOTONIC,
			      clock_usec(CLOCK_MONOTONIC) + ENDING_USEC, 1000,
			      on_timer, e);
	if (r < 0) {
		free(e);
		return r;
	}
	*ret = e;
	withdraw_next(e);
	return 0;
}

void ending_close(struct ending *e)
{
	if (e)
		e->closed = true;
}

struct ending *ending_free(struct ending *e)
{
	if (e) {
		sd_event_source_unref(e->timer);
		free(e);
	}
	return NULL;
}
