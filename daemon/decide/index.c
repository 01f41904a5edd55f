/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"

#define BUCKET_SLOTS  8 /* one cache line */
#define PROBE_BUCKETS 4 /* an entry is at home or in the next three */
/* How far above home a hole is looked for. */
#define HOLE_SEARCH 128
/* With 2^10 buckets or more, home and tag give back all 32 bits of a hash. */
#define MIN_BUCKETS 1024U
/* The table becomes smaller when so few of its slots are used, one in ..., and
 * is so full then, in percent: far from growing again. */
#define FIT_BELOW 4
#define FIT_FULL  60
/* Buckets whose entries may stay in place when the table grows by a fifth. */
#define REHASH_LOW 32U

#define USED_BIT   1ULL
#define DUP_BIT	   2ULL
#define AGE_SHIFT  2
#define AGE_MASK   3U
#define DIST_SHIFT 4
#define DIST_MASK  3U
#define TAG_SHIFT  6
#define TAG_BITS   22
#define TAG_MASK   ((1U << TAG_BITS) - 1)
#define PAGE_SHIFT (TAG_SHIFT + TAG_BITS)
#define REG_SHIFT  (PAGE_SHIFT + 9)

static_assert(REG_SHIFT + 27 == 64, "an entry is 64 bits");
static_assert(REGION_PAGES == 1U << 9, "a page number has 9 bits");

struct bucket {
	uint64_t slots[BUCKET_SLOTS];
};

struct index {
	uint64_t seed;
	uint64_t max_buckets;
	uint64_t n_buckets;
	uint64_t n_entries;
	uint64_t n_lost;
	unsigned int age;
	struct bucket *buckets; /* a mapping: page-aligned, grown in place */
};

static uint32_t entry_tag(uint64_t e)
{
	return (uint32_t)(e >> TAG_SHIFT) & TAG_MASK;
}

static uint64_t entry_of(struct page_ref ref)
{
	assert(ref.region < INDEX_MAX_REGIONS && ref.page < REGION_PAGES);
	return (uint64_t)ref.page << PAGE_SHIFT | (uint64_t)ref.region
							  << REG_SHIFT;
}

static struct page_ref entry_ref(uint64_t e)
{
	return (struct page_ref){
		.region = (uint32_t)(e >> REG_SHIFT),
		.page = e >> PAGE_SHIFT & (REGION_PAGES - 1),
	};
}

/*
 * MurmurHash3's 32-bit finaliser, keyed. It is a bijection: two checksums
 * never share a hash, and an entry that matches has the checksum looked for.
 */
static uint32_t hash_of(const struct index *index, uint32_t key)
{
	uint32_t x = key ^ (uint32_t)index->seed;

	x = (x ^ x >> 16) * 0x85EBCA6BU;
	x ^= (uint32_t)(index->seed >> 32);
	x = (x ^ x >> 13) * 0xC2B2AE35U;
	return x ^ x >> 16;
}

/* Monotone in @hash and in @n: what makes growing in place possible. */
static uint64_t home_of(uint32_t hash, uint64_t n)
{
	return hash * n >> 32;
}

/* The one hash with that home among @n buckets and those low bits. */
static uint32_t hash_from(uint64_t home, uint32_t tag, uint64_t n)
{
	uint64_t low = ((home << 32) + n - 1) / n;

	return (uint32_t)(low + ((tag - (uint32_t)low) & TAG_MASK));
}

static uint64_t bytes_of(uint64_t n_buckets)
{
	/* Probing runs past the last home. */
	return (n_buckets + PROBE_BUCKETS - 1) * sizeof(struct bucket);
}

