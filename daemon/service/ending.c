/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ending.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <ksmd-plus/journal.h>

#include "clock.h"
#include "enrol.h"
#include "ksm.h"
#include "ledger.h"
#include "log.h"
#include "pulser.h"
#include "vec.h"
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

/* Who cannot be un-marked and forks all the time is no reason to go on. */
#define MAX_WALKS 10U

struct lane {
	struct ending *ending;
	struct enrol *enrol; /* the daemon's own in the first one */
	bool busy;
};

struct strays VEC(struct watched *);

struct ending {
	struct ending_env env;
	struct strays strays; /* to be withdrawn, beside those of the list */
	sd_event_source *timer;
	struct lane lanes[N_LANES];
	uint64_t in_flight; /* bytes of copies that are being made */
	unsigned int n_walks;
	size_t at; /* next process to withdraw */
	bool any; /* somebody had marks of ours */
	bool sweeping;
	bool closed;
	uint64_t scans; /* full_scans when the sweep began */
	uint64_t deadline_usec; /* for the withdrawals, then for the sweep */
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

/* What the injector is doing in @w already comes first. */
static enum withdraw_verdict withdraw(struct lane *lane, struct watched *w)
{
	struct withdraw_env env = lane->ending->env.withdraw;

	if (w->ended)
		return WITHDRAW_NOTHING;
	w->ended = true;
	if (!enrol_has(env.enrol, w))
		env.enrol = lane->enrol;
	env.in_flight = &lane->ending->in_flight;
	return withdraw_begin(&env, w, on_withdrawn, lane);
}

/* A reference to the next one to be looked at, or NULL: that was the last. */
static struct watched *next_take(struct ending *e)
{
	size_t n;
	struct watched *const *list = watch_list(e->env.watch, &n);

	if (e->strays.n)
		return e->strays.v[--e->strays.n];
	while (e->at < n && !list[e->at])
		e->at++;
	return e->at < n ? watched_ref(list[e->at++]) : NULL;
}

/* Give @lane the next process that has marks of ours. */
static void withdraw_next(struct lane *lane)
{
	struct ending *e = lane->ending;
	struct watched *w;

	while (!lane->busy && (w = next_take(e))) {
		enum withdraw_verdict verdict = withdraw(lane, w);

		e->any |= verdict != WITHDRAW_NOTHING;
		lane->busy = verdict == WITHDRAW_BEGUN;
		watched_unref(w);
	}
}

static bool somebody_waits(const struct ending *e)
{
	size_t n;

	watch_list(e->env.watch, &n);
	return e->strays.n || e->at < n;
}

/* The first lane always; further ones as long as somebody waits for one. */
static void lanes_begin(struct ending *e)
{
	for (size_t i = 0; i < N_LANES; i++) {
		struct lane *lane = &e->lanes[i];

		if (!lane->enrol &&
		    (!somebody_waits(e) ||
		     enrol_new_helper(e->lanes[0].enrol, &lane->enrol) < 0))
			break;
		withdraw_next(lane);
	}
}

/* What was begun before the end is to be done, too. */
static bool is_done(const struct ending *e)
{
	return !is_busy(e) && !enrol_pending(e->lanes[0].enrol);
}

/* Look for who is there, as long as that brings something to be done. */
static void walk(struct ending *e)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	if (e->n_walks++ < MAX_WALKS && !watch_walk(e->env.watch, now)) {
		ledger_forget_given_back(e->env.withdraw.ledger);
		e->at = 0;
		lanes_begin(e);
	}
	if (is_done(e))
		sweep_begin(e);
	else
		timer_set(e, now + POLL_USEC);
}

static void on_withdrawn(void *userdata)
{
	struct lane *lane = userdata;

	lane->busy = false;
	if (!lane->ending->closed)
		withdraw_next(lane);
}

static void withdrawing_look(struct ending *e)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	if (!e->n_walks || is_done(e)) {
		walk(e);
	} else if (now < e->deadline_usec) {
		timer_set(e, now + POLL_USEC);
	} else {
		log_event(
			LOG_WARNING, JOURNAL_ENDING_LATE, NULL,
			"Withdrawing takes too long; what is left stays merged");
		sd_event_exit(e->env.event, 0);
	}
}

static void sweep_look(struct ending *e)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	struct ksm_counters c;

	if (now >= e->deadline_usec || ksm_read(e->env.withdraw.root, &c) ||
	    c.full_scans >= e->scans + SWEEP_SCANS)
		sd_event_exit(e->env.event, 0);
	else
		timer_set(e, now + POLL_USEC);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct ending *e = userdata;

	(void)source;
	(void)usec;
	if (e->sweeping)
		sweep_look(e);
	else
		withdrawing_look(e);
	return 0;
}

int ending_begin(const struct ending_env *env, struct ending **ret)
{
	struct ending *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->env = *env;
	e->deadline_usec = clock_usec(CLOCK_MONOTONIC) + ENDING_USEC;
	for (size_t i = 0; i < N_LANES; i++)
		e->lanes[i].ending = e;
	e->lanes[0].enrol = env->withdraw.enrol;
	r = sd_event_add_time(env->event, &e->timer, CLOCK_MONOTONIC, 0, 1000,
			      on_timer, e);
	if (r < 0) {
		free(e);
		return r;
	}
	enrol_cancel(env->withdraw.enrol, NULL);
	*ret = e;
	return 0;
}

void ending_add(struct ending *e, struct watched *w)
{
	/* without memory its marks stay: the ledger knows of them */
	if (!vec_push(&e->strays, w))
		watched_ref(w);
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
		while (e->strays.n)
			watched_unref(e->strays.v[--e->strays.n]);
		vec_free(&e->strays);
		sd_event_source_unref(e->timer);
		free(e);
	}
	return NULL;
}
