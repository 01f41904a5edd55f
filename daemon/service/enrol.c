/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enrol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ksmd-plus/journal.h>

#include "cleanup.h"
#include "clock.h"
#include "inject.h"
#include "keeper.h"
#include "ledger.h"
#include "log.h"
#include "watch.h"

/* Between two stops of one target: it shall run at least as long as it is
 * held. */
#define PAUSE_USEC (1 * USEC_PER_MSEC)
/* A lost injector is started again after this long, and ever later where it is
 * lost again: up to the second figure, or, where there is no such program, the
 * third. What has lived for so long begins anew. */
#define RESTART_USEC	 (250 * USEC_PER_MSEC)
#define RESTART_MAX_USEC (5 * USEC_PER_SEC)
#define MISSING_MAX_USEC (60 * USEC_PER_SEC)

struct operation {
	struct operation *next;
	struct watched *watched;
	enum inject_op op;
	enrol_done_fn done;
	void *userdata;
	size_t at; /* ranges done */
	size_t n;
	struct range ranges[];
};

struct enrol {
	sd_event *event;
	struct ledger *ledger;
	const char *path;
	struct keeper *keeper; /* NULL in a dry run */
	bool is_helper; /* the keeper is another's */
	struct inject *inject;
	sd_event_source *reply;
	sd_event_source *timer;
	struct operation *first;
	struct operation **last;
	unsigned int n_pending;
	bool waiting; /* a request is with the injector */
	int start_error;
	unsigned int n_lost; /* one soon after the other */
	uint64_t start_usec;
	uint64_t restart_usec;
	uint64_t cookie;
	uint64_t past_cpu_usec;
	struct enrol_counters counters;
};

static int on_reply(sd_event_source *source, int fd, uint32_t revents,
		    void *userdata);
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* CPU clock of a whole process, living threads or dead. */
static uint64_t cpu_of(pid_t pid)
{
	clockid_t clock;

	return clock_getcpuclockid(pid, &clock) ? 0 : clock_usec(clock);
}

static void timer_at(struct enrol *enrol, uint64_t usec)
{
	sd_event_source_set_time(enrol->timer, usec);
	sd_event_source_set_enabled(enrol->timer, SD_EVENT_ONESHOT);
}

static void timer_set(struct enrol *enrol, uint64_t delay_usec)
{
	timer_at(enrol, clock_usec(CLOCK_MONOTONIC) + delay_usec);
}

static void restart_later(struct enrol *enrol)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	uint64_t max = enrol->start_error == ENOENT ? MISSING_MAX_USEC
						    : RESTART_MAX_USEC;

	if (now >= enrol->start_usec + MISSING_MAX_USEC)
		enrol->n_lost = 0;
	enrol->restart_usec = now + MIN(RESTART_USEC << enrol->n_lost, max);
	enrol->n_lost = MIN(enrol->n_lost + 1, 10U);
	timer_at(enrol, enrol->restart_usec);
}

static int injector_start(struct enrol *enrol)
{
	int r = inject_new_by(enrol->keeper, &enrol->inject);

	enrol->start_usec = clock_usec(CLOCK_MONOTONIC);
	if (r >= 0)
		r = sd_event_add_io(enrol->event, &enrol->reply,
				    inject_fd(enrol->inject), EPOLLIN, on_reply,
				    enrol);
	if (r < 0)
		enrol->inject = inject_free(enrol->inject);
	enrol->start_error = r < 0 ? -r : 0;
	if (r < 0)
		restart_later(enrol);
	return r < 0 ? r : 0;
}

static void injector_stop(struct enrol *enrol)
{
	if (enrol->inject)
		enrol->past_cpu_usec += cpu_of(inject_pid(enrol->inject));
	enrol->reply = sd_event_source_unref(enrol->reply);
	enrol->inject = inject_free(enrol->inject);
	enrol->waiting = false;
}

static void injector_drop(struct enrol *enrol)
{
	log_event_limited(LOG_WARNING, JOURNAL_INJECTOR_DIED, NULL,
			  "The injector has died; starting a new one");
	injector_stop(enrol);
	enrol->start_error = EPIPE;
	restart_later(enrol);
}

/* Who starts injectors has rights that we have given up: there is no other. */
static bool keeper_is_lost(struct enrol *enrol)
{
	if (!keeper_is_gone(enrol->keeper))
		return false;
	log_event(
		LOG_ERR, JOURNAL_INJECTOR_DIED, NULL,
		"The process that starts injectors has died; ending, for a new start");
	return true;
}

