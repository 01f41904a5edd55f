/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report - the manager's state as struct daemon_status and process rows
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ksmd-plus/status.h>

#include "config.h"
#include "files.h"
#include "kfeat.h"

struct adapt;
struct asking;
struct checksums;
struct enrol;
struct hinting;
struct knobs;
struct merge;
struct placing;
struct report;
struct scan;
struct track;
struct units;
struct watch;

/* Where the numbers come from; borrowed. */
struct report_env {
	const struct root *root;
	const struct kfeat *kfeat;
	const struct config *config;
	const struct watch *watch;
	struct asking *asking;
	const struct track *track;
	const struct scan *scan;
	const struct merge *merge;
	const struct enrol *enrol;
	const struct knobs *knobs;
	struct pulser *pulser;
	const struct adapt *adapt;
	const struct checksums *checksums;
	const struct hinting *hinting;
	struct placing *placing; /* NULL with one memory node */
	struct units *units;
	pid_t ksmd;
	bool dry_run;
};

int report_new(const struct report_env *env, struct report **ret);
struct report *report_free(struct report *report);

/* @paused, @starting: states that only the manager knows. */
void report_status(struct report *report, bool starting, bool paused,
		   struct daemon_status *ret);
int report_processes(struct report *report, const struct process_status **ret,
		     size_t *ret_n);

/* What is known of process @pid; nothing where it is not watched. */
void report_explain(struct report *report, uint32_t pid,
		    const struct reason_status **ret, size_t *ret_n);

/* CPU of daemon and injectors so far, in microseconds. */
uint64_t report_cpu_usec(const struct report *report);

/* The bound that the daemon's memory keeps, in bytes. */
uint64_t report_memory_bound(const struct report *report);
