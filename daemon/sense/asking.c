/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "asking.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "tenant.h"
#include "thread.h"

/* So many are asked about between two handings over. */
#define BATCH 64U
/*
 * One answer takes some 50 us; a fork of 100 GB, which holds the lock, half a
 * second. Nothing is lost with who is given up: it is asked about again.
 */
#define PATIENCE_USEC (250 * USEC_PER_MSEC)
/* So long may be waited in vain: it grows by a twentieth of the time. */
#define PATIENCE_LEAST_USEC (5 * USEC_PER_MSEC)
#define PATIENCE_SHARE	    20U
/* Who is at work (smaps of a large process), or waits for a CPU, gets so many
 * times as much: on a busy machine the loop waits for 5 s, and then less. */
#define WORK_TIMES 20U

struct asker {
	pthread_t id;
	struct asking *asking;
	pid_t tid;
	/* All under lock, but the ones of .v from .at on, while it works. */
	bool working;
	bool left; /* nobody waits for it any more */
	struct tenant tenant; /* if left, and known */
	bool tenant_known;
	bool facts; /* or ksm */
	bool smaps_too;
	size_t n, at; /* at: answered */
	struct ask v[BATCH];
};

struct asking {
	const struct root *root;
	void (*begin)(void);
	pthread_mutex_t lock;
	pthread_cond_t wake; /* there is work, or the end */
	pthread_cond_t answered;
	bool ending;
	uint64_t lost_usec; /* when all patience was used up last, or 0 */
	unsigned int n_threads;
	unsigned int n_left; /* under lock */
	struct asker askers[ASKING_THREADS];
};

static void answer(struct asker *self, struct ask *ask, bool refused)
{
	if (refused)
		ask->result = -EBUSY;
	else if (self->facts)
		ask->result = process_facts_read(self->asking->root,
						 ask->id.pid, self->smaps_too,
						 &ask->facts);
	else
		ask->result = ask->dir < 0
				      ? ask->dir
				      : process_ksm_read(ask->dir, &ask->ksm);
	ask->dir = close_fd(ask->dir);
}

/* What came too late is nobody's. */
static void leftovers_drop(struct asker *self)
{
	for (; self->at < self->n; self->at++) {
		process_facts_clear(&self->v[self->at].facts);
		close_fd(self->v[self->at].dir);
	}
}

/* Of whom it is that a thread was left behind. With the lock. */
static const struct tenant *left_tenant(struct asker *asker)
{
	if (!asker->tenant_known)
		asker->tenant_known = tenant_of(asker->asking->root,
						asker->v[asker->at].id.pid,
						&asker->tenant) == 0;
	return asker->tenant_known ? &asker->tenant : NULL;
}

/* Whether @pid's tenant has all that he may have. With the lock. */
static bool is_too_many(struct asking *asking, pid_t pid)
{
	const struct tenant *held;
	struct tenant tenant;
	unsigned int n = 0;

	if (asking->n_left < ASKING_EACH ||
	    tenant_of(asking->root, pid, &tenant))
		return false;
	for (unsigned int i = 0; i < asking->n_threads; i++) {
		held = asking->askers[i].left ? left_tenant(&asking->askers[i])
					      : NULL;
		n += held && tenant_equal(*held, tenant);
	}
	return n >= ASKING_EACH;
}

/* With the lock, which is given up for each question. */
static void work(struct asker *self)
{
	struct asking *asking = self->asking;

	while (self->at < self->n && !self->left) {
		struct ask *ask = &self->v[self->at];
		bool refused = is_too_many(asking, ask->id.pid);

		pthread_mutex_unlock(&asking->lock);
		answer(self, ask, refused);
		pthread_mutex_lock(&asking->lock);
		if (!self->left)
			self->at++;
	}
	if (self->left)
		leftovers_drop(self);
	asking->n_left -= self->left;
	self->working = false;
	self->left = false;
	pthread_cond_signal(&asking->answered);
}

static void *asker_main(void *arg)
{
	struct asker *self = arg;
	struct asking *asking = self->asking;

	pthread_setname_np(pthread_self(), ASKING_NAME);
	if (asking->begin)
		asking->begin();
	pthread_mutex_lock(&asking->lock);
	self->tid = gettid();
	while (!asking->ending)
		if (self->working)
			work(self);
		else
			pthread_cond_wait(&asking->wake, &asking->lock);
	pthread_mutex_unlock(&asking->lock);
	return NULL;
}

static int threads_start(struct asking *asking)
{
	int r = 0;

	while (!r && asking->n_threads < ASKING_THREADS) {
		struct asker *asker = &asking->askers[asking->n_threads];

		asker->asking = asking;
		r = thread_start(&asker->id, asker_main, asker);
		asking->n_threads += !r;
	}
	return r;
}

int asking_new(const struct root *root, void (*begin)(void),
	       struct asking **ret)
{
	struct asking *asking = calloc(1, sizeof(*asking));
	pthread_condattr_t monotonic;
	int r;

	if (!asking)
		return -ENOMEM;
	asking->root = root;
	asking->begin = begin;
	pthread_mutex_init(&asking->lock, NULL);
	pthread_cond_init(&asking->wake, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&asking->answered, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = threads_start(asking);
	if (r) {
		asking_free(asking);
		return r;
	}
	*ret = asking;
	return 0;
}

struct asking *asking_free(struct asking *asking)
{
	bool all = true;

