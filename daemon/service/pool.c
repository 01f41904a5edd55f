/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "checksum.h"
#include "cleanup.h"
#include "clock.h"
#include "pressure.h"
#include "process.h"
#include "runqueue.h"
#include "thread.h"

/* How often others are looked for while there is work. */
#define ROOM_USEC 50000ULL
/* ... and CPUs are counted. */
#define COUNT_USEC USEC_PER_SEC

/* A job that uses no CPU for so long, and does not wait for one, is lost. */
#define LOST_USEC USEC_PER_SEC
/* How long is waited for a thread at the end. */
#define END_SEC 5

/* Between two tries of a worker to get what it needs. */
#define OPEN_NSEC (50L * 1000 * 1000)

struct queue {
	struct job *first;
	struct job **last;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t wake; /* of who is wanted */
	pthread_cond_t wake_spares;
	struct queue todo; /* under lock */
	struct queue done; /* under lock */
	unsigned int n_busy; /* under lock: jobs that are being run */
	unsigned int room; /* under lock: as many may be */
	unsigned int n_lost; /* under lock: threads with lost jobs */
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
	unsigned int n_threads; /* that work; then come spares */
	unsigned int n_started;
	struct thread {
		pthread_t id;
		struct pool *pool;
		struct pool_worker now; /* under lock, as all below */
		struct job *job; /* in hand, and not lost */
		bool lost; /* what it has in hand */
		/* the loop's: how far it was when it was looked at last */
		struct job *seen;
		uint64_t seen_cpu_usec;
		uint64_t seen_usec; /* since when nothing has changed */
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

/* With the lock. */
static bool is_wanted(const struct thread *self)
{
	return (size_t)(self - self->pool->threads) <
	       self->pool->n_threads + self->pool->n_lost;
}

/* The same. A signal for one job must not wake who does not take it. */
static void wake_await(struct thread *self)
{
	struct pool *pool = self->pool;

	pthread_cond_wait(is_wanted(self) ? &pool->wake : &pool->wake_spares,
			  &pool->lock);
}

/* With the lock, which is given up meanwhile. */
static void job_run(struct thread *self, struct job *job, struct worker *worker)
{
	struct pool *pool = self->pool;
	uint64_t usec = clock_usec(CLOCK_MONOTONIC);
	bool was_empty;

	pool->n_busy++;
	self->now.busy = true;
	self->job = job;
	pthread_mutex_unlock(&pool->lock);
	job->run(job, worker);
	pthread_mutex_lock(&pool->lock);
	usec = clock_usec(CLOCK_MONOTONIC) - usec;
	job->late = self->lost;
	if (self->lost) {
		pool->n_lost--;
		pthread_cond_broadcast(&pool->wake);
	} else {
		pool->n_busy--;
		self->now.longest_usec = MAX(self->now.longest_usec, usec);
	}
	self->lost = false;
	self->job = NULL;
	pool->n_run++;
	self->now.busy = false;
	self->now.done++;
	was_empty = !pool->done.first;
	queue_add(&pool->done, job);
	if (was_empty)
		eventfd_write(pool->eventfd, 1);
}

/*
 * Workers are not scheduled as idle, nor nicer than others: while they walk a
 * process's page tables they hold its mmap_lock, and whoever waits for a CPU
 * then makes the process wait. Linux 6.18.44 was seen to keep a task from a CPU
 * for 23 s beside others of another weight. The budget keeps them small.
 */
static void work(struct thread *self, struct worker *worker)
{
	struct pool *pool = self->pool;

	pthread_mutex_lock(&pool->lock);
	while (!pool->ending) {
		bool wanted = is_wanted(self) && pool->n_busy < pool->room;
		struct job *job = wanted ? queue_take(&pool->todo) : NULL;

		if (job) {
			job_run(self, job, worker);
		} else if (worker->used) {
			pthread_mutex_unlock(&pool->lock);
			worker_wipe(worker);
			pthread_mutex_lock(&pool->lock);
		} else {
			wake_await(self);
		}
	}
	pthread_mutex_unlock(&pool->lock);
}

/* A spare has nothing of its own before it is wanted for the first time. */
static bool wanted_await(struct thread *self)
{
	struct pool *pool = self->pool;
	bool ending;

	pthread_mutex_lock(&pool->lock);
	self->now.tid = gettid();
	while (!pool->ending && !is_wanted(self))
		wake_await(self);
	ending = pool->ending;
	pthread_mutex_unlock(&pool->lock);
	return !ending;
}

static void *worker_main(void *arg)
{
	struct thread *self = arg;
	struct worker worker;

	/* what cannot be had here, the loop's thread will tell */
	confine_thread(self->pool->role);
	if (wanted_await(self) && worker_begin(self->pool, &worker)) {
		work(self, &worker);
		worker_close(&worker);
	}
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

/* Whether @t has had a CPU since the last look, or waits for one. */
static bool has_moved(const struct pool *pool, struct thread *t, uint64_t now)
{
	uint64_t cpu_usec = 0;
	clockid_t clock;

	if (pthread_getcpuclockid(t->id, &clock) == 0)
		cpu_usec = clock_usec(clock);
	if (t->seen == t->job && t->seen_cpu_usec == cpu_usec &&
	    !process_is_running(pool->root, t->now.tid))
		return false;
	t->seen = t->job;
	t->seen_cpu_usec = cpu_usec;
	t->seen_usec = now;
	return true;
}

/* One job that is lost now, or NULL. With the lock. */
static struct job *lost_take(struct pool *pool, uint64_t now)
{
	for (unsigned int i = 0; i < pool->n_started; i++) {
		struct thread *t = &pool->threads[i];
		struct job *job = t->job;

		if (!job || has_moved(pool, t, now) ||
		    now < t->seen_usec + LOST_USEC)
			continue;
		t->lost = true;
		t->job = NULL;
		pool->n_busy--;
		pool->n_lost++;
		pthread_cond_broadcast(&pool->wake_spares);
		return job;
	}
	return NULL;
}

static void lost_look(struct pool *pool)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	struct job *job;

	if (pool->n_started == pool->n_threads)
		return;
	do {
		pthread_mutex_lock(&pool->lock);
		job = lost_take(pool, now);
		pthread_mutex_unlock(&pool->lock);
		if (job) {
			pool->pending--;
			job->done(job, JOB_LOST);
		}
	} while (job);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct pool *pool = userdata;

	(void)source;
	(void)usec;
	lost_look(pool);
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
		pool->pending -= !job->late;
		job->done(job, job->late ? JOB_LATE : JOB_DONE);
	}
	return 0;
}

static int threads_start(struct pool *pool, unsigned int n)
{
	int r = 0;

	while (!r && pool->n_started < n) {
		struct thread *t = &pool->threads[pool->n_started];

		t->pool = pool;
		r = thread_start(&t->id, worker_main, t);
		pool->n_started += !r;
	}
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
	unsigned int n = env->n_threads + env->n_spares;
	struct pool *pool = calloc(1,
				   sizeof(*pool) + n * sizeof(struct thread));
	int r;

	if (!pool)
		return -ENOMEM;
	pool->n_threads = env->n_threads;
	pool->engine = env->engine;
	pool->root = env->root;
	pool->room = env->n_threads;
	pool->role = env->role;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	pthread_cond_init(&pool->wake_spares, NULL);
	queue_init(&pool->todo);
	queue_init(&pool->done);
	r = sources_add(pool, env->event);
	if (r >= 0)
		r = threads_start(pool, n);
	if (r < 0) {
		pool_free(pool);
		return r;
	}
	*ret = pool;
	return 0;
}

static struct job *queue_take_locked(struct pool *pool, struct queue *q)
{
	struct job *job;

