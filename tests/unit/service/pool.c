/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checksum.h"
#include "cleanup.h"
#include "faketree.h"
#include "files.h"

#define N_JOBS 2000

struct count_job {
	struct job job;
	atomic_uint *total; /* run by workers */
	unsigned int n_run, n_done, n_dropped;
	unsigned int order;
	bool wrong_thread;
	struct pool *again; /* submitted once more when done */
};

static sd_event *event;
static struct root root;
static pthread_t loop_thread;
static unsigned int n_done;

static int setup(void **state)
{
	(void)state;
	loop_thread = pthread_self();
	n_done = 0;
	faketree_begin();
	faketree_file("proc/loadavg", "0.00 0.00 0.00 0/100 1\n");
	faketree_file("sys/kernel/mm/ksm/run", "0\n");
	return sd_event_new(&event) < 0 || root_open(faketree_top, &root);
}

static int teardown(void **state)
{
	(void)state;
	event = sd_event_unref(event);
	root_close(&root);
	faketree_end();
	return 0;
}

static int start_spares(unsigned int n_threads, unsigned int n_spares,
			struct pool **ret)
{
	return pool_new(&(struct pool_env){ .event = event,
					    .root = &root,
					    .n_threads = n_threads,
					    .n_spares = n_spares,
					    .engine = &checksum_cpu,
					    .role = CONFINE_NOT },
			ret);
}

static int start(unsigned int n_threads, struct pool **ret)
{
	return start_spares(n_threads, 0, ret);
}

static void count_run(struct job *job, struct worker *worker)
{
	struct count_job *j = (struct count_job *)job;

	j->n_run++;
	j->wrong_thread |= pthread_equal(pthread_self(), loop_thread);
	/* what a worker has is its own, all of it */
	worker->lane->area[0]++;
	worker->lane->area[REGION_BYTES - 1] = worker->lane->area[0];
	memset(worker->pagemap, (int)j->n_run, sizeof(worker->pagemap));
	atomic_fetch_add(j->total, 1);
}

static void count_done(struct job *job, enum job_end how)
{
	struct count_job *j = (struct count_job *)job;

	j->wrong_thread |= !pthread_equal(pthread_self(), loop_thread);
	j->order = n_done++;
	j->n_done++;
	j->n_dropped += how == JOB_DROPPED;
	if (j->again) {
		struct pool *pool = j->again;

		j->again = NULL;
		pool_submit(pool, &j->job);
	}
}

static struct count_job *jobs_make(size_t n, atomic_uint *total)
{
	struct count_job *jobs = calloc(n, sizeof(*jobs));

	assert_non_null(jobs);
	for (size_t i = 0; i < n; i++) {
		jobs[i].job.run = count_run;
		jobs[i].job.done = count_done;
		jobs[i].total = total;
	}
	return jobs;
}

static void loop_until(unsigned int n)
{
	while (n_done < n)
		assert_true(sd_event_run(event, 10000000) > 0);
}

static void run_all(unsigned int n_threads)
{
	atomic_uint total = 0;
	struct count_job *jobs = jobs_make(N_JOBS, &total);
	struct pool *pool;

	assert_int_equal(start(n_threads, &pool), 0);
	assert_int_equal(pool_threads(pool), n_threads);
	for (size_t i = 0; i < N_JOBS; i++)
		pool_submit(pool, &jobs[i].job);
	assert_int_equal(pool_pending(pool), N_JOBS);
	loop_until(N_JOBS);
	assert_int_equal(pool_pending(pool), 0);
	assert_int_equal(total, N_JOBS);
	for (size_t i = 0; i < N_JOBS; i++) {
		assert_int_equal(jobs[i].n_run, 1);
		assert_int_equal(jobs[i].n_done, 1);
		assert_int_equal(jobs[i].n_dropped, 0);
		assert_false(jobs[i].wrong_thread);
		if (n_threads == 1)
			assert_int_equal(jobs[i].order, i);
	}
	pool_free(pool);
	free(jobs);
}

static void test_each_job_is_run_once_and_done_on_the_loop(void **state)
{
	(void)state;
	run_all(4);
}

static void test_one_thread_keeps_the_order(void **state)
{
	(void)state;
	run_all(1);
}