	if (!asking)
		return NULL;
	pthread_mutex_lock(&asking->lock);
	asking->ending = true;
	pthread_cond_broadcast(&asking->wake);
	for (unsigned int i = 0; i < asking->n_threads; i++)
		all &= !asking->askers[i].working;
	pthread_mutex_unlock(&asking->lock);
	/* one that waits for somebody's lock may not end before we do */
	if (!all)
		return NULL;
	for (unsigned int i = 0; i < asking->n_threads; i++)
		pthread_join(asking->askers[i].id, NULL);
	pthread_cond_destroy(&asking->answered);
	pthread_cond_destroy(&asking->wake);
	pthread_mutex_destroy(&asking->lock);
	free(asking);
	return NULL;
}

/* Whether it waits for a CPU at most, and not for an answer. */
static bool is_running(const struct asker *asker)
{
	return !asker->tid ||
	       process_is_running(asker->asking->root, asker->tid);
}

static uint64_t patience(const struct asking *asking, uint64_t now)
{
	uint64_t grown = (now - asking->lost_usec) / PATIENCE_SHARE;

	return MAX(MIN(grown, PATIENCE_USEC), PATIENCE_LEAST_USEC);
}

/* With the lock. False: it was left behind. */
static bool answer_await(struct asking *asking, struct asker *asker)
{
	uint64_t since = clock_usec(CLOCK_MONOTONIC);
	uint64_t most = patience(asking, since);
	size_t at = asker->at;

	while (asker->working) {
		uint64_t now = clock_usec(CLOCK_MONOTONIC), until;
		struct timespec time;

		if (asker->at != at) {
			at = asker->at;
			since = now;
		}
		if (now >= since + most * WORK_TIMES ||
		    (now >= since + most && !is_running(asker))) {
			asking->lost_usec = now;
			asker->left = true;
			asker->tenant_known = false;
			asking->n_left++;
			return false;
		}
		until = now < since + most ? since + most : now + most;
		time = (struct timespec){
			.tv_sec = (time_t)(until / USEC_PER_SEC),
			.tv_nsec = (long)(until % USEC_PER_SEC * NSEC_PER_USEC),
		};
		pthread_cond_timedwait(&asking->answered, &asking->lock, &time);
	}
	return true;
}

/* With the lock, as all below. */
static bool is_held(const struct asking *asking, struct process_id id)
{
	for (unsigned int i = 0; i < asking->n_threads; i++) {
		const struct asker *asker = &asking->askers[i];
		const struct process_id *held = &asker->v[asker->at].id;

		if (asker->left && held->pid == id.pid &&
		    held->start_time == id.start_time)
			return true;
	}
	return false;
}

static struct asker *asker_idle(struct asking *asking)
{
	for (unsigned int i = 0; i < asking->n_threads; i++)
		if (!asking->askers[i].working)
			return &asking->askers[i];
	return NULL;
}

/* How many of the @n have got their result. */
static size_t batch_ask(struct asking *asking, struct asker *asker,
			struct ask *v, size_t n)
{
	size_t done;

	for (size_t i = 0; i < n; i++) {
		asker->v[i] = (struct ask){ .id = v[i].id, .dir = -1 };
		if (!asker->facts) {
			asker->v[i].dir = fcntl(v[i].dir, F_DUPFD_CLOEXEC, 3);
			if (asker->v[i].dir < 0)
				asker->v[i].dir = -errno;
		}
	}
	asker->n = n;
	asker->at = 0;
	asker->working = true;
	pthread_cond_broadcast(&asking->wake);
	if (answer_await(asking, asker))
		done = n;
	else
		done = asker->at;
	for (size_t i = 0; i < done; i++) {
		v[i].result = asker->v[i].result;
		v[i].facts = asker->v[i].facts;
		v[i].ksm = asker->v[i].ksm;
	}
	if (done < n)
		v[done++].result = -ETIMEDOUT;
	return done;
}

static void ask_all(struct asking *asking, bool facts, bool smaps_too,
		    struct ask *v, size_t n)
{
	pthread_mutex_lock(&asking->lock);
	for (size_t i = 0; i < n;) {
		struct asker *asker = asker_idle(asking);
		size_t k = i;

		while (k < n && k < i + BATCH && !is_held(asking, v[k].id))
			k++;
		if (k == i || !asker) {
			v[i++].result = asker ? -ETIMEDOUT : -EBUSY;
			continue;
		}
		asker->facts = facts;
		asker->smaps_too = smaps_too;
		i += batch_ask(asking, asker, &v[i], k - i);
	}
	pthread_mutex_unlock(&asking->lock);
}

void asking_facts(struct asking *asking, bool smaps_too, struct ask *v,
		  size_t n)
{
	ask_all(asking, true, smaps_too, v, n);
}

void asking_ksm(struct asking *asking, struct ask *v, size_t n)
{
	ask_all(asking, false, false, v, n);
}

int asking_ksm_of(struct asking *asking, const struct process *process,
		  struct process_ksm *ret)
{
	struct ask ask = { .id = process->id, .dir = process->dir };

	asking_ksm(asking, &ask, 1);
	*ret = ask.ksm;
	return ask.result;
}
