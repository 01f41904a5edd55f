/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "placing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "cleanup.h"
#include "clock.h"
#include "frames.h"
#include "kfeat.h"
#include "ksm.h"
#include "log.h"
#include "mappers.h"
#include "migrate.h"
#include "placing-report.h"
#include "pool.h"
#include "topology.h"
#include "watch.h"

/* Of the daemon's CPU limit (issue: migration costs at most 5 % of it). */
#define CPU_SHARE 20
/* Of the daemon's memory limit, but no less than for some 87,000 mappings. */
#define MEMORY_SHARE 8
#define MEMORY_LEAST (8ULL << 20)
/* A node or process that refused is not asked again for so long. */
#define REFUSED_USEC (300 * USEC_PER_SEC)
/* Between rounds, if there is nothing to move, so many times as long. */
#define REST_MOST 16U
/* Who hardly ran for so many rests is asleep: 5 minutes by default. */
#define ASLEEP_RESTS 30

struct round_job {
	struct job job;
	struct placing *placing;
	struct mappers mappers;
	int result;
	uint64_t cpu_usec;
};

struct batch_job {
	struct job job;
	struct placing *placing;
	struct watched *watched;
	struct migrate_page pages[MIGRATE_MAX];
	size_t n;
	int result;
	struct migrate_result moved;
	uint64_t cpu_usec;
};

struct placing {
	struct placing_env env;
	sd_event_source *timer;
	struct topology *topology;
	struct frames frames;
	uint64_t zero_pfn;
	struct budget budget;
	uint64_t cpu_usec; /* spent on all this */
	bool paused;
	bool busy; /* a job is on its way */
	bool off; /* as the policy, or merge_across_nodes, has it */
	struct round_job *round; /* whose moves are being made */
	size_t at; /* next of them */
	uint32_t slice, n_slices;
	uint64_t pause_usec; /* between rounds */
	uint64_t next_usec; /* the next round, not before */
	uint64_t full; /* nodes without memory, as bits, */
	uint64_t full_usec; /* ... until then */
	uint64_t n_moved; /* in this round, all slices */
	struct placing_report report;
};

static void advance(struct placing *p);

static uint64_t rest_usec(const struct placing *p)
{
	return p->env.config->numa_rest_usec;
}