static void test_a_job_may_submit_itself_again(void **state)
{
	atomic_uint total = 0;
	struct count_job *jobs = jobs_make(100, &total);
	struct pool *pool;

	(void)state;
	assert_int_equal(start(2, &pool), 0);
	for (size_t i = 0; i < 100; i++) {
		jobs[i].again = pool;
		pool_submit(pool, &jobs[i].job);
	}
	loop_until(200);
	assert_int_equal(total, 200);
	assert_int_equal(pool_pending(pool), 0);
	pool_free(pool);
	free(jobs);
}

/* A worker that waits until it is told to go on. */
struct slow_job {
	struct job job;
	int wait_fd, said_fd;
	bool dropped, done, lost, late;
};

static void slow_run(struct job *job, struct worker *worker)
{
	struct slow_job *j = (struct slow_job *)job;
	char c = 'x';

	(void)worker;
	if (write(j->said_fd, &c, 1) != 1 || read(j->wait_fd, &c, 1) != 1)
		abort();
}

static void slow_done(struct job *job, enum job_end how)
{
	struct slow_job *j = (struct slow_job *)job;

	j->done = how != JOB_LOST;
	j->dropped = how == JOB_DROPPED;
	j->lost |= how == JOB_LOST;
	j->late = how == JOB_LATE;
}

/* What has begun is finished, what has not is dropped; nothing is lost. */
static void test_freed_with_work_to_do(void **state)
{
	atomic_uint total = 0;
	struct count_job *jobs = jobs_make(50, &total);
	struct slow_job slow = { .job = { .run = slow_run,
					  .done = slow_done } };
	struct pool *pool;
	int wait[2], said[2];
	unsigned int n_dropped = 0;
	char c;

	(void)state;
	assert_int_equal(pipe(wait), 0);
	assert_int_equal(pipe(said), 0);
	slow.wait_fd = wait[0];
	slow.said_fd = said[1];
	assert_int_equal(start(1, &pool), 0);
	pool_submit(pool, &slow.job);
	assert_int_equal(read(said[0], &c, 1), 1);
	for (size_t i = 0; i < 50; i++)
		pool_submit(pool, &jobs[i].job);
	assert_int_equal(write(wait[1], "x", 1), 1);
	pool_free(pool);
	assert_true(slow.done);
	assert_false(slow.dropped);
	for (size_t i = 0; i < 50; i++) {
		assert_int_equal(jobs[i].n_done, 1);
		assert_int_equal(jobs[i].n_run + jobs[i].n_dropped, 1);
		assert_false(jobs[i].wrong_thread);
		n_dropped += jobs[i].n_dropped;
	}
	assert_int_equal(n_dropped + total, 50);
	for (int i = 0; i < 2; i++) {
		close(wait[i]);
		close(said[i]);
	}
	free(jobs);
}

static void jobs_are_done(struct pool *pool, unsigned int n)
{
	atomic_uint total = 0;
	struct count_job *jobs = jobs_make(n, &total);

	for (unsigned int i = 0; i < n; i++)
		pool_submit(pool, &jobs[i].job);
	n_done = 0;
	loop_until(n);
	assert_int_equal(total, n);
	free(jobs);
}

/* Jobs that do not come back, one after the other: spares go on, until there
 * are none left. Later they are finished, and their threads work again. */
static void test_lost(void **state)
{
	struct slow_job slow[3];
	struct pool *pool;
	int wait[2], said[2];

	(void)state;
	assert_int_equal(pipe(wait), 0);
	assert_int_equal(pipe(said), 0);
	assert_int_equal(start_spares(1, 3, &pool), 0);
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
		slow[i] = (struct slow_job){
			.job = { .run = slow_run, .done = slow_done },
			.wait_fd = wait[0],
			.said_fd = said[1],
		};
		pool_submit(pool, &slow[i].job);
		while (!slow[i].lost)
			assert_true(sd_event_run(event, UINT64_MAX) >= 0);
		assert_false(slow[i].done);
		assert_int_equal(pool_pending(pool), 0);
		jobs_are_done(pool, 100);
	}
	assert_int_equal(write(wait[1], "xxx", 3), 3);
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
		while (!slow[i].done)
			assert_true(sd_event_run(event, UINT64_MAX) >= 0);
		assert_true(slow[i].late);
	}
	assert_int_equal(pool_pending(pool), 0);
	jobs_are_done(pool, 100);
	assert_null(pool_free(pool));
	for (int i = 0; i < 2; i++) {
		close(wait[i]);
		close(said[i]);
	}
}

