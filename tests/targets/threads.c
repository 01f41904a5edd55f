/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads - 64 threads under load
 *
 * Of each four one computes in registers, one hands a token to and fro, one
 * sleeps for short times and one allocates, fills and frees. Each checks its
 * own work.
 */
#include <pthread.h>

#include "target.h"

#define N_THREADS 64
#define ROUNDS	  20000

static struct target t;

/* All of it lives in general and in vector registers. */
static double compute(uint64_t *ret)
{
	double a = 1.0, b = 0.5, c = 0.25, d = 2.0;
	uint64_t x = 1, y = 2, z = 3;

	for (int i = 0; i < ROUNDS; i++) {
		a = a * 1.0000001 + b;
		b = b * 0.9999999 + c;
		c = c + d * 1e-9;
		d = d * 0.99999 + 1e-5;
		x = x * 6364136223846793005ULL + y;
		y ^= x >> 29;
		z += x ^ y;
	}
	*ret = x ^ y ^ z;
	return a + b + c + d;
}

static void *computes(void *arg)
{
	uint64_t expected, got;
	double sum = compute(&expected);

	while (!target_stopping(&t))
		if (compute(&got) != sum || got != expected)
			target_broken(&t, "wrong result of a computation");
	return arg;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static unsigned int turn, n_turns;

/* Thread @arg waits for its turn and gives it to the next. */
static void *hands_on(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg / 4;

	pthread_mutex_lock(&lock);
	while (!target_stopping(&t)) {
		if (turn != me) {
			pthread_cond_wait(&turn_changed, &lock);
			continue;
		}
		turn = (turn + 1) % (N_THREADS / 4);
		n_turns++;
		pthread_cond_broadcast(&turn_changed);
	}
	pthread_cond_broadcast(&turn_changed);
	pthread_mutex_unlock(&lock);
	return arg;
}

static void *sleeps(void *arg)
{
	const struct timespec ts = { 0, 2000000 };

	while (!target_stopping(&t)) {
		uint64_t start = target_nsec();

		if (nanosleep(&ts, NULL) < 0)
			target_broken(&t, "nanosleep: %s", strerror(errno));
		if (target_nsec() - start < 2000000)
			target_broken(&t, "nanosleep was too short");
	}
	return arg;
}

static void *allocates(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!target_stopping(&t)) {
		size_t n = 1000 + (seed = target_mix(seed)) % 30000;
		uint64_t *p = malloc(n * sizeof(*p));

		if (!p)
			err(2, "malloc");
		for (size_t i = 0; i < n; i++)
			p[i] = target_mix(seed + i);
		for (size_t i = 0; i < n; i++)
			if (p[i] != target_mix(seed + i))
				target_broken(&t, "malloc'ed memory");
		free(p);
	}
	return arg;
}

int main(int argc, char **argv)
{
	static void *(*const what[])(void *) = { computes, hands_on, sleeps,
						 allocates };
	pthread_t threads[N_THREADS];

	target_options(&t, argc, argv, "64 threads under load.", NULL, 0);
	target_ready(&t, NULL);
	for (uintptr_t i = 0; i < N_THREADS; i++)
		if (pthread_create(&threads[i], NULL, what[i % 4], (void *)i))
			errx(2, "no thread");
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	if (n_turns == 0)
		target_broken(&t, "nobody got a turn");
	target_end(&t);
}
