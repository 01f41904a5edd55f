/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ending.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <ksmd-plus/journal.h>

#include "clock.h"
#include "enrol.h"
#include "ksm.h"
#include "log.h"
#include "pulser.h"
#include "watch.h"

/* What the sweep may take; it is for tidiness only. */
#define SWEEP_USEC  (2 * USEC_PER_SEC)
#define SWEEP_SCANS 2U
#define POLL_USEC   (10 * USEC_PER_MSEC)

/*
 * Processes that are un-merged at a time, by an injector each. One is held for
 * a tenth of the time at most, so that all of them take less than one CPU.
 */
#define N_LANES 8

struct lane {
	struct ending *ending;
	struct enrol *enrol; /* the daemon's own in the first one */
	bool busy;
};

struct ending {
	struct ending_env env;
	sd_event_source *timer;
	struct lane lanes[N_LANES];
	uint64_t in_flight; /* bytes of copies that are being made */
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

static bool is_busy(const struct ending *e)
{
	for (size_t i = 0; i < N_LANES; i++) {
		if (e->lanes[i].busy)
			return true;
	}
	return false;
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

static void on_withdrawn(void *userdata);

/* What is queued for @w already comes first. */
static enum withdraw_verdict withdraw(struct lane *lane, struct watched *w)
{
	struct withdraw_env env = lane->ending->env.withdraw;

	if (!w)
		return WITHDRAW_NOTHING;
	if (!enrol_has(env.enrol, w))
		env.enrol = lane->enrol;
	env.in_flight = &lane->ending->in_flight;
	return withdraw_begin(&env, w, on_withdrawn, lane);
}

/* Give @lane the next process that has marks of ours. */
static void withdraw_next(struct lane *lane)
{
	struct ending *e = lane->ending;
	size_t n;
	struct watched *const *list = watch_list(e->env.watch, &n);

	while (!lane->busy && e->at < n) {
		enum withdraw_verdict verdict = withdraw(lane, list[e->at++]);

		e->any |= verdict != WITHDRAW_NOTHING;
		lane->busy = verdict == WITHDRAW_BEGUN;
	}
}

static void on_withdrawn(void *userdata)
{
	struct lane *lane = userdata;
	struct ending *e = lane->ending;

	lane->busy = false;
	if (e->closed)
		return;
	withdraw_next(lane);
	if (!is_busy(e))
		sweep_begin(e);
}

/* The first one always; further ones as long as somebody waits for one. */
static void lanes_begin(struct ending *e)
{
	size_t n;

	watch_list(e->env.watch, &n);
	e->lanes[0].enrol = e->env.withdraw.enrol;
	for (size_t i = 0; i < N_LANES; i++) {
		struct lane *lane = &e->lanes[i];

		lane->ending = e;
		if (i > 0 && (e->at == n || enrol_new_helper(e->lanes[0].enrol,
							     &lane->enrol) < 0))
			break;
		withdraw_next(lane);
	}
	if (!is_busy(e))
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
	lanes_begin(e);
	return 0;
}

void ending_close(struct ending *e)
{
	if (!e)
		return;
	e->closed = true;
	for (size_t i = 1; i < N_LANES; i++)
		e->lanes[i].enrol = enrol_free(e->lanes[i].enrol);
}

struct ending *ending_free(struct ending *e)
{
	if (e) {
		ending_close(e);
		sd_event_source_unref(e->timer);
		free(e);
	}
	return NULL;
}
