/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * index - checksum -> where it was seen
 *
 * Holds one representative page for each distinct checksum. A second page
 * with that checksum is not stored: finding the representative is the
 * evidence, for both of them.
 *
 * An entry is 8 bytes, in buckets of one cache line:
 *	27 bits region number, 9 bits page in it, 22 bits of the hash,
 *	2 bits distance from its home bucket, 2 bits age, 1 bit "known
 *	duplicate", 1 bit "in use".
 * The rest of the hash is the home bucket's place, so that the table can grow
 * in place, a fifth at a time, without asking for keys. The hash is keyed:
 * nobody can aim pages at one bucket. Between 72 and 87 % full, an entry costs
 * 9.2 to 11.1 bytes; struct track's checksums and masks add less than 4.7 for
 * a dense region: together within 16 bytes per page (design 3.7).
 *
 * Memory is bounded: at the bound, an entry that finds no room in its four
 * buckets replaces the oldest one there that is not a known duplicate. What
 * was lost that way is counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index;

/* Regions are numbered below this: 2^27 x 2 MiB = 256 TiB. */
#define INDEX_MAX_REGIONS (1U << 27)

struct page_ref {
	uint32_t region; /* number of a region in struct track */
	uint16_t page; /* below REGION_PAGES */
};

enum {
	INDEX_NEW = 1, /* the page is now the representative */
	INDEX_SELF, /* it has been so before */
	INDEX_FOUND, /* another page is; see struct index_hit */
	INDEX_LOST, /* no room, and nothing older to give way */
};

struct index_hit {
	struct page_ref ref;
	bool duplicate; /* index_mark_duplicate() was called for it */
};

/* @max_bytes bounds the table; @seed keys the hash. 0 or -ENOMEM. */
int index_new(uint64_t max_bytes, uint64_t seed, struct index **ret);
struct index *index_free(struct index *index);

/*
 * Look for @key (checksum mixed with the domain) and put @ref there if it is
 * not known. *ret_hit is set for INDEX_FOUND only.
 */
int index_put(struct index *index, uint32_t key, struct page_ref ref,
	      struct index_hit *ret_hit);

/* Only look: INDEX_FOUND, or INDEX_NEW where nothing is known of @key. */
int index_get(const struct index *index, uint32_t key,
	      struct index_hit *ret_hit);

/* @key will be looked up soon: have its bucket in the cache by then. */
void index_prefetch(const struct index *index, uint32_t key);

/* The settle stage found that the pages of @key really are equal. */
void index_mark_duplicate(struct index *index, uint32_t key);

/* From now on @ref is the page that is found for @key, if one is. */
void index_represent(struct index *index, uint32_t key, struct page_ref ref);

/* Forget @key if @ref is its representative. True if index_mark_duplicate() was
 * called for it: it may have left twins that nobody finds any more. */
bool index_remove(struct index *index, uint32_t key, struct page_ref ref);

/* A round has passed: what is not seen again grows old. */
void index_age(struct index *index);

/*
 * Give back what a table needs no more that was far larger once. True if it
 * has become smaller; without memory for the new one it stays as it is. Costs
 * nothing where little can be had.
 */
bool index_fit(struct index *index);

uint64_t index_bytes(const struct index *index);
uint64_t index_entries(const struct index *index);
uint64_t index_lost(const struct index *index);

/* It may not grow any more: what is lost now is lost for want of memory. */
bool index_is_at_bound(const struct index *index);
