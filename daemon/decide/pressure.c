/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pressure.h"

#include "cleanup.h"

#define SEC 1000000ULL
/* Half of an old fall is forgotten after this many samples. */
#define FALL_SMOOTH 8

static bool at_least(uint32_t permyriad, uint32_t least)
{
	return permyriad <= 10000 && permyriad >= least;
}

uint32_t pressure_runway_sec(const struct pressure *p)
{
	if (p->fall <= 0)
		return UINT32_MAX;
	return (uint32_t)MIN(p->last_available / (uint64_t)p->fall,
			     (uint64_t)UINT32_MAX - 1);
}

/* A clock that jumps, or a long pause, says nothing about the pace. */
static void fall_learn(struct pressure *p, const struct pressure_sample *now)
{
	uint64_t passed = now->now_usec - p->last_usec;
	int64_t fall;

	if (p->last_usec && passed >= SEC / 4 && passed <= 10 * SEC) {
		fall = ((int64_t)p->last_available - (int64_t)now->available) *
		       (int64_t)SEC / (int64_t)passed;
		p->fall += (fall - p->fall) / FALL_SMOOTH;
	} else if (passed > 10 * SEC) {
		p->fall = 0;
	}
	p->last_usec = now->now_usec;
	p->last_available = now->available;
}

static bool memory_is_short(const struct pressure *p,
			    const struct pressure_sample *now)
{
	if (now->available < now->total / PRESSURE_AVAILABLE_SHARE ||
	    at_least(now->memory_permyriad, PRESSURE_MEMORY_PERMYRIAD))
		return true;
	return now->available < now->total / 2 &&
	       pressure_runway_sec(p) < PRESSURE_RUNWAY_SEC;
}

enum pressure_state pressure_step(struct pressure *p,
				  const struct pressure_sample *now)
{
	enum pressure_state seen = PRESSURE_NONE;

	fall_learn(p, now);
	if (memory_is_short(p, now))
		seen = PRESSURE_MEMORY;
	else if (at_least(now->cpu_permyriad, PRESSURE_CPU_PERMYRIAD))
		seen = PRESSURE_CPU;
	/* what is worse begins at once, what is better has to last */
	if (seen >= p->state || now->now_usec >= p->until_usec) {
		p->state = seen;
		p->until_usec = now->now_usec + PRESSURE_HOLD_USEC;
	}
	return p->state;
}

uint32_t pressure_share(enum pressure_state state, uint32_t share)
{
	switch (state) {
	case PRESSURE_MEMORY:
		return MAX(share, 10000U);
	case PRESSURE_CPU:
		return MAX(share / 4, 1U);
	default:
		return share;
	}
}

unsigned int pressure_threads(unsigned int n_threads, unsigned int n_cpus,
			      unsigned int n_running, unsigned int n_ours)
{
	unsigned int others = n_running - MIN(n_running, n_ours);
	unsigned int left = n_cpus - MIN(n_cpus, others);

	left = MIN(left, n_threads);
	return MAX(left, 1U);
}
