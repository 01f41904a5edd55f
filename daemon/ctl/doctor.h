/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doctor - what a kernel and a machine mean for ksmd-plus
 *
 * Pure: facts in, findings out. Who gathers the facts is verb-doctor.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ksmd-plus/dsa.h>

#include "hints.h"
#include "kfeat.h"
#include "knobwatch.h"
#include "overlap.h"
#include "rivals.h"

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_NOTE, /* something is missing or different; all works */
	DOCTOR_WARNING, /* less is merged, or somebody works against us */
	DOCTOR_PROBLEM, /* ksmd-plus cannot do its work */
	DOCTOR_LEVEL_MAX_,
};

enum doctor_daemon { DAEMON_DOWN, DAEMON_UP, DAEMON_FORBIDDEN, DAEMON_MUTE };

/* Of a process: as far as /proc tells. */
struct doctor_rights {
	bool known;
	uint64_t effective;
};

struct doctor_facts {
	struct kfeat kernel;
	bool root; /* effective uid 0 */
	uint64_t capabilities; /* effective, */
	uint64_t bounding; /* and what root could have here */
	struct doctor_rights daemon_rights, injector_rights;
	unsigned int seccomp; /* our own mode; 0 none */
	uint64_t page_size;
	enum doctor_daemon daemon;
	struct hints_state hints; /* meaningful for root */
	/* Knobs; meaningful where kernel.ksm. */
	uint64_t run;
	uint64_t pages_to_scan;
	uint64_t sleep_millisecs;
	uint64_t merge_across_nodes;
	bool advisor_on;
	/* Who else is there: */
	struct rival rivals[RIVALS_MAX];
	size_t n_rivals;
	char units[128]; /* of other managers that are active: "ksm.service" */
	bool watched; /* the knobs, for */
	uint64_t watched_usec;
	unsigned int n_writes; /* by others than the daemon; */
	struct knobwrite write; /* the last of them */
	/* Where we are: */
	bool user_namespace;
	bool pid_namespace;
	unsigned int systemd; /* its version; 0: there is none, or it is mute */
	unsigned int n_warnings; /* of the daemon; */
	char warning[192]; /* the first of them, fit for a terminal */
	struct dsa_tree dsa;
	/* The configuration: */
	unsigned int n_faults;
	char fault[192]; /* the first: "file:line: sentence" */
	bool domains; /* it names one; */
	struct overlap overlap; /* then, as root, this is known */
};

struct doctor_finding {
	const char *check; /* a stable name, for scripts */
	enum doctor_level level;
	char finding[448];
	char remedy[320]; /* or "" */
};

/* More findings than this are never made. */
#define DOCTOR_FINDINGS_MAX 40

/* Fill @ret, in the order in which they are read. Return: how many. */
size_t doctor_examine(const struct doctor_facts *facts,
		      struct doctor_finding ret[DOCTOR_FINDINGS_MAX]);

/* The worst level of @n findings. */
enum doctor_level doctor_worst(const struct doctor_finding *findings, size_t n);

/* "ok", "note", "warning", "problem" */
const char *doctor_level_name(enum doctor_level level);
