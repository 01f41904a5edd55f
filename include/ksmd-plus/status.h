/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status - what the daemon says about itself
 *
 * Filled by service/manager on demand, shown by service/control on the bus.
 * All strings are owned by the manager and valid until the loop's next turn.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "reasons.h"
#include "types.h"

enum daemon_state {
	STATE_STARTING,
	STATE_SEARCHING,
	STATE_MERGING,
	STATE_RESTING,
	STATE_PAUSED,
};

struct target_status {
	const char *name;
	const char *mode;
	uint32_t processes;
	uint64_t bytes_saved;
};

struct warning {
	char name[32]; /* stable, for scripts */
	char sentence[256]; /* for people: what, and what to do */
};

/* Merged pages on memory nodes; all zero where there is one node alone. */
struct numa_node_status {
	uint32_t node;
	uint64_t pages;
};

struct numa_process_status {
	uint32_t pid;
	uint64_t home; /* its nodes, as bits */
	uint64_t pages; /* merged pages that it maps */
	uint64_t local; /* ... on its nodes */
	const char *activity; /* busy, asleep or unknown */
};

struct numa_status {
	const char *policy; /* "" with one node */
	const char *activity; /* a sentence */
	uint64_t moved; /* pages, since the start */
	uint64_t refused; /* moves that the kernel or a full node refused */
	uint64_t rounds; /* looks at who maps what that are done */
	uint64_t cpu_usec; /* spent on all this */
	uint32_t fairness_permyriad; /* least slowdown by the greatest */
	const struct numa_node_status *nodes;
	size_t n_nodes;
	const struct numa_process_status *processes;
	size_t n_processes;
};

/* A number with a stable name, for scripts. */
struct status_counter {
	const char *name;
	uint64_t value;
};

#define STATUS_COUNTERS_MAX 24

struct daemon_status {
	enum daemon_state state;
	uint64_t pages_saved; /* pages_sharing + zero pages, settled */
	uint64_t zero_pages;
	uint64_t promised_pages; /* evidence for merges that are not done yet */
	uint64_t daemon_cpu_usec; /* with the injector, since start */
	uint64_t ksmd_cpu_usec; /* since the daemon started */
	const char *engine;
	char engine_detail[160]; /* a sentence, or "" */
	struct status_counter counters[STATUS_COUNTERS_MAX]; /* of the engine */
	size_t n_counters;
	const char *hints;
	uint64_t memory_used; /* bytes, resident set of the daemon */
	uint64_t memory_bound; /* bytes it promises to stay below */
	char activity[160];
	const struct target_status *targets;
	size_t n_targets;
	const struct warning *warnings;
	size_t n_warnings;
	struct numa_status numa;
};

/* One row of `ksmd-plusctl list`; the bus signature is usssssttts. */
struct process_status {
	uint32_t pid;
	const char *comm;
	const char *target;
	const char *mode;
	const char *rule; /* the rule that gave the mode */
	const char *state; /* watching, enrolled, skipped, gone, ... */
	uint64_t tracked_pages;
	uint64_t enrolled_pages;
	uint64_t pages_saved;
	const char *note; /* why nothing merges, or "" */
};

/* Why pages of a process do or do not merge; on the bus sts. */
struct reason_status {
	enum reason reason; /* its name on the bus */
	uint64_t pages; /* 0: not of single pages, or not counted */
	const char *detail; /* an error of the kernel, or "" */
};
