/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan - rounds: every watched process is looked at, within the budget
 *
 * A round passes over all processes; for each its mappings are read, then its
 * regions, as jobs of the pool. A new process is looked at first. Rounds
 * follow each other after SCAN_INTERVAL_MIN, and ever more slowly, up to
 * SCAN_INTERVAL_MAX, while nothing new is found.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "budget.h"
#include "reader.h"

struct pool;
struct scan;
struct track;
struct watch;
struct watched;

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

/* Begin a round as soon as the one in progress has ended. */
void scan_soon(struct scan *scan);

/* Whether processes wait to be looked at. */
bool scan_is_busy(const struct scan *scan);

uint64_t scan_rounds(const struct scan *scan);