	pthread_mutex_lock(&pool->lock);
	job = queue_take(q);
	pthread_mutex_unlock(&pool->lock);
	return job;
}

/* Return: whether all have ended. One that has lost its job may not. */
static bool threads_end(struct pool *pool)
{
	struct timespec until;
	bool all = true;

	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->wake);
	pthread_cond_broadcast(&pool->wake_spares);
	pthread_mutex_unlock(&pool->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_SEC;
	for (unsigned int i = 0; i < pool->n_started; i++)
		all &= !pthread_timedjoin_np(pool->threads[i].id, NULL, &until);
	return all;
}

struct pool *pool_free(struct pool *pool)
{
	struct job *job;
	bool all;

	if (!pool)
		return NULL;
	all = threads_end(pool);
	while ((job = queue_take_locked(pool, &pool->done)))
		job->done(job, job->late ? JOB_LATE : JOB_DONE);
	while ((job = queue_take_locked(pool, &pool->todo)))
		job->done(job, JOB_DROPPED);
	sd_event_source_disable_unref(pool->source);
	sd_event_source_disable_unref(pool->timer);
	if (!all)
		return pool;
	close_fd(pool->eventfd);
	pthread_cond_destroy(&pool->wake_spares);
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
	job->late = false;
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
	if (!ret->busy || t->lost) {
		/* something to take, and nobody takes it */
		ret->busy = pool->todo.first && pool->n_busy < pool->room;
		ret->done = pool->n_run;
	}
	pthread_mutex_unlock(&pool->lock);
	if (pthread_getcpuclockid(t->id, &clock) == 0)
		ret->cpu_usec = clock_usec(clock);
}
