/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure - what an engine costs on this machine
 *
 * The CPU's time, not the time that passes: an engine that works elsewhere
 * makes us wait, and a wait costs nobody anything.
 */
#include "checksum.h"

#include <string.h>

#include "clock.h"

/* The least of so many turns; the first one meets cold memory and code. */
#define TURNS 9U

/* Fill block @b as a copy would; its items are @items. */
static void fill(struct checksum_lane *lane, unsigned int b, uint32_t *crc,
		 struct checksum_item items[CHECKSUM_BLOCK_PAGES])
{
	unsigned char *block = lane->area +
			       b % lane->n_blocks * CHECKSUM_BLOCK_BYTES;

	memset(block, (int)b + 1, CHECKSUM_BLOCK_BYTES);
	for (unsigned int i = 0; i < CHECKSUM_BLOCK_PAGES; i++)
		items[i] = (struct checksum_item){
			.page = block + i * PAGE_BYTES,
			.ret = &crc[i],
		};
}

static uint64_t turn_nsec(struct checksum_lane *lane)
{
	struct checksum_item items[CHECKSUM_BLOCK_PAGES];
	uint32_t crc[REGION_PAGES];
	uint64_t begin, nsec = 0;

	for (unsigned int b = 0; b < REGION_PAGES / CHECKSUM_BLOCK_PAGES; b++) {
		fill(lane, b, &crc[b * CHECKSUM_BLOCK_PAGES], items);
		begin = clock_nsec(CLOCK_THREAD_CPUTIME_ID);
		lane->engine->submit(lane, items, CHECKSUM_BLOCK_PAGES);
		nsec += clock_nsec(CLOCK_THREAD_CPUTIME_ID) - begin;
	}
	begin = clock_nsec(CLOCK_THREAD_CPUTIME_ID);
	lane->engine->reap(lane);
	return nsec + clock_nsec(CLOCK_THREAD_CPUTIME_ID) - begin;
}

int checksum_measure(const struct checksum_engine *engine, uint64_t *ret_psec)
{
	struct checksum_lane *lane;
	uint64_t least = UINT64_MAX;
	int r = engine->lane_new(engine, &lane);

	if (r)
		return r;
	for (unsigned int t = 0; t < TURNS; t++) {
		uint64_t nsec = turn_nsec(lane);

		least = nsec < least ? nsec : least;
	}
	engine->lane_free(lane);
	*ret_psec = least * 1000 / REGION_PAGES;
	return 0;
}
