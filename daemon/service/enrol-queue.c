/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enrol-queue.h"

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

/* Without anything to do for so long, it may be ended. */
#define IDLE_USEC (1 * USEC_PER_SEC)

/* What is to be taken back waits for so many new starts, some eight seconds:
 * nobody comes back for it later. */
#define PATIENT_STARTS 5U

struct operation {
	struct operation *next;
	struct watched *watched;
	enum inject_op op;
	enrol_done_fn done;
	void *userdata;
	bool cancelled;
	bool is_first; /* the ledger knew nothing of the process before */
	size_t at; /* ranges done */
	size_t n;
	struct range ranges[];
};

struct enrol_queue {
	sd_event *event;
	struct ledger *ledger;
	const char *path;
	struct keeper *keeper; /* NULL in a dry run */
	bool is_beside; /* the keeper is another's */
	void (*idle)(void *userdata);
	void *userdata;
	struct inject *inject;
	sd_event_source *reply;
	sd_event_source *timer;
	struct operation *first;
	struct operation **last;
	unsigned int n_pending;
	bool waiting; /* a request is with the injector */
	bool closed; /* nothing is taken any more */
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

static void timer_at(struct enrol_queue *queue, uint64_t usec)
{
	sd_event_source_set_time(queue->timer, usec);
	sd_event_source_set_enabled(queue->timer, SD_EVENT_ONESHOT);
}

static void timer_set(struct enrol_queue *queue, uint64_t delay_usec)
{
	timer_at(queue, clock_usec(CLOCK_MONOTONIC) + delay_usec);
}

static void restart_later(struct enrol_queue *queue)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	uint64_t max = queue->start_error == ENOENT ? MISSING_MAX_USEC
						    : RESTART_MAX_USEC;

	if (now >= queue->start_usec + MISSING_MAX_USEC)
		queue->n_lost = 0;
	queue->restart_usec = now + MIN(RESTART_USEC << queue->n_lost, max);
	queue->n_lost = MIN(queue->n_lost + 1, 10U);
	timer_at(queue, queue->restart_usec);
}

static int injector_start(struct enrol_queue *queue)
{
	int r = inject_new_by(queue->keeper, &queue->inject);

	queue->start_usec = clock_usec(CLOCK_MONOTONIC);
	if (r >= 0)
		r = sd_event_add_io(queue->event, &queue->reply,
				    inject_fd(queue->inject), EPOLLIN, on_reply,
				    queue);
	if (r < 0)
		queue->inject = inject_free(queue->inject);
	queue->start_error = r < 0 ? -r : 0;
	if (r < 0)
		restart_later(queue);
	return r < 0 ? r : 0;
}

static void injector_stop(struct enrol_queue *queue)
{
	if (queue->inject)
		queue->past_cpu_usec += cpu_of(inject_pid(queue->inject));
	queue->reply = sd_event_source_unref(queue->reply);
	queue->inject = inject_free(queue->inject);
	queue->waiting = false;
}

static void injector_drop(struct enrol_queue *queue)
{
	log_event_limited(LOG_WARNING, JOURNAL_INJECTOR_DIED, NULL,
			  "The injector has died; starting a new one");
	injector_stop(queue);
	queue->start_error = EPIPE;
	restart_later(queue);
}

/* Who starts injectors has rights that we have given up: there is no other. */
static bool keeper_is_lost(struct enrol_queue *queue)
{
	if (!keeper_is_gone(queue->keeper))
		return false;
	log_event(
		LOG_ERR, JOURNAL_INJECTOR_DIED, NULL,
		"The process that starts injectors has died; ending, for a new start");
	return true;
}

static int first_start(struct enrol_queue *queue)
{
	int r = keeper_new(queue->path, &queue->keeper);

	if (r)
		return log_event_errno(r, JOURNAL_START_FAILED, NULL,
				       "Cannot start what starts injectors");
	r = injector_start(queue);
	return r && keeper_is_lost(queue) ? r : 0;
}

static int queue_new(sd_event *event, struct ledger *ledger, const char *path,
		     struct enrol_queue **ret)
{
	struct enrol_queue *queue = calloc(1, sizeof(*queue));
	int r;

	*ret = NULL;
	if (!queue)
		return -ENOMEM;
	queue->event = event;
	queue->ledger = ledger;
	queue->path = path;
	queue->last = &queue->first;
	r = sd_event_add_time(event, &queue->timer, CLOCK_MONOTONIC, UINT64_MAX,
			      100, on_timer, queue);
	*ret = r < 0 ? enrol_queue_free(queue) : queue;
	return r < 0 ? r : 0;
}

