/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * survey - every page of some processes is read once, and some twice
 *
 * Nothing is changed, and nothing is faulted in: what pagemap does not call
 * present and anonymous is not touched. Reading goes the daemon's way
 * (reader.h), by all CPUs that we may run on.
 *
 * What is kept of a page is a 64-bit key: its CRC-32C, and some words of it at
 * places that are chosen anew each time, so that nobody can plan pages that
 * look equal. The second look, at least SURVEY_PAUSE_USEC after the first,
 * is at all pages with twins, or where that would be more than one in
 * SURVEY_AGAIN_PART of all that were read, at a random choice of them; in a
 * region where one of these has changed all of them are looked at. Of a
 * sample all pages with twins are.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cleanup.h"
#include "forecast.h"
#include "kfeat.h"
#include "process.h"
#include "vec.h"
#include "vmas.h"

#define SURVEY_PAUSE_USEC 1000000ULL
#define SURVEY_AGAIN_PART 64U
#define SURVEY_AGAIN_MIN  8192U

enum {
	SURVEY_GONE = 1, /* the process has exited */
};

/* One process, and what was met in it. */
struct survey_process {
	struct process process;
	char comm[64];
	uint32_t domain;
	struct vmas vmas;
	size_t n_mappings;
	size_t first_region; /* in struct forecast */
	size_t n_regions;
	/* pages */
	_Atomic uint64_t looked; /* read: a frame that is met again is not */
	_Atomic uint64_t shared; /* on frames mapped several times, by fork */
	_Atomic uint64_t merged; /* on frames that KSM has merged */
	atomic_bool gone; /* ended meanwhile */
};

struct survey_processes VEC(struct survey_process *);

struct survey {
	struct survey_processes processes;
	struct forecast forecast;
	/*
	 * Of the frames, this share is read, each with the same chance: see
	 * estimate.h. 1 unless set between survey_add() and survey_run().
	 */
	double share;
	uint64_t n_present; /* pages that there are */
	uint64_t n_wanted; /* of them, about so many are to be read */
	_Atomic uint64_t n_done;
	_Atomic uint64_t n_lost; /* for want of room: came while we looked */
	uint64_t n_again; /* looked at twice */
	uint64_t read_usec; /* the first look, and sorting */
	uint64_t pause_usec; /* between the two */
	uint64_t again_usec; /* the second */
	const atomic_bool *stop; /* set by a signal */
	struct survey_private *private;
};

/* Called now and then while threads are at work. */
typedef void (*survey_progress_fn)(void *userdata, const struct survey *survey);

/* @stop may become true at any time. 0 or negative errno. */
int survey_new(const struct root *root, const struct kfeat *kfeat,
	       const atomic_bool *stop, struct survey **ret);
struct survey *survey_free(struct survey *survey);
DEFINE_CLEANUP(struct survey, survey_free)

/*
 * Open a process and read its mappings. Return: 0, SURVEY_GONE, or negative
 * errno (-EACCES, -EPERM: may not look into it).
 */
int survey_add(struct survey *survey, struct process_id id, const char *comm,
	       uint32_t domain);

/*
 * Both looks; then survey->forecast is sorted and marked. 0 or negative errno.
 * Where the survey was stopped, what was read until then.
 */
int survey_run(struct survey *survey, survey_progress_fn progress,
	       void *userdata);
