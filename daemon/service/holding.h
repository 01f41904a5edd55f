/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * holding - who loses more than he wins gets nothing new for a while
 *
 * decide/worth judges a process by itself, and the processes of a target
 * together where they are not held by themselves: those that end too soon to
 * be judged one by one. watched->held is what becomes of it.
 */
#pragma once

#include <stdint.h>

struct accounts;
struct watch;
struct watched;
struct worth_flow;

/* What @watched has won and lost since the last look; what it has not lost by
 * being held goes into the sums of its target. */
void holding_judge(struct watched *watched, const struct worth_flow *flow,
		   uint64_t now_usec);

/* All were judged, and the sums were taken in: now the targets. */
void holding_judge_targets(const struct watch *watch, struct accounts *accounts,
			   uint64_t now_usec);

/* Nobody is held any more. */
void holding_release(const struct watch *watch, struct accounts *accounts);

/* How many processes are. */
uint64_t holding_count(const struct watch *watch);
