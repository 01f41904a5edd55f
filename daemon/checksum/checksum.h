/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * checksum - one interface, several engines, equal bits
 *
 * An engine turns pages into CRC-32C (Castagnoli, RFC 3720: initial value and
 * final inversion of all ones), which is what the Data Streaming Accelerator
 * computes with flags 0 and seed 0. A checksum is a hint: what it calls equal
 * is looked at again with a strong hash, and compared by the kernel before it
 * merges.
 *
 * Each thread has a lane of its own: it puts pages into the lane's area and
 * submits them; other work goes on; after reap() all checksums are there. An
 * engine that works elsewhere may want to keep an area for itself (a device
 * that does not answer still owns what was handed to it): then the lane has
 * another one after reap().
 *
 * The strong hash is XXH3-64 with a secret made when the daemon starts: a
 * process that plants pages with equal CRCs cannot plan its collisions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ksmd-plus/types.h>

/* CRC-32C of 4096 zero bytes. */
#define CHECKSUM_ZERO_PAGE 0x98f94189U

/* Pages are submitted in blocks: 256 KiB are in a second-level cache still
 * when they have just been copied. */
#define CHECKSUM_BLOCK_PAGES 64U
#define CHECKSUM_BLOCK_BYTES (CHECKSUM_BLOCK_PAGES * PAGE_BYTES)

struct checksum_engine;

struct checksum_lane {
	const struct checksum_engine *engine;
	unsigned char *area; /* REGION_BYTES, page-aligned */
	/* The area's blocks that may be submitted and not yet reaped; with 1,
	 * submit() is done with the pages when it returns. */
	unsigned int n_blocks;
};

struct checksum_item {
	const void *page; /* in the lane's area */
	uint32_t *ret;
};

struct checksum_engine {
	const char *name;
	/* 0 or negative errno */
	int (*lane_new)(const struct checksum_engine *engine,
			struct checksum_lane **ret);
	/* Pages and results stay in place until reap(). */
	void (*submit)(struct checksum_lane *lane,
		       const struct checksum_item *items, size_t n);
	/* All that was submitted has its checksum; the area may be another
	 * one, and what was in it is lost. */
	void (*reap)(struct checksum_lane *lane);
	/* NULL in, NULL out */
	struct checksum_lane *(*lane_free)(struct checksum_lane *lane);
};

/* ISA-L's crc32_iscsi(), which picks the best instructions of this CPU. */
extern const struct checksum_engine checksum_cpu;

/* CRC-32C of one page, on this CPU. */
uint32_t checksum_page(const void *page);

/* The same where the first @done bytes are known to have CRC-32C @crc. */
uint32_t checksum_page_rest(const void *page, size_t done, uint32_t crc);

/* Whether all bytes of @page are zero: exact, not by checksum. */
bool checksum_is_zero(const void *page);

/*
 * What a page costs on this thread's CPU with @engine, to submit and to reap,
 * in picoseconds: the least of several turns over a region just written.
 * 0 or negative errno.
 */
int checksum_measure(const struct checksum_engine *engine, uint64_t *ret_psec);

/* XXH3_SECRET_SIZE_MIN is 136; XXH3's own default secret has 192. */
#define STRONG_SECRET_BYTES 192

struct strong_key {
	unsigned char secret[STRONG_SECRET_BYTES];
};

/* Fill @ret with random bytes of the kernel. 0 or negative errno. */
int strong_key_make(struct strong_key *ret);

/* The keyed 64-bit hash of one page. */
uint64_t strong_hash(const struct strong_key *key, const void *page);
