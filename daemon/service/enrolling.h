/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * enrolling - one turn: plan and enrol every process that has duplicates
 *
 * Both partners of a merge are enrolled before the same pulse, so a turn ends
 * when every operation has been answered. What madvise() accepted counts as
 * mergeable from then on. It may have passed over something silently (facts
 * 2.2), but nothing of what struct vmas lets through; the next pass reads
 * VmFlags again, and a promise that was too high ends its pulse early.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "planning.h"

struct enrol;
struct enrolling;
struct track;
struct watch;

struct enrolling_env {
	struct track *track;
	struct watch *watch;
	struct enrol *enrol;
	/*
	 * The turn has ended. @late: duplicates that were settled in an
	 * earlier turn and could only be enrolled in this one.
	 */
	void (*done)(void *userdata, uint64_t late);
	void *userdata;
};

int enrolling_new(const struct enrolling_env *env, struct enrolling **ret);
struct enrolling *enrolling_free(struct enrolling *enrolling);

/* Begin a turn; done() may be called before this returns. */
void enrolling_begin(struct enrolling *enrolling,
		     const struct planning_limits *limits);

/* Answers still to come are noted, but no job is begun any more. */
void enrolling_close(struct enrolling *enrolling);

/* Somebody whose duplicates waited for a better moment may be tried now. */
bool enrolling_retry_is_due(const struct enrolling *enrolling,
			    uint64_t now_usec);
