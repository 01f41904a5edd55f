/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan - rounds: every watched process is looked at, within the budget
 *
 * A round passes over the processes that are due; for each its mappings are
 * read, then those regions that the sampler wants to see, as jobs of the pool.
 * A new process is looked at first. Where nothing new comes, a process is
 * passed over ever more rarely.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "budget.h"
#include "reader.h"

struct mapping;
struct pool;
struct scan;
struct track;
struct watch;
struct watched;

/* Between two rounds. */
#define SCAN_INTERVAL_MIN_USEC 1000000ULL
#define SCAN_INTERVAL_MAX_USEC 16000000ULL

struct scan_env {
	sd_event *event;
	struct pool *pool;
	struct reader *reader;
	struct track *track;
	struct watch *watch;
	struct budget *budget;
	/* CPU that counts against the budget, in microseconds. */
	uint64_t (*cpu_usec)(void *userdata);
	/*
	 * Whether a round may begin: not while ksmd merges what the last one
	 * found. New processes do not wait.
	 */
	bool (*may_begin)(void *userdata);
	/* Some regions were looked at. */
	void (*progress)(void *userdata);
	void *userdata;
};

int scan_new(const struct scan_env *env, struct scan **ret);
struct scan *scan_free(struct scan *scan);

/* A process has come, or is going: its regions are forgotten. */
void scan_found(struct scan *scan, struct watched *watched);
void scan_lost(struct scan *scan, struct watched *watched);

/* Stop beginning jobs; and go on. */
void scan_pause(struct scan *scan, bool pause);

/*
 * Begin a round as soon as the one in progress has ended: with what has
 * duplicates that may have been merged meanwhile, or reading @all pages again.
 */
void scan_soon(struct scan *scan, bool all);

enum scan_state {
	SCAN_IDLE,
	SCAN_ROUND, /* what is known is looked at again */
	SCAN_FIRST, /* a new process is being read, or about to be */
};

enum scan_state scan_state(const struct scan *scan);

uint64_t scan_rounds(const struct scan *scan);

/* Another number whenever it has got on: a job was begun, a round ended. */
uint64_t scan_progress(const struct scan *scan);

bool scan_is_paused(const struct scan *scan);

/* Who reads mappings, for those who want some read beside the rounds. */
struct mapping *scan_mapping(const struct scan *scan);
