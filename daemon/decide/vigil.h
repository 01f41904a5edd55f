/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vigil - whether the parts of the daemon that should get on do get on
 *
 * Each part has a count that grows as it gets on, and says whether it has
 * anything to do. One that has and whose count stands still for longer than it
 * may is stalled.
 *
 * Time is what the daemon has lived through, not what a clock says: between
 * two looks there is at most the interval that they were meant to have, so
 * that a machine that was suspended, stopped by its host or too busy to run us
 * ages nobody. A part that waits for a CPU is slow, not stalled; what is known
 * to take long may take long again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vigil_sample {
	bool busy; /* it has something to do */
	bool starved; /* ... and waits for nothing but a CPU */
	uint64_t count; /* another number: it got on */
	uint64_t patience_usec; /* it may stand still for so long */
};

struct vigil_part {
	bool known;
	uint64_t count;
	uint64_t still_usec; /* lived through without getting on */
};

#define VIGIL_PARTS 72U /* every worker that a configuration may ask for */
#define VIGIL_NONE  UINT32_MAX

struct vigil {
	uint64_t last_usec;
	struct vigil_part parts[VIGIL_PARTS];
};

/*
 * A look at @n parts, always in the same order; looks are meant to be
 * @interval_usec apart.
 * Return: the part that has stood still for longest beyond its patience, or
 * VIGIL_NONE.
 */
uint32_t vigil_look(struct vigil *vigil, uint64_t now_usec,
		    uint64_t interval_usec, const struct vigil_sample *samples,
		    size_t n);
