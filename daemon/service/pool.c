/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "checksum.h"
#include "cleanup.h"
#include "clock.h"
#include "pressure.h"
#include "runqueue.h"

/* How often others are looked for while there is work. */
#define ROOM_USEC 50000ULL
/* ... and CPUs are counted. */
#define COUNT_USEC USEC_PER_SEC

/* Between two tries of a worker to get what it needs. */
#define OPEN_NSEC (50L * 1000 * 1000)

struct queue {
	struct job *first;
	struct job **last;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct queue todo; /* under lock */
	struct queue done; /* under lock */
	unsigned int n_busy; /* under lock: jobs that are being run */
	unsigned int room; /* under lock: as many may be */
	uint64_t n_run; /* under lock: jobs that are behind us */
	bool ending; /* under lock */
	const struct root *root;
	sd_event_source *timer; /* looks for others while jobs are pending */
	uint64_t looked_usec;
	uint64_t counted_usec; /* CPUs; they come and go rarely */
	long n_cpus;
	int eventfd;
	sd_event_source *source;
	unsigned int pending;
	const struct checksum_engine *engine;
	enum confine_role role;
	unsigned int n_threads;
	struct thread {
		pthread_t id;
		struct pool *pool;
		struct pool_worker now; /* under lock */
	} threads[];
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_add(struct queue *q, struct job *job)
{
	job->next = NULL;
	*q->last = job;
	q->last = &job->next;
}

static struct job *queue_take(struct queue *q)
{
	struct job *job = q->first;

	if (job) {
		q->first = job->next;
		if (!q->first)
			q->last = &q->first;
	}
	return job;
}

/* Without memory, work begins when there is some; false: not any more. */
static bool worker_begin(struct pool *pool, struct worker *ret)
{
	const struct timespec pause = { .tv_nsec = OPEN_NSEC };
	bool ending = false;

	while (!ending && worker_open(pool->engine, ret)) {
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&pool->lock);
		ending = pool->ending;
		pthread_mutex_unlock(&pool->lock);
	}
	return !ending;
}

/*
 * Workers are not scheduled as idle, nor nicer than others: while they walk a
 * process's page tables they hold its mmap_lock, and whoever waits for a CPU
 * then makes the process wait. Linux 6.18.44 was seen to keep a task from a CPU
 * for 23 s beside others of another weight. The budget keeps them small.
 */
static void *worker_main(void *arg)
{
	struct thread *self = arg;
	struct pool *pool = self->pool;
	struct worker worker;
	struct job *job;

	if (!worker_begin(pool, &worker))
		return NULL;
	/* what cannot be had here, the loop's thread will tell */
	confine_thread(pool->role);
	pthread_mutex_lock(&pool->lock);
	self->now.tid = gettid();
	while (!pool->ending) {
		uint64_t begun_usec;
		bool was_empty;

		job = pool->n_busy < pool->room ? queue_take(&pool->todo)
						: NULL;
		if (!job && worker.used) {
			pthread_mutex_unlock(&pool->lock);
			worker_wipe(&worker);
			pthread_mutex_lock(&pool->lock);
			continue;
		}
		if (!job) {
			pthread_cond_wait(&pool->wake, &pool->lock);
			continue;
		}
		pool->n_busy++;
		self->now.busy = true;
		pthread_mutex_unlock(&pool->lock);
		begun_usec = clock_usec(CLOCK_MONOTONIC);
		job->run(job, &worker);
		begun_usec = clock_usec(CLOCK_MONOTONIC) - begun_usec;
		pthread_mutex_lock(&pool->lock);
		pool->n_busy--;
		pool->n_run++;
		self->now.busy = false;
		self->now.done++;
		self->now.longest_usec = MAX(self->now.longest_usec,
					     begun_usec);
		was_empty = !pool->done.first;
		queue_add(&pool->done, job);
		if (was_empty)
			eventfd_write(pool->eventfd, 1);
	}
	pthread_mutex_unlock(&pool->lock);
	worker_close(&worker);
	return NULL;
}

/*
 * Two workers beside a program that keeps one of two CPUs busy took a third of
 * its CPU away for as long as a burst lasts, one takes what nobody uses.
 */