/* With no spare left, nobody takes what is to be done: to be seen from here. */
static void test_lost_with_all_spares(void **state)
{
	struct slow_job slow[3];
	struct pool *pool;
	struct pool_worker worker;
	int wait[2], said[2];

	(void)state;
	assert_int_equal(pipe(wait), 0);
	assert_int_equal(pipe(said), 0);
	assert_int_equal(start_spares(1, 1, &pool), 0);
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
		slow[i] = (struct slow_job){
			.job = { .run = slow_run, .done = slow_done },
			.wait_fd = wait[0],
			.said_fd = said[1],
		};
		pool_look(pool, 0, &worker);
		assert_false(worker.busy);
		pool_submit(pool, &slow[i].job);
		while (i < 2 && !slow[i].lost)
			assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	}
	pool_look(pool, 0, &worker);
	assert_true(worker.busy);
	assert_int_equal(worker.done, 0);
	assert_int_equal(write(wait[1], "xxx", 3), 3);
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
		while (!slow[i].done)
			assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	pool_look(pool, 0, &worker);
	assert_false(worker.busy);
	assert_int_equal(worker.done, ARRAY_SIZE(slow));
	assert_null(pool_free(pool));
	for (int i = 0; i < 2; i++) {
		close(wait[i]);
		close(said[i]);
	}
}

static void test_freed_with_nothing_to_do(void **state)
{
	struct pool *pool;

	(void)state;
	assert_null(pool_free(NULL));
	for (unsigned int n = 1; n < 9; n++) {
		assert_int_equal(start(n, &pool), 0);
		assert_null(pool_free(pool));
	}
	/* its descriptor is not left in the loop */
	assert_int_equal(sd_event_run(event, 0), 0);
}

static atomic_bool signal_blocked;

static void mask_run(struct job *job, struct worker *worker)
{
	sigset_t mask;

	(void)job;
	(void)worker;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	signal_blocked = sigismember(&mask, SIGTERM) &&
			 sigismember(&mask, SIGCHLD);
}

static void mask_done(struct job *job, enum job_end how)
{
	(void)job;
	(void)how;
	n_done++;
}

static void test_signals_are_the_loops(void **state)
{
	struct job job = { .run = mask_run, .done = mask_done };
	struct pool *pool;
	sigset_t mask;

	(void)state;
	assert_int_equal(start(1, &pool), 0);
	pool_submit(pool, &job);
	loop_until(1);
	assert_true(signal_blocked);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_false(sigismember(&mask, SIGTERM));
	pool_free(pool);
}

static atomic_uint n_running, n_most;

static void running_run(struct job *job, struct worker *worker)
{
	unsigned int n = atomic_fetch_add(&n_running, 1) + 1;
	unsigned int most = atomic_load(&n_most);

	(void)job;
	(void)worker;
	while (n > most && !atomic_compare_exchange_weak(&n_most, &most, n))
		;
	usleep(200);
	atomic_fetch_sub(&n_running, 1);
}

static void running_done(struct job *job, enum job_end how)
{
	(void)job;
	(void)how;
	n_done++;
}

static void test_one_at_a_time_while_others_want_the_cpus(void **state)
{
	struct job jobs[100];
	struct pool *pool;

	(void)state;
	faketree_file("proc/loadavg", "0.00 0.00 0.00 100000/100001 1\n");
	assert_int_equal(start(4, &pool), 0);
	for (size_t i = 0; i < 100; i++) {
		jobs[i] = (struct job){ .run = running_run,
					.done = running_done };
		pool_submit(pool, &jobs[i]);
	}
	loop_until(100);
	assert_int_equal(n_most, 1);
	pool_free(pool);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_each_job_is_run_once_and_done_on_the_loop),
		TEST(test_one_thread_keeps_the_order),
		TEST(test_a_job_may_submit_itself_again),
		TEST(test_freed_with_work_to_do),
		TEST(test_lost),
		TEST(test_lost_with_all_spares),
		TEST(test_freed_with_nothing_to_do),
		TEST(test_signals_are_the_loops),
		TEST(test_one_at_a_time_while_others_want_the_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
