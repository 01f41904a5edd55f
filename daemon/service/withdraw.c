/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "withdraw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/journal.h>

#include "asking.h"
#include "cleanup.h"
#include "enrol.h"
#include "explaining.h"
#include "heirs.h"
#include "ledger.h"
#include "log.h"
#include "memstat.h"
#include "planner.h"
#include "process.h"
#include "watch.h"

/*
 * Nobody comes back for what is left behind, so a bad moment is waited out
 * longer than for enrolling: signals by the thousand, a vfork child.
 */
#define MAX_TRIES 200U

struct request {
	struct ledger *ledger;
	struct enrol *enrol;
	uint64_t *in_flight;
	uint64_t bytes; /* our part of it */
	size_t n_ranges; /* of the ledger, that were submitted */
	unsigned int n_tries;
	bool unmarked; /* nothing is left but to give back the whole */
	void (*done)(void *userdata);
	void *userdata;
};

/* Who is not asked, because others of its tenant do not answer, has what it
 * had when it was. */
static int merged_pages(const struct withdraw_env *env, const struct watched *w,
			uint64_t *ret)
{
	struct process_ksm ksm;
	int r = asking_ksm_of(env->asking, &w->process, &ksm);

	*ret = r == -EBUSY ? w->account.merging + w->account.book.figures.saved
			   : ksm.merging_pages + ksm.zero_pages;
	return r == -EBUSY ? 0 : r;
}

/*
 * Copies for all its merged pages must fit, with a tenth of all to spare,
 * beside those that others are getting.
 */
static bool is_harmless(const struct withdraw_env *env, const struct watched *w,
			uint64_t *ret_bytes)
{
	uint64_t others = env->in_flight ? *env->in_flight : 0;
	uint64_t total, available, room, need, pages;

	if (w->mute || !env->unmergeable_safe || merged_pages(env, w, &pages) ||
	    memstat_read(env->root, &total, &available) ||
	    memstat_headroom(env->root, w->process.id.pid, &room))
		return false;
	*ret_bytes = pages * PAGE_BYTES;
	need = *ret_bytes + others;
	return available > need + total / 10 && room > need + need / 10;
}

static bool is_bad_moment(const struct enrol_outcome *outcome)
{
	/* without a reason: the injector was lost */
	return outcome->result == INJECT_RETRY &&
	       (outcome->reason == INJECT_REASON_NONE ||
		outcome->reason == INJECT_REASON_SIGNAL ||
		outcome->reason == INJECT_REASON_RSEQ ||
		outcome->reason == INJECT_REASON_NO_THREAD ||
		outcome->reason == INJECT_REASON_NOT_STOPPING);
}

static void on_withdrawn(void *userdata, struct watched *w,
			 const struct enrol_outcome *outcome);

/*
 * The call that gives back a whole process copies all that is merged there, in
 * one hold: before it the mappings are un-marked piece by piece.
 */
static int submit_whole(struct request *request, struct watched *w)
{
	struct ranges ranges = { 0 };
	int r = 0;

	for (size_t i = 0; !r && !request->unmarked && i < w->vmas.n; i++) {
		const struct vma *v = &w->vmas.v[i];

		if (v->mergeable)
			r = vec_push(&ranges,
				     ((struct range){ v->start, v->end }));
	}
	if (!ranges.n)
		request->unmarked = true;
	if (!r)
		r = enrol_submit(request->enrol, w,
				 request->unmarked ? INJECT_UNMERGE_ANY
						   : INJECT_UNMERGEABLE,
				 ranges.v, ranges.n, on_withdrawn, request);
	vec_free(&ranges);
	return r;
}

static bool is_half(const struct request *request, const struct watched *w,
		    const struct enrol_outcome *outcome)
{
	const struct ledger_process *p = ledger_process(request->ledger,
							w->process.id);

	return p && p->whole && !request->unmarked &&
	       (outcome->result == INJECT_DONE ||
		outcome->result == INJECT_FAILED);
}

