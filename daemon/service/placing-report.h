/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * placing-report - what the last round has seen, for the next one and people
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ksmd-plus/status.h>

#include "config.h"
#include "mappers.h"

/* All zero at first. */
struct placing_report {
	struct placeds processes; /* of the last round, by pid */
	uint64_t moved;
	uint64_t refused;
	uint64_t rounds;
	double fairness;
	uint32_t n_slices; /* numbers below are of one in so many */
	struct numa_node_status nodes[TOPOLOGY_NODES];
	size_t n_nodes;
	struct VEC(struct numa_process_status) rows;
};

/* Take over what is known about @processes; they are those of a round that is
 * about to be cleared. */
void placing_report_take(struct placing_report *report,
			 const struct placeds *processes);

/* How many merged pages are where, and how fair that is. */
void placing_report_pages(struct placing_report *report,
			  const struct mappers *mappers);

/* What the last round knew about a process, or NULL. */
const struct placed *placing_report_find(const struct placing_report *report,
					 struct process_id id);

/* For people: the policy's name, and a sentence. */
const char *placing_report_policy(enum config_numa policy);
const char *placing_report_activity(enum config_numa policy, bool off,
				    bool moving);

/* Fill in the numbers. */
void placing_report_status(struct placing_report *report,
			   struct numa_status *ret);

void placing_report_clear(struct placing_report *report);
