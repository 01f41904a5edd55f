/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "holding.h"

#include <inttypes.h>

#include <ksmd-plus/journal.h>
#include <ksmd-plus/reasons.h>

#include "accounts.h"
#include "clock.h"
#include "log.h"
#include "sampler.h"
#include "watch.h"
#include "worth.h"

/* The one in progress, which may be over at once, and a whole one. */
#define RELEASE_PASSES 2U

#define HELD_REASON (reason_text(REASON_KEEPS_BREAKING)->name)

static void say_held(const struct watched *w)
{
	const struct worth *worth = &w->account.worth;
	uint64_t seconds = worth_hold_usec(worth) / USEC_PER_SEC;

	log_event_limited(
		LOG_NOTICE, JOURNAL_HELD,
		LOG_FIELDS(LOG_NUMBER("PID", w->process.id.pid),
			   LOG_TEXT("COMM", w->facts.comm),
			   LOG_TEXT("TARGET", w->target),
			   LOG_TEXT("REASON", HELD_REASON),
			   LOG_NUMBER("PAGES_BROKEN", (uint64_t)worth->broken),
			   LOG_NUMBER("HOLD_USEC", worth_hold_usec(worth))),
		"%s (pid %d) writes again what is merged: nothing new of it is enrolled for %" PRIu64
		" s",
		w->facts.comm, w->process.id.pid, seconds);
}

static void say_target_held(const struct accounts_group *g)
{
	uint64_t seconds = worth_hold_usec(&g->worth) / USEC_PER_SEC;

	log_event_limited(
		LOG_NOTICE, JOURNAL_TARGET_HELD,
		LOG_FIELDS(LOG_TEXT("TARGET", g->name),
			   LOG_TEXT("REASON", HELD_REASON),
			   LOG_NUMBER("PAGES_BROKEN",
				      (uint64_t)g->worth.broken),
			   LOG_NUMBER("HOLD_USEC", worth_hold_usec(&g->worth))),
		"Target %s writes again what is merged: nothing new of it is enrolled for %" PRIu64
		" s",
		g->name, seconds);
}

void holding_judge(struct watched *w, const struct worth_flow *flow,
		   uint64_t now)
{
	struct accounts_group *target = w->account.target;
	struct worth *worth = &w->account.worth, before = *worth;

	worth_add(worth, flow, now);
	switch (worth_judge(worth, now)) {
	case WORTH_HOLD:
		worth_subtract(&target->worth, &before);
		say_held(w);
		break;
	case WORTH_RELEASE:
		log_debug("Trying %s (pid %d) again", w->facts.comm,
			  w->process.id.pid);
		break;
	default:
		break;
	}
	if (worth->held)
		return;
	target->flow.saved += flow->saved;
	target->flow.merged += flow->merged;
	target->flow.broken += flow->broken;
}

/*
 * All of it is looked at anew. What the first passes find written was so while
 * nobody looked, and was paid for already.
 */
static void process_release(struct watched *w)
{
	w->held = false;
	w->pass_usec = 0;
	w->account.judged_from = w->n_passes + RELEASE_PASSES;
	for (size_t i = 0; i < w->regions.n; i++)
		sampler_heat(&w->regions.v[i].heat);
}

void holding_judge_targets(const struct watch *watch, struct accounts *accounts,
			   uint64_t now)
{
	struct accounts_group *g;
	size_t n;
	struct watched *const *list = watch_list(watch, &n);

	for (size_t i = 0;
	     (g = accounts_at(accounts, ACCOUNT_TARGET, i)) != NULL; i++)
		if (worth_judge(&g->worth, now) == WORTH_HOLD)
			say_target_held(g);
	for (size_t i = 0; i < n; i++) {
		struct watched *w = list[i];
		bool held = w && (w->account.worth.held ||
				  w->account.target->worth.held);

		if (!w)
			continue;
		if (w->held && !held)
			process_release(w);
		w->held = held;
	}
}

void holding_release(const struct watch *watch, struct accounts *accounts)
{
	struct accounts_group *g;
	size_t n;
	struct watched *const *list = watch_list(watch, &n);

	for (size_t i = 0;
	     (g = accounts_at(accounts, ACCOUNT_TARGET, i)) != NULL; i++)
		worth_forget(&g->worth);
	for (size_t i = 0; i < n; i++) {
		if (!list[i])
			continue;
		worth_forget(&list[i]->account.worth);
		if (list[i]->held)
			process_release(list[i]);
	}
}

uint64_t holding_count(const struct watch *watch)
{
	uint64_t held = 0;
	size_t n;
	struct watched *const *list = watch_list(watch, &n);

	for (size_t i = 0; i < n; i++)
		held += list[i] && list[i]->held;
	return held;
}