static void timer_set(struct placing *p, uint64_t usec)
{
	sd_event_source_set_time(p->timer, usec);
	sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static void spend(struct placing *p, uint64_t cpu_usec)
{
	p->cpu_usec += cpu_usec;
	p->budget.share_permyriad =
		MAX(p->env.config->cpu_limit_permyriad / CPU_SHARE, 1U);
	budget_update(&p->budget, clock_usec(CLOCK_MONOTONIC), p->cpu_usec,
		      false);
}

/* --- the end of a round --------------------------------------------------------- */

/* Of all slices. */
static void round_end(struct placing *p)
{
	p->report.rounds++;
	if (p->n_moved) {
		log_info("Moved %" PRIu64
			 " merged pages to the memory nodes of their users",
			 p->n_moved);
		p->pause_usec = rest_usec(p);
	} else {
		p->pause_usec = MIN(2 * p->pause_usec,
				    REST_MOST * rest_usec(p));
	}
	p->n_moved = 0;
	p->next_usec = clock_usec(CLOCK_MONOTONIC) + p->pause_usec;
}

/* The moves were made, or are not to be made. */
static void slice_end(struct placing *p)
{
	struct mappers *m = &p->round->mappers;

	placing_report_pages(&p->report, m);
	placing_report_take(&p->report, &m->processes);
	if (p->slice)
		p->next_usec = 0;
	else
		round_end(p);
	mappers_clear(m);
	free(p->round);
	p->round = NULL;
	advance(p);
}

/* --- moving ---------------------------------------------------------------------- */

static void batch_run(struct job *job, struct worker *worker)
{
	struct batch_job *j = (struct batch_job *)job;
	uint64_t start = clock_usec(CLOCK_THREAD_CPUTIME_ID);

	(void)worker;
	j->result = migrate_pages(&j->watched->process, &j->placing->frames,
				  j->pages, j->n, &j->moved);
	j->cpu_usec = clock_usec(CLOCK_THREAD_CPUTIME_ID) - start;
}

/* Pages of a batch go to one node, through one process. */
static void refusals_take(struct placing *p, const struct batch_job *j)
{
	uint64_t until = clock_usec(CLOCK_MONOTONIC) + REFUSED_USEC;
	uint64_t node = 1ULL << j->pages[0].node;
	struct placeds *processes = &p->round->mappers.processes;

	p->report.refused += j->moved.refused + j->moved.no_memory;
	if (j->moved.no_memory) {
		p->full |= node;
		p->full_usec = until;
	}
	if (!j->moved.refused && j->result >= 0)
		return;
	for (size_t i = 0; i < processes->n; i++) {
		if (processes->v[i].watched != j->watched)
			continue;
		processes->v[i].refused |= node;
		processes->v[i].refused_usec = until;
	}
}

static void batch_done(struct job *job, enum job_end how)
{
	struct batch_job *j = (struct batch_job *)job;
	struct placing *p = j->placing;

	p->busy = false;
	if (how == JOB_DONE) {
		spend(p, j->cpu_usec);
		if (j->result == MIGRATE_GONE)
			j->watched->gone = true;
		else if (j->result < 0)
			log_debug("Cannot move pages of pid %d: %s",
				  j->watched->process.id.pid,
				  strerror(-j->result));
		p->n_moved += j->moved.moved;
		p->report.moved += j->moved.moved;
		refusals_take(p, j);
	}
	watched_unref(j->watched);
	free(j);
	if (how == JOB_DONE)
		advance(p);
}

/* The next moves of one process to one node. False: there are none. */
static bool batch_fill(struct placing *p, struct batch_job *j)
{
	const struct mappers *m = &p->round->mappers;

	while (p->at < m->moves.n) {
		const struct mappers_move *move = &m->moves.v[p->at];
		const struct placed *placed = &m->processes.v[move->process];

		if (j->n && (placed->watched != j->watched ||
			     move->page.node != j->pages[0].node))
			break;
		if (j->n == MIGRATE_MAX)
			break;
		p->at++;
		if (placed->watched->gone || placed->watched->dropped ||
		    (placed->refused >> move->page.node & 1) ||
		    (p->full >> move->page.node & 1))
			continue;
		j->watched = placed->watched;
		j->pages[j->n++] = move->page;
	}
	return j->n;
}

static void batch_begin(struct placing *p)
{
	struct batch_job *j = calloc(1, sizeof(*j));

	if (!j || !batch_fill(p, j)) {
		free(j);
		slice_end(p);
		return;
	}
	j->job.run = batch_run;
	j->job.done = batch_done;
	j->placing = p;
	watched_ref(j->watched);
	p->busy = true;
	pool_submit(p->env.pool, &j->job);
}

/* --- looking --------------------------------------------------------------------- */

static void round_run(struct job *job, struct worker *worker)
{
	struct round_job *j = (struct round_job *)job;
	uint64_t start = clock_usec(CLOCK_THREAD_CPUTIME_ID);

	j->result = mappers_run(&j->mappers, worker);
	j->cpu_usec = clock_usec(CLOCK_THREAD_CPUTIME_ID) - start;
}

/*
 * As many slices as keep each below its bound, by what was seen now; with some
 * room, and not fewer at once, since counts go up and down. A slice that was
 * cut off is no slice: from the beginning, then.
 */
static void slices_set(struct placing *p, const struct mappers *m)
{
	uint64_t n = m->n_shared / m->max_entries + 1;

	p->slice = (p->slice + 1) % p->n_slices;
	if (m->overflow) {
		p->n_slices = (uint32_t)(n + n / 4 + 1);
		p->slice = p->n_slices;
	} else if (!p->slice && n * 2 < p->n_slices) {
		p->n_slices = (uint32_t)n;
	}
}

static void round_done(struct job *job, enum job_end how)
{
	struct round_job *j = (struct round_job *)job;
	struct placing *p = j->placing;

	p->busy = false;
	if (how != JOB_DONE) {
		mappers_clear(&j->mappers);
		free(j);
		return;
	}
	spend(p, j->cpu_usec);
	p->round = j;
	p->at = 0;
	if (j->result)
		log_debug("No memory to find out who maps what");
	slices_set(p, &j->mappers);
	/* memory was plugged in */
	if (j->mappers.n_unknown) {
		struct topology *topology;

		if (!topology_read(p->env.root, &topology)) {
			topology_free(p->topology);
			p->topology = topology;
		}
	}
	log_debug("Placing: %zu processes, %" PRIu64
		  " shared mappings, %zu pages to move, %" PRIu64 " us",
		  j->mappers.processes.n, j->mappers.n_shared,
		  j->mappers.moves.n, j->cpu_usec);
	advance(p);
}

static int processes_add(const struct placing *p, struct mappers *m)
{
	size_t n;
	struct watched *const *list = watch_list(p->env.watch, &n);
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		if (list[i] && !list[i]->gone && !list[i]->dropped)
			r = placed_add(
				m, list[i],
				placing_report_find(&p->report,
						    list[i]->process.id));
	return r;
}

static void round_begin(struct placing *p, uint64_t now)
{
	struct round_job *j = calloc(1, sizeof(*j));
	struct mappers *m;

	p->next_usec = now + p->pause_usec;
	timer_set(p, p->next_usec);
	if (!j)
		return;
	m = &j->mappers;
	if (p->full_usec < now)
		p->full = 0;
	m->root = p->env.root;
	m->frames = &p->frames;
	m->topology = p->topology;
	m->policy = p->env.config->numa_policy == NUMA_PRIORITY
			    ? PLACEMENT_PRIORITY
			    : PLACEMENT_FAIR;
	m->now_usec = now;
	m->asleep_usec = ASLEEP_RESTS * rest_usec(p);
	m->max_sharing = ksm_max_sharing(p->env.root);
	m->zero_pfn = p->zero_pfn;
	m->full = p->full;
	m->max_entries = placing_memory(p) / MAPPERS_ENTRY_BYTES + 1;
	p->slice %= p->n_slices;
	m->slice = p->slice;
	m->n_slices = p->n_slices;
	if (processes_add(p, m) || !m->processes.n) {
		mappers_clear(m);
		free(j);
		return;
	}
	j->job.run = round_run;
	j->job.done = round_done;
	j->placing = p;
	p->busy = true;
	pool_submit(p->env.pool, &j->job);
}

/* With merge_across_nodes=0 every node has its own copies: all are at home. */
static bool is_off(const struct placing *p)
{
	uint64_t across = 1;

	file_read_u64(p->env.root->sys, KSM_DIR "/merge_across_nodes", &across);
	return !across || p->env.config->numa_policy == NUMA_OFF;
}

static void advance(struct placing *p)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC), wait;

	if (p->busy || p->paused)
		return;
	spend(p, 0);
	wait = budget_wait_usec(&p->budget);
	if (p->round && wait) {
		timer_set(p, now + wait);
	} else if (p->round) {
		batch_begin(p);
	} else if (now < p->next_usec || wait) {
		timer_set(p, MAX(p->next_usec, now + wait));
	} else if (!p->env.may_begin(p->env.userdata)) {
		timer_set(p, now + USEC_PER_SEC);
	} else {
		p->off = is_off(p);
		if (p->off) {
			p->next_usec = now + rest_usec(p);
			timer_set(p, p->next_usec);
		} else {
			round_begin(p, now);
		}
	}
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct placing *p = userdata;

	(void)source;
	(void)usec;
	advance(p);
	return 0;
}