int enrol_queue_new(sd_event *event, struct ledger *ledger, const char *path,
		    struct enrol_queue **ret)
{
	int r = queue_new(event, ledger, path, ret);

	if (!r && path)
		r = first_start(*ret);
	if (r)
		*ret = enrol_queue_free(*ret);
	return r;
}

int enrol_queue_beside(const struct enrol_queue *of,
		       void (*idle)(void *userdata), void *userdata,
		       struct enrol_queue **ret)
{
	int r = of->inject ? queue_new(of->event, of->ledger, of->path, ret)
			   : -ESRCH;

	if (r)
		return r;
	(*ret)->keeper = of->keeper;
	(*ret)->is_beside = true;
	(*ret)->idle = idle;
	(*ret)->userdata = userdata;
	r = injector_start(*ret);
	if (r)
		*ret = enrol_queue_free(*ret);
	return r;
}

static void operation_finish(struct enrol_queue *queue,
			     struct enrol_outcome *outcome)
{
	struct operation *o = queue->first;

	queue->first = o->next;
	if (!queue->first)
		queue->last = &queue->first;
	if (!queue->first && queue->idle)
		timer_set(queue, IDLE_USEC);
	queue->n_pending--;
	outcome->ranges = o->ranges;
	o->done(o->userdata, o->watched, outcome);
	watched_unref(o->watched);
	free(o);
}

struct enrol_queue *enrol_queue_free(struct enrol_queue *queue)
{
	if (!queue)
		return NULL;
	queue->closed = true;
	injector_stop(queue);
	while (queue->first)
		operation_finish(queue, &(struct enrol_outcome){
						.result = INJECT_RETRY });
	sd_event_source_unref(queue->timer);
	if (!queue->is_beside)
		keeper_free(queue->keeper);
	free(queue);
	return NULL;
}

bool enrol_queue_is_able(const struct enrol_queue *queue, const char **ret_why)
{
	if (ret_why)
		*ret_why = strerror(queue->start_error);
	return !queue->path || queue->inject;
}

pid_t enrol_queue_pid(const struct enrol_queue *queue)
{
	return queue->inject ? inject_pid(queue->inject) : 0;
}

pid_t enrol_queue_keeper_pid(const struct enrol_queue *queue)
{
	return queue->keeper ? keeper_pid(queue->keeper) : 0;
}

unsigned int enrol_queue_pending(const struct enrol_queue *queue)
{
	return queue->n_pending;
}

bool enrol_queue_has(const struct enrol_queue *queue,
		     const struct watched *watched)
{
	for (const struct operation *o = queue->first; o; o = o->next) {
		if (o->watched == watched)
			return true;
	}
	return false;
}

void enrol_queue_count(const struct enrol_queue *queue,
		       struct enrol_counters *sum)
{
	const struct enrol_counters *c = &queue->counters;

	sum->requests += queue->cookie;
	sum->stops += c->stops;
	sum->repaired += c->repaired;
	sum->hold_max_nsec = MAX(sum->hold_max_nsec, c->hold_max_nsec);
	sum->cpu_usec += queue->past_cpu_usec;
	if (queue->inject)
		sum->cpu_usec += cpu_of(inject_pid(queue->inject));
}

static bool is_marking(const struct operation *o)
{
	return o->op == INJECT_MERGE_ANY || o->op == INJECT_MERGEABLE;
}

void enrol_queue_cancel(struct enrol_queue *queue,
			const struct watched *watched)
{
	for (struct operation *o = queue->first; o; o = o->next) {
		if (is_marking(o) && (!watched || o->watched == watched))
			o->cancelled = true;
	}
	if (queue->first && !queue->waiting)
		timer_set(queue, 0);
}

/* What is about to be done is in the ledger before the request leaves. */
static int ledger_record(struct enrol_queue *queue, struct operation *o,
			 const struct inject_request *request)
{
	const struct process *p = &o->watched->process;
	int r = 0;

	if (!is_marking(o))
		return 0;
	o->is_first |= !ledger_process(queue->ledger, p->id);
	if (p->stack)
		r = ledger_program(queue->ledger, p->id, p->stack);
	if (r)
		return r;
	return o->op == INJECT_MERGE_ANY
		       ? ledger_whole(queue->ledger, p->id)
		       : ledger_enrols(queue->ledger, p->id, request->ranges,
				       request->n_ranges);
}

