/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * home - on which memory nodes a process lives
 *
 * Where its threads may run (affinity and cpuset, so guests that libvirt or
 * numactl has pinned) and where its memory policy has its memory. Where that
 * is everywhere, where its threads ran: each counts where it is now, by the
 * CPU time that it has used in its life. Where they ran here and there, where
 * its own memory is: that is how what mbind(2) has bound shows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mempolicy.h"

struct topology;

/* One look. */
struct home_look {
	uint64_t may_run; /* nodes, as bits */
	uint64_t may_use; /* nodes whose memory its cpuset allows */
	uint8_t ran[64]; /* share of each node in its threads' time, percent */
	uint64_t cpu_usec; /* that they all have used, living and dead */
	int nice; /* of its main thread */
};

/* 0, 1 if the process is gone, or negative errno. @dir is /proc/PID. */
int home_look(const struct topology *topology, int dir, struct home_look *ret);

/* Homes that were found before; all zero at first. */
struct home {
	uint64_t nodes; /* as bits; not 0 after home_step() */
	uint16_t ran[64]; /* smoothed */
	bool by_time; /* @ran has told once */
	struct mempolicy policy; /* as it was last read, */
	uint32_t policy_rest; /* looks until it is read again, */
	uint32_t policy_left; /* ... of which are left */
};

/* Read the policy of the process at @dir once more, if it is time: at first,
 * and ever more rarely while it stays the same. */
void home_policy(struct home *home, int dir);

/*
 * Take in a new look. @own: pages on each node that it shares with nobody, as
 * far as is known.
 *
 * A process that may run and have its memory everywhere has its home where its
 * threads spent three quarters of their time, lately counted more; keeps it
 * until it has another; and until it has one, lives where three quarters of
 * its own pages are, or else everywhere.
 */
void home_step(struct home *home, const struct topology *topology,
	       const struct home_look *look, const uint64_t own[64]);
