/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * merge - from candidates to merged pages
 *
 * One cycle: candidates are settled (second look), duplicates planned into
 * ranges, the ranges enrolled, the result verified, and when the promise is
 * worth it ksmd is woken for a pulse. Then it rests. Runs beside the rounds
 * of the scan and shares the pool with them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "enrol.h"
#include "planning.h"
#include "reader.h"
#include "scan.h"

struct merge;
struct pulser;
struct track;
struct watch;

struct merge_limits {
	struct planning_limits planning;
	uint64_t max_sharing; /* KSM's max_page_sharing */
};

struct merge_env {
	sd_event *event;
	struct pool *pool;
	struct reader *reader;
	struct track *track;
	struct watch *watch;
	struct enrol *enrol;
	struct pulser *pulser;
	/* Whether more candidates are about to come. */
	enum scan_state (*searching)(void *userdata);
	/* A pulse has ended. */
	void (*pulsed)(void *userdata);
	void *userdata;
};

enum merge_stage {
	MERGE_IDLE,
	MERGE_SETTLING,
	MERGE_ENROLLING,
	MERGE_PULSING,
};

struct merge_counters {
	uint64_t promised; /* pages that a pulse is to save, now */
	uint64_t pulses;
	uint64_t settled; /* candidates that went through settle */
	uint64_t confirmed; /* ... of which were duplicates */
};

int merge_new(const struct merge_env *env, const struct merge_limits *limits,
	      struct merge **ret);
struct merge *merge_free(struct merge *merge);

/* A reload: the next cycle goes by these. */
void merge_set_limits(struct merge *merge, const struct merge_limits *limits);

/* Something may have to be done: regions were looked at. */
void merge_consider(struct merge *merge);

/*
 * Candidates have come by a hint: they are settled although a round goes on.
 */
void merge_hurry(struct merge *merge);

/* No new cycle begins; a pulse ends at once. And go on. */
void merge_pause(struct merge *merge, bool pause);

/* The end is near: as a pause, and nothing is begun any more. */
void merge_close(struct merge *merge);

enum merge_stage merge_stage(const struct merge *merge);
void merge_counters(const struct merge *merge, struct merge_counters *ret);
