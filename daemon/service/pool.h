/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pool - threads that read and checksum, and bring the results home
 *
 * A job is run by some thread and then finished on the loop's thread. Workers
 * own no policy and take no lock but the pool's: a job has to carry all that
 * its run() needs. While others want the CPUs, fewer threads work at once.
 *
 * A job that waits for a process to let go of the lock of its memory map may
 * wait for ever (asking.h). It is lost then, and a spare thread goes on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "confine.h"
#include "worker.h"

struct checksum_engine;
struct pool;
struct root;

enum job_end {
	JOB_DONE,
	JOB_DROPPED, /* it was never run, because the pool is going down */
	JOB_LOST, /* it is not waited for any more, and still at work */
	JOB_LATE, /* it was lost, and is done now: to be freed, no more */
};

/* Embedded in the caller's own struct, first member. */
struct job {
	/* On a worker thread. */
	void (*run)(struct job *job, struct worker *worker);
	/* On the loop's thread; owns @job from here on, but if it is lost. */
	void (*done)(struct job *job, enum job_end how);
	struct job *next;
	bool late;
};

struct pool_env {
	sd_event *event;
	const struct root *root;
	unsigned int n_threads; /* 1 or more */
	unsigned int n_spares; /* in place of those with lost jobs; without
				* any none is ever lost */
	const struct checksum_engine *engine; /* a lane of it for each */
	enum confine_role role; /* the rights of each */
};

/* Start the threads; @env's @root and @engine outlive them. 0 or negative
 * errno. */
int pool_new(const struct pool_env *env, struct pool **ret);

/*
 * End the threads after the job in hand and finish every job: what has not
 * begun is dropped. NULL in, NULL out. Returns @pool if some thread does not
 * end, only with the program: what its job uses has to stay.
 */
struct pool *pool_free(struct pool *pool);

/* Hand @job over; it is run in the order of submission. */
void pool_submit(struct pool *pool, struct job *job);

/* Jobs that were submitted and are neither done nor lost. */
unsigned int pool_pending(const struct pool *pool);
unsigned int pool_threads(const struct pool *pool);

/* What worker @i, below pool_threads(), is about. */
struct pool_worker {
	pid_t tid; /* 0: it has not begun yet */
	bool busy; /* has a job in hand, or could take one */
	uint64_t done; /* jobs; with none in hand, of all workers */
	uint64_t longest_usec; /* of these, by the clock */
	uint64_t cpu_usec; /* of the thread */
};
void pool_look(struct pool *pool, unsigned int i, struct pool_worker *ret);
