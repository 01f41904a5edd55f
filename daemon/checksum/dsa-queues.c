/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dsa-queues.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "dsa-wq.h"
#include "thread.h"

/* 2.3 MiB each: then the machine has seen enough of this device. */
#define PUT_ASIDE_MAX 8U
/* While a queue fails again and again it is tried this often at least. */
#define BACKOFF_MAX_NSEC (600 * NSEC_PER_SEC)
/* So many batches without a failure, and the past is forgotten. */
#define GOOD_BATCHES 256U
/* How long a device may take to let go when the daemon ends. */
#define FREE_SEC 2

struct dsa_queues {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t closer;
	/* All below under the lock; a queue is in one of the lists. */
	struct dsa_wq *live;
	struct dsa_wq *waiting; /* retired or being tried: still in use */
	struct dsa_wq *dead; /* to be closed */
	struct dsa_wq *closing;
	unsigned int turn;
	unsigned int n_put_aside;
	unsigned int good;
	uint64_t backoff_first_nsec;
	uint64_t backoff_nsec;
	uint64_t next_nsec; /* when to look for queues; UINT64_MAX: not */
	bool looking;
	bool ending;
	bool ended; /* the closer is done */
	bool abandoned; /* and frees all this if it comes last */
	uint64_t retired;
	enum dsa_cause last;
};

static void lock(struct dsa_queues *q)
{
	pthread_mutex_lock(&q->lock);
}

static void unlock(struct dsa_queues *q)
{
	pthread_mutex_unlock(&q->lock);
}

static void list_add(struct dsa_wq **list, struct dsa_wq *wq)
{
	wq->next = *list;
	*list = wq;
}

static void list_remove(struct dsa_wq **list, struct dsa_wq *wq)
{
	while (*list && *list != wq)
		list = &(*list)->next;
	if (*list)
		*list = wq->next;
}

static bool list_has(const struct dsa_wq *list, const struct dsa_queue *queue)
{
	for (; list; list = list->next)
		if (!strcmp(list->node.queue.device, queue->device) &&
		    !strcmp(list->node.queue.name, queue->name))
			return true;
	return false;
}

/* --- closing ---------------------------------------------------------------- */

/* The device has let go of everything that went through @hold's queue. */
static void release(struct dsa_queues *q, struct dsa_hold *hold)
{
	while (hold) {
		struct dsa_hold *next = hold->next;

		if (dsa_set_drop(hold->set))
			q->n_put_aside--;
		hold = next;
	}
}

static void destroy(struct dsa_queues *q)
{
	pthread_cond_destroy(&q->wake);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static void *closer_main(void *arg)
{
	struct dsa_queues *q = arg;
	bool abandoned;

	lock(q);
	while (q->dead || !q->ending) {
		struct dsa_wq *wq = q->dead;
		struct dsa_hold *holds;

		if (!wq) {
			pthread_cond_wait(&q->wake, &q->lock);
			continue;
		}
		q->dead = wq->next;
		wq->next = NULL;
		q->closing = wq;
		holds = wq->holds;
		unlock(q);
		dsa_wq_close(wq);
		lock(q);
		q->closing = NULL;
		free(wq);
		release(q, holds);
	}
	q->ended = true;
	abandoned = q->abandoned;
	unlock(q);
	if (abandoned)
		destroy(q);
	return NULL;
}

int dsa_queues_new(uint64_t backoff_nsec, struct dsa_queues **ret)
{
	struct dsa_queues *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->wake, NULL);
	q->backoff_first_nsec = q->backoff_nsec = backoff_nsec;
	r = thread_start(&q->closer, closer_main, q);
	if (r) {
		destroy(q);
		return r;
	}
	*ret = q;
	return 0;
}

/* Under the lock: nobody uses @wq any more. */
static void unref(struct dsa_queues *q, struct dsa_wq *wq)
{
	if (--wq->refs)
		return;
	list_remove(&q->waiting, wq);
	list_add(&q->dead, wq);
	pthread_cond_signal(&q->wake);
}

static void retire(struct dsa_queues *q, struct dsa_wq *wq)
{
	wq->retired = true;
	list_remove(&q->live, wq);
	list_add(&q->waiting, wq);
	unref(q, wq);
}

struct dsa_queues *dsa_queues_free(struct dsa_queues *q)
{
	struct timespec until;
	bool ended;

	if (!q)
		return NULL;
	lock(q);
	while (q->live)
		retire(q, q->live);
	q->ending = true;
	pthread_cond_signal(&q->wake);
	unlock(q);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FREE_SEC;
	if (pthread_timedjoin_np(q->closer, NULL, &until) == 0) {
		destroy(q);
		return NULL;
	}
	pthread_detach(q->closer);
	lock(q);
	q->abandoned = true;
	ended = q->ended;
	unlock(q);
	if (ended)
		destroy(q);
	return NULL;
}

