/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enrol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/journal.h>

#include "enrol-queue.h"
#include "log.h"

struct enrol {
	struct enrol_queue *queue;
	struct enrol_queue *unmarking; /* NULL: nobody is un-marked */
	bool is_helper; /* un-marks only, and has one queue */
	struct enrol_counters past; /* of queues that are no more */
};

int enrol_new(sd_event *event, struct ledger *ledger, const char *path,
	      struct enrol **ret)
{
	struct enrol *enrol = calloc(1, sizeof(*enrol));
	const char *why;
	int r;

	if (!enrol)
		return -ENOMEM;
	r = enrol_queue_new(event, ledger, path, &enrol->queue);
	if (r) {
		free(enrol);
		return r;
	}
	if (!enrol_queue_is_able(enrol->queue, &why))
		log_event(
			LOG_WARNING, JOURNAL_INJECTOR_MISSING,
			LOG_FIELDS(LOG_TEXT("PATH", path)),
			"Cannot start %s: %s; only processes that registered their memory themselves can be merged",
			path, why);
	*ret = enrol;
	return 0;
}

int enrol_new_helper(struct enrol *of, struct enrol **ret)
{
	struct enrol *enrol = calloc(1, sizeof(*enrol));
	int r;

	if (!enrol)
		return -ENOMEM;
	enrol->is_helper = true;
	r = enrol_queue_beside(of->queue, NULL, NULL, &enrol->queue);
	if (r) {
		free(enrol);
		return r;
	}
	*ret = enrol;
	return 0;
}

static void unmarking_end(void *userdata)
{
	struct enrol *enrol = userdata;

	if (enrol->unmarking)
		enrol_queue_count(enrol->unmarking, &enrol->past);
	enrol->unmarking = enrol_queue_free(enrol->unmarking);
}

struct enrol *enrol_free(struct enrol *enrol)
{
	if (!enrol)
		return NULL;
	unmarking_end(enrol);
	enrol_queue_free(enrol->queue);
	free(enrol);
	return NULL;
}

bool enrol_is_able(const struct enrol *enrol, const char **ret_why)
{
	return enrol_queue_is_able(enrol->queue, ret_why);
}

pid_t enrol_pid(const struct enrol *enrol)
{
	return enrol_queue_pid(enrol->queue);
}

pid_t enrol_keeper_pid(const struct enrol *enrol)
{
	return enrol_queue_keeper_pid(enrol->queue);
}

/* Without an injector of its own, un-marking waits with all the rest. */
static struct enrol_queue *unmarking(struct enrol *enrol)
{
	int r = 0;

	if (!enrol->unmarking && !enrol->is_helper)
		r = enrol_queue_beside(enrol->queue, unmarking_end, enrol,
				       &enrol->unmarking);
	if (r && r != -ESRCH)
		log_debug("Cannot start a second injector: %s", strerror(-r));
	return enrol->unmarking ? enrol->unmarking : enrol->queue;
}

/* Where @watched has something to be done already, or else by what it is. */
static struct enrol_queue *route(struct enrol *enrol,
				 const struct watched *watched,
				 enum inject_op op)
{
	if (enrol_queue_has(enrol->queue, watched))
		return enrol->queue;
	if (enrol->unmarking && enrol_queue_has(enrol->unmarking, watched))
		return enrol->unmarking;
	return op == INJECT_UNMERGEABLE || op == INJECT_UNMERGE_ANY
		       ? unmarking(enrol)
		       : enrol->queue;
}

int enrol_submit(struct enrol *enrol, struct watched *watched,
		 enum inject_op op, const struct range *ranges, size_t n,
		 enrol_done_fn done, void *userdata)
{
	return enrol_queue_submit(route(enrol, watched, op), watched, op,
				  ranges, n, done, userdata);
}

unsigned int enrol_pending(const struct enrol *enrol)
{
	unsigned int n = enrol_queue_pending(enrol->queue);

	return enrol->unmarking ? n + enrol_queue_pending(enrol->unmarking) : n;
}

bool enrol_has(const struct enrol *enrol, const struct watched *watched)
{
	return enrol_queue_has(enrol->queue, watched) ||
	       (enrol->unmarking && enrol_queue_has(enrol->unmarking, watched));
}

void enrol_cancel(struct enrol *enrol, const struct watched *watched)
{
	enrol_queue_cancel(enrol->queue, watched);
	if (enrol->unmarking)
		enrol_queue_cancel(enrol->unmarking, watched);
}

void enrol_counters(const struct enrol *enrol, struct enrol_counters *ret)
{
	*ret = enrol->past;
	enrol_queue_count(enrol->queue, ret);
	if (enrol->unmarking)
		enrol_queue_count(enrol->unmarking, ret);
}
