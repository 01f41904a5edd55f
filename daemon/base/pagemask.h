/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pagemask - one bit for each page of a 2 MiB region
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <ksmd-plus/types.h>

#define PAGEMASK_WORDS (REGION_PAGES / 64)

struct pagemask {
	uint64_t words[PAGEMASK_WORDS];
};

static inline bool pagemask_test(const struct pagemask *m, unsigned int i)
{
	return m->words[i / 64] >> (i % 64) & 1;
}

static inline void pagemask_set(struct pagemask *m, unsigned int i)
{
	m->words[i / 64] |= 1ULL << (i % 64);
}

static inline void pagemask_clear(struct pagemask *m, unsigned int i)
{
	m->words[i / 64] &= ~(1ULL << (i % 64));
}

/* Set the bits [@from, @to). */
static inline void pagemask_set_range(struct pagemask *m, unsigned int from,
				      unsigned int to)
{
	for (unsigned int i = from; i < to; i++)
		pagemask_set(m, i);
}

static inline unsigned int pagemask_count(const struct pagemask *m)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < PAGEMASK_WORDS; i++)
		n += (unsigned int)__builtin_popcountll(m->words[i]);
	return n;
}

/* Number of set bits below @i: the place of page @i in a compact array. */
static inline unsigned int pagemask_rank(const struct pagemask *m,
					 unsigned int i)
{
	unsigned int n = 0;

	for (unsigned int w = 0; w < i / 64; w++)
		n += (unsigned int)__builtin_popcountll(m->words[w]);
	if (i % 64)
		n += (unsigned int)__builtin_popcountll(
			m->words[i / 64] & ((1ULL << (i % 64)) - 1));
	return n;
}

/*
 * The first set bit at or after @i, or REGION_PAGES:
 * `for (i = pagemask_next(m, 0); i < REGION_PAGES; i = pagemask_next(m, i + 1))`
 */
static inline unsigned int pagemask_next(const struct pagemask *m,
					 unsigned int i)
{
	while (i < REGION_PAGES) {
		uint64_t w = m->words[i / 64] >> (i % 64);

		if (w)
			return i + (unsigned int)__builtin_ctzll(w);
		i = (i / 64 + 1) * 64;
	}
	return REGION_PAGES;
}