/* --- from outside ----------------------------------------------------------------- */

void placing_soon(struct placing *p)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);

	if (!p)
		return;
	/* the rest after a round that moved something is kept */
	if (p->pause_usec > rest_usec(p))
		p->next_usec = MIN(p->next_usec, now);
	p->pause_usec = rest_usec(p);
	advance(p);
}

void placing_pause(struct placing *p, bool pause)
{
	if (!p)
		return;
	p->paused = pause;
	if (!pause)
		advance(p);
}

uint64_t placing_memory(const struct placing *p)
{
	if (!p)
		return 0;
	return MAX(p->env.config->memory_limit / MEMORY_SHARE, MEMORY_LEAST);
}

void placing_status(struct placing *p, struct numa_status *ret)
{
	*ret = (struct numa_status){ .policy = "", .activity = "" };
	if (!p)
		return;
	ret->policy = placing_report_policy(p->env.config->numa_policy);
	ret->activity = placing_report_activity(p->env.config->numa_policy,
						p->off, p->round);
	placing_report_status(&p->report, ret);
	ret->cpu_usec = p->cpu_usec;
}

int placing_new(const struct placing_env *env, struct placing **ret)
{
	struct topology *topology = NULL;
	struct placing *p;
	int r;

	*ret = NULL;
	if (env->kfeat->n_nodes < 2 || !env->kfeat->pagemap_pfn)
		return 0;
	r = topology_read(env->root, &topology);
	if (r == -ENODATA || (!r && topology_count(topology) < 2)) {
		topology_free(topology);
		return 0;
	}
	p = r ? NULL : calloc(1, sizeof(*p));
	if (!p) {
		topology_free(topology);
		return r ? r : -ENOMEM;
	}
	p->env = *env;
	p->topology = topology;
	p->frames = FRAMES_NONE;
	p->zero_pfn = frames_zero_pfn(env->root);
	p->n_slices = 1;
	p->pause_usec = rest_usec(p);
	budget_init(&p->budget, 1, clock_usec(CLOCK_MONOTONIC), 0);
	r = frames_open(env->root, env->kfeat->kpf_ksm, &p->frames);
	if (!r)
		r = sd_event_add_time(env->event, &p->timer, CLOCK_MONOTONIC,
				      clock_usec(CLOCK_MONOTONIC) +
					      rest_usec(p),
				      USEC_PER_SEC, on_timer, p);
	if (r < 0) {
		placing_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct placing *placing_free(struct placing *p)
{
	if (!p)
		return NULL;
	sd_event_source_unref(p->timer);
	if (p->round)
		mappers_clear(&p->round->mappers);
	free(p->round);
	frames_close(&p->frames);
	topology_free(p->topology);
	placing_report_clear(&p->report);
	free(p);
	return NULL;
}