static struct bucket *buckets_new(uint64_t n_buckets)
{
	void *p = mmap(NULL, bytes_of(n_buckets), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* it tells what pages hold, to whoever can guess them */
	madvise(p, bytes_of(n_buckets), MADV_DONTDUMP);
	return p;
}

int index_new(uint64_t max_bytes, uint64_t seed, struct index **ret)
{
	_cleanup_free_ struct index *index = calloc(1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	index->seed = seed;
	index->max_buckets = MAX(max_bytes / sizeof(struct bucket),
				 (uint64_t)MIN_BUCKETS);
	index->n_buckets = MIN_BUCKETS;
	index->buckets = buckets_new(index->n_buckets);
	if (!index->buckets)
		return -ENOMEM;
	*ret = TAKE_PTR(index);
	return 0;
}

struct index *index_free(struct index *index)
{
	if (index) {
		munmap(index->buckets, bytes_of(index->n_buckets));
		free(index);
	}
	return NULL;
}

static uint64_t *slot_find(const struct index *index, uint32_t hash)
{
	uint64_t home = home_of(hash, index->n_buckets);

	for (uint64_t d = 0; d < PROBE_BUCKETS; d++) {
		struct bucket *b = &index->buckets[home + d];

		for (unsigned int i = 0; i < BUCKET_SLOTS; i++) {
			uint64_t e = b->slots[i];

			if ((e & USED_BIT) &&
			    entry_tag(e) == (hash & TAG_MASK) &&
			    (e >> DIST_SHIFT & DIST_MASK) == d)
				return &b->slots[i];
		}
	}
	return NULL;
}

/* How long ago @e was last touched, 0 to 3. */
static unsigned int entry_age(const struct index *index, uint64_t e)
{
	return (index->age - (unsigned int)(e >> AGE_SHIFT)) & AGE_MASK;
}

static uint64_t *slot_free_in(struct index *index, uint64_t at)
{
	for (unsigned int i = 0; i < BUCKET_SLOTS; i++)
		if (!(index->buckets[at].slots[i] & USED_BIT))
			return &index->buckets[at].slots[i];
	return NULL;
}

/* Move one entry of a bucket just below @at into @hole; *ret_at: whence. */
static uint64_t *hole_move_down(struct index *index, uint64_t at,
				uint64_t *hole, uint64_t *ret_at)
{
	for (uint64_t back = PROBE_BUCKETS - 1; back > 0; back--) {
		struct bucket *b = &index->buckets[at - back];

		for (unsigned int i = 0; i < BUCKET_SLOTS; i++) {
			uint64_t e = b->slots[i];
			uint64_t dist = (e >> DIST_SHIFT & DIST_MASK) + back;

			if (dist >= PROBE_BUCKETS)
				continue;
			e &= ~((uint64_t)DIST_MASK << DIST_SHIFT);
			*hole = e | dist << DIST_SHIFT;
			b->slots[i] = 0;
			*ret_at = at - back;
			return &b->slots[i];
		}
	}
	return NULL;
}

/*
 * Hopscotch hashing (Herlihy, Shavit, Tzafrir 2008): with home and its next
 * three full, take the nearest hole above and move it down, entry by entry,
 * none of which gets farther from its own home than the next three.
 */
static uint64_t *slot_make(struct index *index, uint64_t home,
			   uint64_t *ret_dist)
{
	uint64_t end = MIN(home + HOLE_SEARCH,
			   index->n_buckets + PROBE_BUCKETS - 1);

	uint64_t *hole = NULL;
	uint64_t at = home;

	while (at < end && !(hole = slot_free_in(index, at)))
		at++;
	while (hole && at >= home + PROBE_BUCKETS)
		hole = hole_move_down(index, at, hole, &at);
	if (hole)
		*ret_dist = at - home;
	return hole;
}

/* The oldest entry near home that may give way, or NULL. */
static uint64_t *slot_oldest(struct index *index, uint64_t home,
			     uint64_t *ret_dist)
{
	uint64_t *oldest = NULL;
	unsigned int oldest_age = 0;

	for (uint64_t d = 0; d < PROBE_BUCKETS; d++) {
		struct bucket *b = &index->buckets[home + d];

		for (unsigned int i = 0; i < BUCKET_SLOTS; i++) {
			uint64_t *s = &b->slots[i];

			if (!(*s & DUP_BIT) &&
			    entry_age(index, *s) > oldest_age) {
				oldest = s;
				oldest_age = entry_age(index, *s);
				*ret_dist = d;
			}
		}
	}
	return oldest;
}

/* Put @e, whose hash is @hash, near its home. False if it was lost. */
static bool entry_place(struct index *index, uint64_t e, uint32_t hash)
{
	uint64_t dist = 0;
	uint64_t home = home_of(hash, index->n_buckets);
	uint64_t *s = slot_make(index, home, &dist);

	if (!s)
		s = slot_oldest(index, home, &dist);
	if (!s || (*s & USED_BIT))
		index->n_lost++;
	else
		index->n_entries++;
	if (!s)
		return false;
	e &= ~((uint64_t)DIST_MASK << DIST_SHIFT);
	*s = e | dist << DIST_SHIFT;
	return true;
}

static void bucket_rehash(struct index *index, const struct bucket *old,
			  uint64_t at, uint64_t n_old)
{
	for (unsigned int i = 0; i < BUCKET_SLOTS; i++) {
		uint64_t e = old->slots[i];
		uint64_t home = at - (e >> DIST_SHIFT & DIST_MASK);

		if (!(e & USED_BIT))
			continue;
		index->n_entries--;
		entry_place(index, e, hash_from(home, entry_tag(e), n_old));
	}
}

/*
 * From the last bucket down, each entry moves to its new home. Growing by a
 * fifth, that lies at least three buckets above the old home, and so among
 * emptied buckets, for all but the lowest: those are set aside first.
 */
static void rehash(struct index *index, uint64_t n_old)
{
	struct bucket low[REHASH_LOW];

	for (uint64_t at = n_old + PROBE_BUCKETS - 1; at-- > REHASH_LOW;) {
		struct bucket old = index->buckets[at];

		memset(&index->buckets[at], 0, sizeof(old));
		bucket_rehash(index, &old, at, n_old);
	}
	memcpy(low, index->buckets, sizeof(low));
	memset(index->buckets, 0, sizeof(low));
	for (uint64_t at = 0; at < REHASH_LOW; at++)
		bucket_rehash(index, &low[at], at, n_old);
}

static uint64_t larger(const struct index *index)
{
	return index->n_buckets + index->n_buckets / 5;
}

bool index_is_at_bound(const struct index *index)
{
	return larger(index) > index->max_buckets;
}

/* A larger table, if one is allowed and can be had; else the old one. */
static void grow(struct index *index)
{
	uint64_t n_old = index->n_buckets;
	uint64_t n_new = larger(index);
	void *p;

	if (index_is_at_bound(index))
		return;
	p = mremap(index->buckets, bytes_of(n_old), bytes_of(n_new),
		   MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		return;
	index->buckets = p;
	index->n_buckets = n_new;
	rehash(index, n_old);
}

bool index_fit(struct index *index)
{
	uint64_t slots = index->n_buckets * BUCKET_SLOTS;
	uint64_t n_new = MAX(index->n_entries * 100 / (BUCKET_SLOTS * FIT_FULL),
			     (uint64_t)MIN_BUCKETS);
	uint64_t n_old = index->n_buckets;
	struct bucket *old = index->buckets;
	struct bucket *new;

	if (index->n_entries * FIT_BELOW > slots || n_new * 2 > n_old)
		return false;
	new = buckets_new(n_new);
	if (!new)
		return false;
	index->buckets = new;
	index->n_buckets = n_new;
	for (uint64_t at = 0; at < n_old + PROBE_BUCKETS - 1; at++)
		bucket_rehash(index, &old[at], at, n_old);
	munmap(old, bytes_of(n_old));
	return true;
}

static bool is_full(const struct index *index)
{
	return index->n_entries * 100 >= index->n_buckets * BUCKET_SLOTS * 87;
}

int index_get(const struct index *index, uint32_t key,
	      struct index_hit *ret_hit)
{
	const uint64_t *s = slot_find(index, hash_of(index, key));

	if (!s)
		return INDEX_NEW;
	*ret_hit = (struct index_hit){ entry_ref(*s), *s & DUP_BIT };
	return INDEX_FOUND;
}

int index_put(struct index *index, uint32_t key, struct page_ref ref,
	      struct index_hit *ret_hit)
{
	uint32_t hash = hash_of(index, key);
	uint64_t *s = slot_find(index, hash);
	struct page_ref there;
	uint64_t e;

	if (s) {
		*s &= ~((uint64_t)AGE_MASK << AGE_SHIFT);
		*s |= (uint64_t)index->age << AGE_SHIFT;
		there = entry_ref(*s);
		if (there.region == ref.region && there.page == ref.page)
			return INDEX_SELF;
		*ret_hit = (struct index_hit){ there, *s & DUP_BIT };
		return INDEX_FOUND;
	}
	if (is_full(index))
		grow(index);
	e = USED_BIT | (uint64_t)index->age << AGE_SHIFT |
	    (uint64_t)(hash & TAG_MASK) << TAG_SHIFT | entry_of(ref);
	return entry_place(index, e, hash) ? INDEX_NEW : INDEX_LOST;
}

void index_prefetch(const struct index *index, uint32_t key)
{
	uint64_t home = home_of(hash_of(index, key), index->n_buckets);

	__builtin_prefetch(&index->buckets[home]);
}

void index_mark_duplicate(struct index *index, uint32_t key)
{
	uint64_t *s = slot_find(index, hash_of(index, key));

	if (s)
		*s |= DUP_BIT;
}

void index_represent(struct index *index, uint32_t key, struct page_ref ref)
{
	uint64_t *s = slot_find(index, hash_of(index, key));

	if (s)
		*s = (*s & ((1ULL << PAGE_SHIFT) - 1)) | entry_of(ref);
}

bool index_remove(struct index *index, uint32_t key, struct page_ref ref)
{
	uint64_t *s = slot_find(index, hash_of(index, key));
	struct page_ref there;
	bool duplicate;

	if (!s)
		return false;
	there = entry_ref(*s);
	if (there.region != ref.region || there.page != ref.page)
		return false;
	duplicate = *s & DUP_BIT;
	*s = 0;
	index->n_entries--;
	return duplicate;
}

void index_age(struct index *index)
{
	index->age = (index->age + 1) & AGE_MASK;
}

uint64_t index_bytes(const struct index *index)
{
	return bytes_of(index->n_buckets);
}

uint64_t index_entries(const struct index *index)
{
	return index->n_entries;
}

uint64_t index_lost(const struct index *index)
{
	return index->n_lost;
}