/* --- use -------------------------------------------------------------------- */

struct dsa_wq *dsa_queues_pick(struct dsa_queues *q)
{
	unsigned int cpu, node, n = 0, n_near = 0, i;
	struct dsa_wq *wq;

	if (getcpu(&cpu, &node))
		node = 0;
	lock(q);
	for (wq = q->live; wq; wq = wq->next) {
		n++;
		n_near += wq->node.queue.numa_node == (int32_t)node;
	}
	i = n && q->n_put_aside < PUT_ASIDE_MAX
		    ? q->turn++ % (n_near ? n_near : n) + 1
		    : 0;
	for (wq = i ? q->live : NULL; wq; wq = wq->next)
		if ((!n_near || wq->node.queue.numa_node == (int32_t)node) &&
		    !--i)
			break;
	if (wq)
		wq->refs++;
	unlock(q);
	return wq;
}

void dsa_queues_ref(struct dsa_queues *q, struct dsa_wq *wq)
{
	lock(q);
	wq->refs++;
	unlock(q);
}

void dsa_queues_drop(struct dsa_queues *q, struct dsa_wq *wq)
{
	lock(q);
	unref(q, wq);
	unlock(q);
}

/* Under the lock. */
static void look_later(struct dsa_queues *q)
{
	uint64_t when = clock_nsec(CLOCK_MONOTONIC) + q->backoff_nsec;

	q->next_nsec = MIN(q->next_nsec, when);
	q->backoff_nsec = MIN(q->backoff_nsec * 2, BACKOFF_MAX_NSEC);
	q->good = 0;
}

void dsa_queues_retire(struct dsa_queues *q, struct dsa_wq *wq,
		       enum dsa_cause cause)
{
	lock(q);
	if (!wq->retired) {
		q->retired++;
		q->last = cause;
		look_later(q);
		retire(q, wq);
	}
	unlock(q);
}

void dsa_queues_good(struct dsa_queues *q)
{
	lock(q);
	if (++q->good == GOOD_BATCHES)
		q->backoff_nsec = q->backoff_first_nsec;
	unlock(q);
}

void dsa_queues_hold(struct dsa_queues *q, struct dsa_wq *wq,
		     struct dsa_set *set, unsigned int slot)
{
	struct dsa_hold *hold = &set->holds[slot];

	atomic_fetch_add(&set->owners, 1);
	lock(q);
	hold->next = wq->holds;
	wq->holds = hold;
	unlock(q);
}

void dsa_queues_put_aside(struct dsa_queues *q, struct dsa_set *set)
{
	lock(q);
	q->n_put_aside++;
	if (dsa_set_drop(set))
		q->n_put_aside--;
	unlock(q);
}

/* --- looking ---------------------------------------------------------------- */

bool dsa_queues_due(struct dsa_queues *q)
{
	bool due;

	lock(q);
	due = !q->looking && q->n_put_aside < PUT_ASIDE_MAX &&
	      q->next_nsec != UINT64_MAX &&
	      clock_nsec(CLOCK_MONOTONIC) >= q->next_nsec;
	if (due) {
		q->looking = true;
		q->next_nsec = UINT64_MAX;
	}
	unlock(q);
	return due;
}

void dsa_queues_looked(struct dsa_queues *q, bool complete)
{
	lock(q);
	q->looking = false;
	if (!complete || !q->live)
		look_later(q);
	unlock(q);
}

int dsa_queues_find(struct dsa_queues *q, const struct dsa_queue *queue)
{
	int r = 0;

	lock(q);
	if (list_has(q->live, queue))
		r = DSA_QUEUES_OPEN;
	else if (list_has(q->waiting, queue) || list_has(q->dead, queue) ||
		 list_has(q->closing, queue))
		r = DSA_QUEUES_LEAVING;
	unlock(q);
	return r;
}

void dsa_queues_add(struct dsa_queues *q, struct dsa_wq *wq)
{
	lock(q);
	wq->refs = 1;
	wq->retired = true;
	list_add(&q->waiting, wq);
	unlock(q);
}

void dsa_queues_admit(struct dsa_queues *q, struct dsa_wq *wq)
{
	lock(q);
	wq->retired = false;
	list_remove(&q->waiting, wq);
	list_add(&q->live, wq);
	unlock(q);
}

void dsa_queues_state(struct dsa_queues *q, struct engine_dsa_state *ret)
{
	lock(q);
	for (const struct dsa_wq *wq = q->live; wq; wq = wq->next) {
		ret->n_queues++;
		ret->rung = MAX(ret->rung, wq->rung);
	}
	ret->n_put_aside = q->n_put_aside;
	ret->retired = q->retired;
	ret->last = q->last;
	unlock(q);
}