/* Some were marked after this was submitted. */
static bool is_outdated(const struct request *request, const struct watched *w,
			const struct enrol_outcome *outcome)
{
	const struct ledger_process *p = ledger_process(request->ledger,
							w->process.id);

	return p && !p->whole && p->ranges.n > request->n_ranges &&
	       outcome->result == INJECT_DONE;
}

static int submit(struct request *request, struct watched *w)
{
	const struct ledger_process *p = ledger_process(request->ledger,
							w->process.id);

	if (!p) /* another request has done it */
		return -ENOENT;
	if (p->whole)
		return submit_whole(request, w);
	request->n_ranges = p->ranges.n;
	return enrol_submit(request->enrol, w, INJECT_UNMERGEABLE, p->ranges.v,
			    p->ranges.n, on_withdrawn, request);
}

/* Without a reason or an error it was begun, and not done in time. */
static void say_left(const struct watched *w,
		     const struct enrol_outcome *outcome)
{
	const char *why = outcome->reason  ? inject_reason_name(outcome->reason)
			  : outcome->error ? strerror(outcome->error)
					   : "no time was left";
	enum reason reason = explaining_of_inject(outcome->reason);

	log_event_limited(
		LOG_WARNING, JOURNAL_MARKS_LEFT,
		LOG_FIELDS(LOG_NUMBER("PID", w->process.id.pid),
			   LOG_TEXT("COMM", w->facts.comm),
			   LOG_TEXT("REASON",
				    reason ? reason_text(reason)->name : why)),
		"The marks of %s (pid %d) could not be taken back (%s); its merged pages stay merged",
		w->facts.comm, w->process.id.pid, why);
}

static void on_withdrawn(void *userdata, struct watched *w,
			 const struct enrol_outcome *outcome)
{
	struct request *request = userdata;
	bool half = is_half(request, w, outcome);

	request->unmarked |= half;
	if (is_bad_moment(outcome) && ++request->n_tries < MAX_TRIES &&
	    submit(request, w) == 0)
		return;
	if ((half || is_outdated(request, w, outcome)) &&
	    submit(request, w) == 0)
		return;
	if (!half && outcome->result == INJECT_DONE)
		ledger_given_back(request->ledger, w->process.id);
	else if (!half && outcome->result == INJECT_GONE)
		ledger_forget(request->ledger, w->process.id);
	else if (ledger_process(request->ledger, w->process.id))
		say_left(w, outcome);
	if (request->in_flight)
		*request->in_flight -= request->bytes;
	if (request->done)
		request->done(request->userdata);
	free(request);
}

enum withdraw_verdict withdraw_begin(const struct withdraw_env *env,
				     struct watched *w,
				     void (*done)(void *userdata),
				     void *userdata)
{
	const struct ledger_process *p = ledger_process(env->ledger,
							w->process.id);
	struct request *request;
	uint64_t bytes;
	bool another;

	enrol_cancel(env->enrol, w);
	if (!p || p->given_back)
		return WITHDRAW_NOTHING;
	another = process_is_gone(&w->process);
	heirs_settle(env->root, env->ledger, w->process.id, another);
	if (another || !ledger_process(env->ledger, w->process.id))
		return WITHDRAW_NOTHING;
	if (!is_harmless(env, w, &bytes)) {
		log_event_limited(
			LOG_NOTICE, JOURNAL_MERGED_KEPT,
			LOG_FIELDS(LOG_NUMBER("PID", w->process.id.pid),
				   LOG_TEXT("COMM", w->facts.comm)),
			"Leaving the merged pages of %s (pid %d) merged: un-merging them could leave too little memory",
			w->facts.comm, w->process.id.pid);
		return WITHDRAW_KEPT;
	}
	request = malloc(sizeof(*request));
	if (!request)
		return WITHDRAW_KEPT;
	*request = (struct request){ .ledger = env->ledger,
				     .enrol = env->enrol,
				     .in_flight = env->in_flight,
				     .bytes = bytes,
				     .done = done,
				     .userdata = userdata };
	if (submit(request, w)) {
		free(request);
		return WITHDRAW_KEPT;
	}
	if (env->in_flight)
		*env->in_flight += bytes;
	return WITHDRAW_BEGUN;
}