static int first_start(struct enrol *enrol)
{
	int r = keeper_new(enrol->path, &enrol->keeper);

	if (r)
		return log_event_errno(r, JOURNAL_START_FAILED, NULL,
				       "Cannot start what starts injectors");
	r = injector_start(enrol);
	if (!r)
		return 0;
	if (keeper_is_lost(enrol))
		return r;
	log_event(
		LOG_WARNING, JOURNAL_INJECTOR_MISSING,
		LOG_FIELDS(LOG_TEXT("PATH", enrol->path)),
		"Cannot start %s: %s; only processes that registered their memory themselves can be merged",
		enrol->path, strerror(enrol->start_error));
	return 0;
}

static int queue_new(sd_event *event, struct ledger *ledger, const char *path,
		     struct enrol **ret)
{
	struct enrol *enrol = calloc(1, sizeof(*enrol));
	int r;

	if (!enrol)
		return -ENOMEM;
	enrol->event = event;
	enrol->ledger = ledger;
	enrol->path = path;
	enrol->last = &enrol->first;
	r = sd_event_add_time(event, &enrol->timer, CLOCK_MONOTONIC, UINT64_MAX,
			      100, on_timer, enrol);
	if (r < 0) {
		enrol_free(enrol);
		return r;
	}
	*ret = enrol;
	return 0;
}

int enrol_new(sd_event *event, struct ledger *ledger, const char *path,
	      struct enrol **ret)
{
	struct enrol *enrol;
	int r = queue_new(event, ledger, path, &enrol);

	if (r < 0)
		return r;
	r = path ? first_start(enrol) : 0;
	if (r) {
		enrol_free(enrol);
		return r;
	}
	*ret = enrol;
	return 0;
}

int enrol_new_helper(struct enrol *of, struct enrol **ret)
{
	struct enrol *enrol;
	int r;

	if (!of->inject)
		return -ESRCH;
	r = queue_new(of->event, of->ledger, of->path, &enrol);
	if (r < 0)
		return r;
	enrol->keeper = of->keeper;
	enrol->is_helper = true;
	r = injector_start(enrol);
	if (r < 0) {
		enrol_free(enrol);
		return r;
	}
	*ret = enrol;
	return 0;
}

static void operation_finish(struct enrol *enrol, struct enrol_outcome *outcome)
{
	struct operation *o = enrol->first;

	enrol->first = o->next;
	if (!enrol->first)
		enrol->last = &enrol->first;
	enrol->n_pending--;
	outcome->ranges = o->ranges;
	o->done(o->userdata, o->watched, outcome);
	watched_unref(o->watched);
	free(o);
}

struct enrol *enrol_free(struct enrol *enrol)
{
	if (!enrol)
		return NULL;
	injector_stop(enrol);
	while (enrol->first)
		operation_finish(enrol, &(struct enrol_outcome){
						.result = INJECT_RETRY });
	sd_event_source_unref(enrol->timer);
	if (!enrol->is_helper)
		keeper_free(enrol->keeper);
	free(enrol);
	return NULL;
}

bool enrol_is_able(const struct enrol *enrol, const char **ret_why)
{
	if (ret_why)
		*ret_why = strerror(enrol->start_error);
	return !enrol->path || enrol->inject;
}

pid_t enrol_pid(const struct enrol *enrol)
{
	return enrol->inject ? inject_pid(enrol->inject) : 0;
}

pid_t enrol_keeper_pid(const struct enrol *enrol)
{
	return enrol->keeper ? keeper_pid(enrol->keeper) : 0;
}

unsigned int enrol_pending(const struct enrol *enrol)
{
	return enrol->n_pending;
}

bool enrol_has(const struct enrol *enrol, const struct watched *watched)
{
	for (const struct operation *o = enrol->first; o; o = o->next) {
		if (o->watched == watched)
			return true;
	}
	return false;
}

void enrol_counters(const struct enrol *enrol, struct enrol_counters *ret)
{
	*ret = enrol->counters;
	ret->requests = enrol->cookie;
	ret->cpu_usec = enrol->past_cpu_usec;
	if (enrol->inject)
		ret->cpu_usec += cpu_of(inject_pid(enrol->inject));
}

/* What is about to be done is in the ledger before the request leaves. */
static int ledger_record(struct enrol *enrol, const struct operation *o,
			 const struct inject_request *request)
{
	if (o->op == INJECT_MERGE_ANY)
		return ledger_whole(enrol->ledger, o->watched->process.id);
	if (o->op == INJECT_MERGEABLE)
		return ledger_enrols(enrol->ledger, o->watched->process.id,
				     request->ranges, request->n_ranges);
	return 0;
}

