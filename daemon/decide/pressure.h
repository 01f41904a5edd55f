/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pressure - how much may be spent, seen what the machine suffers from
 *
 * Where memory gets short, memory that is found now counts more than the CPU
 * it costs: nuKSM (section V-D) shows an instance die of the OOM killer while
 * ksmd had the duplicates that would have saved it. Memory is short if little
 * is available, if tasks wait for it (PSI), or if at the pace at which it
 * dwindles its runway is shorter than a search takes. Where only CPUs are
 * short, the search can wait.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Below this part of all memory it is short: 1/16. */
#define PRESSURE_AVAILABLE_SHARE 16U
/* Tasks wait for memory in 10 % of the time. */
#define PRESSURE_MEMORY_PERMYRIAD 1000U
/* Less than two minutes until nothing is left, with under half available. */
#define PRESSURE_RUNWAY_SEC 120U
/* Tasks wait for a CPU in 60 % of the time. */
#define PRESSURE_CPU_PERMYRIAD 6000U
/* What began goes on for this long after its cause has gone. */
#define PRESSURE_HOLD_USEC 10000000ULL

enum pressure_state {
	PRESSURE_NONE,
	PRESSURE_CPU,
	PRESSURE_MEMORY,
};

struct pressure_sample {
	uint64_t now_usec;
	uint64_t total; /* bytes of memory */
	uint64_t available;
	/* share of the time that tasks wait; above 10000: not known */
	uint32_t memory_permyriad;
	uint32_t cpu_permyriad;
};

/* All zero at first. */
struct pressure {
	enum pressure_state state;
	uint64_t until_usec; /* the state stays until then */
	uint64_t last_usec;
	uint64_t last_available;
	int64_t fall; /* bytes per second, smoothed over some 8 s */
};

/* To be called about once a second. */
enum pressure_state pressure_step(struct pressure *pressure,
				  const struct pressure_sample *now);

/* Seconds until no memory is left, if it goes on like that; UINT32_MAX: it
 * does not dwindle. */
uint32_t pressure_runway_sec(const struct pressure *pressure);

/* The daemon's share of a CPU instead of @share: a whole one if memory is
 * short (or what is allowed, if that is more), a quarter if CPUs are. */
uint32_t pressure_share(enum pressure_state state, uint32_t share_permyriad);

/*
 * How many of @n_threads workers may run at once: as many as CPUs are left by
 * others, and always one. @n_running threads of the machine run or want to,
 * @n_ours of them being the daemon's.
 */
unsigned int pressure_threads(unsigned int n_threads, unsigned int n_cpus,
			      unsigned int n_running, unsigned int n_ours);
