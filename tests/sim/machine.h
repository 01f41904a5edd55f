/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine - a described machine, and the daemon's rounds over it
 *
 * Nothing is allocated but one record for each region: processes come with a
 * size and a way in which their memory changes, and a clock of its own passes.
 * The rounds are those of service/scan, made with the decisions that it makes
 * (sampler and budget); what a look costs is what was measured.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget.h"
#include "sampler.h"

#define SEC 1000000ULL

/* Microseconds of CPU; Linux 6.18 on the development machine. */
#define COST_MAP_USEC 17U /* smaps and PAGEMAP_SCAN, per region */
#define COST_ALL_USEC 360U
#define COST_FEW_USEC 40U
#define COST_NEW_USEC 20U

struct sim_region {
	struct heat heat;
	uint64_t changed_usec; /* 0: not since it was read */
	uint32_t n_full; /* how often it was read in full */
};

struct sim_process {
	struct sim_region *regions;
	uint32_t n_regions;
	uint32_t at; /* next region of the pass in progress */
	uint32_t change_sec; /* each region changes once in that time; 0: not */
	uint64_t found_usec;
	uint64_t pass_usec;
	uint64_t ends_usec; /* UINT64_MAX: not */
	unsigned int calm;
	unsigned int n_passes;
	bool mapped;
	bool news;
};

struct machine {
	struct sim_process *processes;
	size_t n;
	size_t at; /* the process being passed over */
	uint64_t n_regions;
	struct budget budget;
	uint64_t now_usec;
	uint64_t cpu_usec;
	uint64_t beginning_usec;
	uint64_t random;
	uint64_t noticed_max_usec; /* from a change until it was noticed */
	uint64_t n_looks[SAMPLER_ALL + 1];
};

void machine_init(struct machine *m, uint32_t share_permyriad);
void machine_clear(struct machine *m);

/* Another process. Its place in m->processes. */
size_t machine_add(struct machine *m, uint32_t n_regions, uint32_t change_sec,
		   uint64_t lives_usec);

/* Time passes. */
void machine_run(struct machine *m, uint64_t usec);
