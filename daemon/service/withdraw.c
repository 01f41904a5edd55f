/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "withdraw.h"

#include <stdlib.h>

#include "cleanup.h"
#include "enrol.h"
#include "ledger.h"
#include "log.h"
#include "memstat.h"
#include "process.h"
#include "watch.h"

struct request {
	struct ledger *ledger;
	void (*done)(void *userdata);
	void *userdata;
};

/* Copies for all its merged pages must fit, with a tenth of all to spare. */
static bool is_harmless(const struct withdraw_env *env, const struct watched *w)
{
	uint64_t total, available, room, need;
	struct process_ksm ksm;

	if (!env->unmergeable_safe || process_ksm_read(w->process.dir, &ksm) ||
	    memstat_read(env->root, &total, &available) ||
	    memstat_headroom(env->root, w->process.id.pid, &room))
		return false;
	need = (ksm.merging_pages + ksm.zero_pages) * PAGE_BYTES;
	return available > need + total / 10 && room > need + need / 10;
}

static void on_withdrawn(void *userdata, struct watched *w,
			 const struct enrol_outcome *outcome)
{
	struct request *request = userdata;

	if (outcome->result == INJECT_DONE || outcome->result == INJECT_GONE)
		ledger_forget(request->ledger, w->process.id);
	else
		log_warning(
			"The marks of %s (pid %d) could not be taken back (%s); its merged pages stay merged",
			w->facts.comm, w->process.id.pid,
			inject_reason_name(outcome->reason));
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
	int r;

	if (!p)
		return WITHDRAW_NOTHING;
	if (process_is_gone(&w->process)) {
		ledger_forget(env->ledger, w->process.id);
		return WITHDRAW_NOTHING;
	}
	if (!is_harmless(env, w)) {
		log_notice(
			"Leaving the merged pages of %s (pid %d) merged: un-merging them could leave too little memory",
			w->facts.comm, w->process.id.pid);
		return WITHDRAW_KEPT;
	}
	request = malloc(sizeof(*request));
	if (!request)
		return WITHDRAW_KEPT;
	*request = (struct request){ env->ledger, done, userdata };
	r = p->whole ? enrol_submit(env->enrol, w, INJECT_UNMERGE_ANY, NULL, 0,
				    on_withdrawn, request)
		     : enrol_submit(env->enrol, w, INJECT_UNMERGEABLE,
				    p->ranges.v, p->ranges.n, on_withdrawn,
				    request);
	if (r) {
		free(request);
		return WITHDRAW_KEPT;
	}
	return WITHDRAW_BEGUN;
}