static int request_send(struct enrol_queue *queue, struct operation *o)
{
	struct inject_request request = {
		.cookie = ++queue->cookie,
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
	r = ledger_record(queue, o, &request);
	if (r)
		return r;
	return inject_send(queue->inject, &request, o->watched->process.pidfd);
}

static bool is_worth_waiting(const struct enrol_queue *queue)
{
	return !is_marking(queue->first) && !queue->inject &&
	       queue->restart_usec && queue->n_lost <= PATIENT_STARTS;
}

/* Send what stands first, until something has to be waited for. */
static void advance(struct enrol_queue *queue)
{
	while (queue->first && !queue->waiting && !is_worth_waiting(queue)) {
		struct enrol_outcome outcome = { .result = INJECT_RETRY,
						 .n_done = queue->first->at };
		int r;

		if (!queue->path) {
			outcome.result = INJECT_DONE;
		} else if (process_is_gone(&queue->first->watched->process)) {
			outcome.result = INJECT_GONE;
		} else if (queue->inject && !queue->first->cancelled) {
			r = request_send(queue, queue->first);
			if (r == 0) {
				queue->waiting = true;
				return;
			}
			if (r == INJECT_AGAIN) {
				timer_set(queue, PAUSE_USEC);
				return;
			}
			if (r == INJECT_LOST)
				injector_drop(queue);
		}
		operation_finish(queue, &outcome);
	}
}

int enrol_queue_submit(struct enrol_queue *queue, struct watched *watched,
		       enum inject_op op, const struct range *ranges, size_t n,
		       enrol_done_fn done, void *userdata)
{
	struct operation *o;

	if (queue->closed)
		return -ESHUTDOWN;
	o = calloc(1, sizeof(*o) + n * sizeof(*ranges));
	if (!o)
		return -ENOMEM;
	o->watched = watched_ref(watched);
	o->op = op;
	o->done = done;
	o->userdata = userdata;
	o->n = n;
	if (n)
		memcpy(o->ranges, ranges, n * sizeof(*ranges));
	*queue->last = o;
	queue->last = &o->next;
	queue->n_pending++;
	if (!queue->waiting)
		timer_set(queue, 0); /* @done never runs inside this call */
	return 0;
}

static void injector_lost(struct enrol_queue *queue)
{
	injector_drop(queue);
	if (queue->first)
		operation_finish(queue, &(struct enrol_outcome){
						.result = INJECT_RETRY,
						.n_done = queue->first->at });
}

static void reply_count(struct enrol_queue *queue,
			const struct inject_reply *reply)
{
	struct enrol_counters *c = &queue->counters;

	c->stops += reply->n_stops;
	c->repaired += reply->n_repaired;
	c->hold_max_nsec = MAX(c->hold_max_nsec, reply->hold_nsec);
}

static void reply_take(struct enrol_queue *queue,
		       const struct inject_reply *reply)
{
	struct operation *o = queue->first;
	struct enrol_outcome outcome = {
		.result = reply->result,
		.reason = reply->reason,
		.error = reply->error,
	};

	reply_count(queue, reply);
	o->at = MIN(o->at + reply->n_done, o->n);
	if (reply->result == INJECT_MORE ||
	    (reply->result == INJECT_DONE && o->at < o->n)) {
		timer_set(queue, o->cancelled ? 0 : PAUSE_USEC);
		return;
	}
	/* refused: nothing was done that would have to be undone */
	if (o->is_first && !o->at &&
	    (reply->result == INJECT_SKIP || reply->result == INJECT_RETRY))
		ledger_forget(queue->ledger, o->watched->process.id);
	outcome.n_done = o->at;
	operation_finish(queue, &outcome);
	advance(queue);
}

static int on_reply(sd_event_source *source, int fd, uint32_t revents,
		    void *userdata)
{
	struct enrol_queue *queue = userdata;
	struct inject_reply reply;
	int r;

	(void)source;
	(void)fd;
	(void)revents;
	r = inject_receive(queue->inject, &reply);
	if (r == INJECT_AGAIN)
		return 0;
	queue->waiting = false;
	if (r == 0 && queue->first && reply.cookie == queue->cookie)
		reply_take(queue, &reply);
	else
		injector_lost(queue);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct enrol_queue *queue = userdata;

	(void)source;
	(void)usec;
	if (queue->path && !queue->inject && queue->restart_usec &&
	    clock_usec(CLOCK_MONOTONIC) >= queue->restart_usec) {
		queue->restart_usec = 0;
		if (injector_start(queue) && !queue->is_beside &&
		    keeper_is_lost(queue))
			return sd_event_exit(queue->event, EXIT_FAILURE);
	}
	advance(queue);
	/* a request may have taken the timer meanwhile */
	if (queue->restart_usec && !queue->inject)
		timer_at(queue, queue->restart_usec);
	if (!queue->first && queue->idle)
		queue->idle(queue->userdata); /* which may free it */
	return 0;
}
