/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * budget - a share of a CPU as a long-run average, but for beginnings
 *
 * A token bucket in microseconds of CPU: fills with the share of the time
 * that passes, is emptied by what was used. What the first look at a new
 * process costs is refunded: it is not made to wait for the average.
 */
#pragma once

#include <stdint.h>

/* Idle time is saved up for at most this long. */
#define BUDGET_SAVE_USEC 5000000ULL

struct budget {
	uint32_t share_permyriad;
	uint64_t last_usec;
	uint64_t last_cpu_usec;
	int64_t tokens_usec;
};

void budget_init(struct budget *budget, uint32_t share_permyriad,
		 uint64_t now_usec, uint64_t cpu_usec);

/* Time has passed and CPU was used (both counted from anywhere). */
void budget_update(struct budget *budget, uint64_t now_usec, uint64_t cpu_usec);

/* @cpu_usec of what was used does not count. */
void budget_refund(struct budget *budget, uint64_t cpu_usec);

/* How long to wait before more work may begin; 0: none. */
uint64_t budget_wait_usec(const struct budget *budget);
