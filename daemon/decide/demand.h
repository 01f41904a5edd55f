/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * demand - whether a hook that everybody pays for is worth it just now
 *
 * Hooked while those who are watched read files. When hardly anything came for
 * a while the hook rests, and somebody looks now and then whether one of them
 * reads; then it is hooked again. They may read what makes no hints (pipes,
 * sockets, memory that nobody merges): a time that brought nothing makes the
 * next rest longer, so that the hook is there one part of 30 at most, in the
 * long run, where it is of no use.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* For so long it waits for something to come, */
#define DEMAND_LULL_USEC 120000000ULL
/* ... which is this many bytes, told by hints or read by one process. Half of
 * what the kernel reads ahead of somebody who reads a file. */
#define DEMAND_BYTES 65536U
/* The rest after a first time that brought nothing; then twice as long, */
#define DEMAND_REST_USEC 30000000ULL
/* ... and never longer. */
#define DEMAND_REST_MAX_USEC 3600000000ULL

struct demand {
	bool hooked;
	bool useful; /* has brought something since it was hooked */
	uint64_t since_usec; /* hooked: of the lull; else of the rest */
	uint64_t bytes; /* in this lull */
	uint64_t rest_usec; /* at least, before it is hooked again */
};

/* Hooked from now on. */
void demand_init(struct demand *demand, uint64_t now_usec);

/* While it is hooked: hints of so many bytes have come. */
void demand_hinted(struct demand *demand, uint64_t now_usec, uint64_t bytes);

/* While it rests: the most that one process has read since the last look. */
void demand_read(struct demand *demand, uint64_t now_usec, uint64_t bytes);
