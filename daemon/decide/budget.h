/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * budget - a share of a CPU as a long-run average, but for beginnings
 *
 * A token bucket in microseconds of CPU: fills with the share of the time
 * that passes, is emptied by what was used. What a new process makes us do
 * need not wait for it: that is paid from a second bucket, which is full at the
 * start and filled again by what the first could not hold. So the average is
 * kept in the long run whatever comes and goes, with one bucketful more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Idle time is saved up for steady work for at most this long, */
#define BUDGET_SAVE_USEC 5000000ULL
/* ... and so much CPU for beginnings: at 1 us a page, 230 GiB. */
#define BUDGET_BURST_USEC 60000000ULL

struct budget {
	uint32_t share_permyriad;
	uint64_t last_usec;
	uint64_t last_cpu_usec;
	int64_t tokens_usec;
	int64_t burst_usec;
};

void budget_init(struct budget *budget, uint32_t share_permyriad,
		 uint64_t now_usec, uint64_t cpu_usec);

/* Time has passed and CPU was used (both counted from anywhere); @beginning:
 * since something has just begun. */
void budget_update(struct budget *budget, uint64_t now_usec, uint64_t cpu_usec,
		   bool beginning);

/* Whether a beginning need not wait. */
bool budget_has_burst(const struct budget *budget);

/* How long to wait before more work may begin; 0: none. */
uint64_t budget_wait_usec(const struct budget *budget);
