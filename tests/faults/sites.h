/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sites - the file that the driver and the library share
 *
 * The driver makes it, all zero, as long as struct sites. The library adds a
 * slot for each place in the program from which a function of boundary.def is
 * called, as it meets it, and fails the first call at each place whose slot
 * has a plan. faults.py reads and writes the same layout.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#define SITES_FRAMES  4
#define SITES_MAX     16384
#define SITES_MODULES 64
#define SITES_CALLS   192
#define SITES_CLASSES 4
#define SITES_VICTIMS 64

struct site {
	uint64_t key; /* 0: free */
	uint16_t call; /* index into calls */
	uint8_t n_frames;
	uint8_t plan; /* 1 + the class of failure that is wanted; 0: none */
	uint32_t n_calls;
	uint32_t n_fired;
	uint32_t order; /* of firing, from 1 */
	uint64_t frames[SITES_FRAMES]; /* module << 48 | offset */
	uint64_t unused;
};

struct sites {
	uint32_t n_victims; /* processes killed for DEATH */
	uint32_t n_fired;
	int32_t victims[SITES_VICTIMS];
	uint64_t fired_nsec; /* when the last one was */
	char modules[SITES_MODULES][64];
	struct {
		char name[56];
		int16_t classes[SITES_CLASSES];
	} calls[SITES_CALLS];
	struct site slots[SITES_MAX];
};
static_assert(sizeof(struct site) == 64, "as in faults.py");
static_assert(sizeof(struct sites) == 272 + SITES_MODULES * 64 +
					      SITES_CALLS * 64 + SITES_MAX * 64,
	      "as in faults.py");