static int request_send(struct enrol *enrol, const struct operation *o)
{
	struct inject_request request = {
		.cookie = ++enrol->cookie,
		.start_time = o->watched->process.id.start_time,
		.stack = o->watched->process.stack,
		.pid = o->watched->process.id.pid,
		.op = o->op,
		.n_ranges = (uint32_t)MIN(o->n - o->at,
					  (size_t)INJECT_MAX_RANGES),
	};
	int r;

	memcpy(request.ranges, o->ranges + o->at,
	       request.n_ranges * sizeof(request.ranges[0]));
	r = ledger_record(enrol, o, &request);
	if (r)
		return r;
	return inject_send(enrol->inject, &request, o->watched->process.pidfd);
}

/* Send what stands first, until something has to be waited for. */
static void advance(struct enrol *enrol)
{
	while (enrol->first && !enrol->waiting) {
		struct enrol_outcome outcome = { .result = INJECT_RETRY,
						 .n_done = enrol->first->at };
		int r;

		if (!enrol->path) {
			outcome.result = INJECT_DONE;
		} else if (process_is_gone(&enrol->first->watched->process)) {
			outcome.result = INJECT_GONE;
		} else if (enrol->inject) {
			r = request_send(enrol, enrol->first);
			if (r == 0) {
				enrol->waiting = true;
				return;
			}
			if (r == INJECT_AGAIN) {
				timer_set(enrol, PAUSE_USEC);
				return;
			}
			if (r == INJECT_LOST)
				injector_drop(enrol);
		}
		operation_finish(enrol, &outcome);
	}
}

int enrol_submit(struct enrol *enrol, struct watched *watched,
		 enum inject_op op, const struct range *ranges, size_t n,
		 enrol_done_fn done, void *userdata)
{
	struct operation *o = calloc(1, sizeof(*o) + n * sizeof(*ranges));

	if (!o)
		return -ENOMEM;
	o->watched = watched_ref(watched);
	o->op = op;
	o->done = done;
	o->userdata = userdata;
	o->n = n;
	if (n)
		memcpy(o->ranges, ranges, n * sizeof(*ranges));
	*enrol->last = o;
	enrol->last = &o->next;
	enrol->n_pending++;
	/* from the loop, so that @done never runs inside this call */
	if (!enrol->waiting)
		timer_set(enrol, 0);
	return 0;
}

static void injector_lost(struct enrol *enrol)
{
	injector_drop(enrol);
	if (enrol->first)
		operation_finish(enrol, &(struct enrol_outcome){
						.result = INJECT_RETRY,
						.n_done = enrol->first->at });
}

static void reply_count(struct enrol *enrol, const struct inject_reply *reply)
{
	struct enrol_counters *c = &enrol->counters;

	c->stops += reply->n_stops;
	c->repaired += reply->n_repaired;
	c->hold_max_nsec = MAX(c->hold_max_nsec, reply->hold_nsec);
}

static void reply_take(struct enrol *enrol, const struct inject_reply *reply)
{
	struct operation *o = enrol->first;
	struct enrol_outcome outcome = {
		.result = reply->result,
		.reason = reply->reason,
		.error = reply->error,
	};

	reply_count(enrol, reply);
	o->at = MIN(o->at + reply->n_done, o->n);
	if (reply->result == INJECT_MORE ||
	    (reply->result == INJECT_DONE && o->at < o->n)) {
		timer_set(enrol, PAUSE_USEC);
		return;
	}
	outcome.n_done = o->at;
	operation_finish(enrol, &outcome);
	advance(enrol);
}

static int on_reply(sd_event_source *source, int fd, uint32_t revents,
		    void *userdata)
{
	struct enrol *enrol = userdata;
	struct inject_reply reply;
	int r;

	(void)source;
	(void)fd;
	(void)revents;
	r = inject_receive(enrol->inject, &reply);
	if (r == INJECT_AGAIN)
		return 0;
	enrol->waiting = false;
	if (r == 0 && enrol->first && reply.cookie == enrol->cookie)
		reply_take(enrol, &reply);
	else
		injector_lost(enrol);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct enrol *enrol = userdata;

	(void)source;
	(void)usec;
	if (enrol->path && !enrol->inject && enrol->restart_usec &&
	    clock_usec(CLOCK_MONOTONIC) >= enrol->restart_usec) {
		enrol->restart_usec = 0;
		if (injector_start(enrol) && !enrol->is_helper &&
		    keeper_is_lost(enrol))
			return sd_event_exit(enrol->event, EXIT_FAILURE);
	}
	advance(enrol);
	/* a request may have taken the timer meanwhile */
	if (enrol->restart_usec && !enrol->inject)
		timer_at(enrol, enrol->restart_usec);
	return 0;
}