static void room_look(struct pool *pool)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	unsigned int n_running;

	pool->looked_usec = now;
	if (now >= pool->counted_usec + COUNT_USEC) {
		pool->n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
		pool->counted_usec = now;
	}
	if (pool->n_cpus < 1 || runqueue_length(pool->root, &n_running) < 0)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->room = pressure_threads(pool->n_threads,
				      (unsigned int)pool->n_cpus, n_running,
				      pool->n_busy + 1);
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
}

static void timer_set(struct pool *pool)
{
	sd_event_source_set_time(pool->timer, pool->looked_usec + ROOM_USEC);
	sd_event_source_set_enabled(pool->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct pool *pool = userdata;

	(void)source;
	(void)usec;
	if (pool->pending) {
		room_look(pool);
		timer_set(pool);
	}
	return 0;
}

static int on_done(sd_event_source *source, int fd, uint32_t revents,
		   void *userdata)
{
	struct pool *pool = userdata;
	struct job *job, *next;
	eventfd_t count;

	(void)source;
	(void)revents;
	eventfd_read(fd, &count);
	pthread_mutex_lock(&pool->lock);
	job = pool->done.first;
	queue_init(&pool->done);
	pthread_mutex_unlock(&pool->lock);
	for (; job; job = next) {
		next = job->next;
		pool->pending--;
		job->done(job, false);
	}
	return 0;
}

/* Signals are the loop's: threads start with all of them blocked. */
static int threads_start(struct pool *pool, unsigned int n)
{
	sigset_t all, old;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (!r && pool->n_threads < n) {
		struct thread *t = &pool->threads[pool->n_threads];

		t->pool = pool;
		r = -pthread_create(&t->id, NULL, worker_main, t);
		pool->n_threads += !r;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

static int sources_add(struct pool *pool, sd_event *event)
{
	int r;

	pool->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pool->eventfd < 0)
		return -errno;
	r = sd_event_add_io(event, &pool->source, pool->eventfd, EPOLLIN,
			    on_done, pool);
	if (r >= 0)
		r = sd_event_add_time(event, &pool->timer, CLOCK_MONOTONIC, 0,
				      1000, on_timer, pool);
	if (r >= 0)
		r = sd_event_source_set_enabled(pool->timer, SD_EVENT_OFF);
	return r;
}

int pool_new(const struct pool_env *env, struct pool **ret)
{
	struct pool *pool = calloc(
		1, sizeof(*pool) + env->n_threads * sizeof(struct thread));
	int r;

	if (!pool)
		return -ENOMEM;
	pool->engine = env->engine;
	pool->root = env->root;
	pool->room = env->n_threads;
	pool->role = env->role;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	queue_init(&pool->todo);
	queue_init(&pool->done);
	r = sources_add(pool, env->event);
	if (r >= 0)
		r = threads_start(pool, env->n_threads);
	if (r < 0) {
		pool_free(pool);
		return r;
	}
	*ret = pool;
	return 0;
}

struct pool *pool_free(struct pool *pool)
{
	struct job *job;

	if (!pool)
		return NULL;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i].id, NULL);
	while ((job = queue_take(&pool->done)))
		job->done(job, false);
	while ((job = queue_take(&pool->todo)))
		job->done(job, true);
	sd_event_source_unref(pool->source);
	sd_event_source_unref(pool->timer);
	close_fd(pool->eventfd);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	return NULL;
}

void pool_submit(struct pool *pool, struct job *job)
{
	if (!pool->pending++) {
		if (clock_usec(CLOCK_MONOTONIC) >=
		    pool->looked_usec + ROOM_USEC)
			room_look(pool);
		timer_set(pool);
	}
	pthread_mutex_lock(&pool->lock);
	queue_add(&pool->todo, job);
	pthread_cond_signal(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
}

unsigned int pool_pending(const struct pool *pool)
{
	return pool->pending;
}

unsigned int pool_threads(const struct pool *pool)
{
	return pool->n_threads;
}

void pool_look(struct pool *pool, unsigned int i, struct pool_worker *ret)
{
	struct thread *t = &pool->threads[i];
	clockid_t clock;

	pthread_mutex_lock(&pool->lock);
	*ret = t->now;
	if (!ret->busy) {
		/* something to take, and nobody takes it */
		ret->busy = pool->todo.first && pool->n_busy < pool->room;
		ret->done = pool->n_run;
	}
	pthread_mutex_unlock(&pool->lock);
	if (pthread_getcpuclockid(t->id, &clock) == 0)
		ret->cpu_usec = clock_usec(clock);
}
