/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * home - on which memory nodes a process lives
 *
 * Where its threads may run (affinity and cpuset, so guests that libvirt or
 * numactl has pinned) and, where that is everywhere, where they ran: each
 * thread counts where it is now, by the CPU time that it has used in its life.
 */
#pragma once

#include <stdint.h>

struct topology;

/* One look. */
struct home_look {
	uint64_t may_run; /* nodes, as bits */
	uint64_t may_use; /* nodes whose memory its cpuset allows */
	uint8_t ran[64]; /* share of each node in its threads' time, percent */
	int nice; /* of its main thread */
};

/* 0, 1 if the process is gone, or negative errno. @dir is /proc/PID. */
int home_look(const struct topology *topology, int dir, struct home_look *ret);

/* Homes that were found before; all zero at first. */
struct home {
	uint64_t nodes; /* as bits; not 0 after home_step() */
	uint16_t ran[64]; /* smoothed */
};

/*
 * Take in a new look. A process that may run everywhere has its home where its
 * threads spent three quarters of their time, lately counted more; keeps it
 * until it has another; and lives everywhere until it has one.
 */
void home_step(struct home *home, const struct topology *topology,
	       const struct home_look *look);
