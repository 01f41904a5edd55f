/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether the interval of an estimate keeps its word: frames are taken at
 * random, with fixed seeds, from memory of which all is known.
 */
#include "estimate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"

#define SHARING 256
#define TRIALS	20
#define CLASSES 64

/* @n contents on @m frames each. */
struct contents {
	double m, n;
};

struct memory {
	const char *name;
	struct contents v[CLASSES];
	size_t n;
};

static uint64_t seed;

/* In (0, 1]; splitmix64. */
static double chance(void)
{
	uint64_t x = seed += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	x ^= x >> 31;
	return ((double)(x >> 11) + 1) / (1ULL << 53);
}

static double truth(const struct memory *memory)
{
	double sum = 0;

	for (size_t i = 0; i < memory->n; i++) {
		double more = memory->v[i].m - 1;

		sum += memory->v[i].n * (more - floor(more / SHARING));
	}
	return sum;
}

/* From frame to frame that is taken, by the length of the gap. */
static void take(const struct contents *c, double share,
		 struct estimate_sample *s)
{
	double frames = c->m * c->n, last = -1, at;
	uint64_t k = 0;

	for (at = floor(log(chance()) / log1p(-share)); at < frames;
	     at += 1 + floor(log(chance()) / log1p(-share))) {
		double content = floor(at / c->m);

		if (content != last && k)
			estimate_met(s, k);
		k = content == last ? k + 1 : 1;
		last = content;
	}
	if (k)
		estimate_met(s, k);
}

static struct estimate_interval draw(const struct memory *memory, double share)
{
	struct estimate_sample s = { .share = share };
	struct estimate_interval contents, zeros;

	for (size_t i = 0; i < memory->n; i++)
		take(&memory->v[i], share, &s);
	assert_int_equal(estimate_freed(&s, SHARING, true, &contents, &zeros),
			 0);
	assert_true(contents.low <= contents.best);
	assert_true(contents.best <= contents.high);
	assert_true(zeros.best == 0);
	return contents;
}

/* How often of TRIALS what is true lies inside; the mean interval. */
static unsigned int cover(const struct memory *memory, double share,
			  struct estimate_interval *ret_mean)
{
	double is = truth(memory);
	unsigned int inside = 0;

	memset(ret_mean, 0, sizeof(*ret_mean));
	for (unsigned int i = 0; i < TRIALS; i++) {
		struct estimate_interval e = draw(memory, share);

		inside += e.low <= is && is <= e.high;
		ret_mean->low += e.low / TRIALS;
		ret_mean->best += e.best / TRIALS;
		ret_mean->high += e.high / TRIALS;
	}
	printf("# %-10s %5.3f: %6.0f in [%6.0f, %6.0f], %u of %u, best %6.0f\n",
	       memory->name, share, is, ret_mean->low, ret_mean->high, inside,
	       TRIALS, ret_mean->best);
	return inside;
}

static const struct memory unique = { "unique", { { 1, 400000 } }, 1 };
static const struct memory pairs = { "pairs",
				     { { 1, 360000 }, { 2, 20000 } },
				     2 };
static const struct memory triples = { "triples",
				       { { 1, 360000 }, { 3, 13333 } },
				       2 };
static const struct memory guests = { "guests",
				      { { 1, 200000 }, { 8, 25000 } },
				      2 };
static const struct memory many = { "many",
				    { { 1, 320000 }, { 200, 400 } },
				    2 };
static const struct memory giants = { "giants",
				      { { 1, 300000 }, { 50000, 2 } },
				      2 };
static const struct memory mixed = { "mixed",
				     { { 1, 250000 },
				       { 2, 10000 },
				       { 5, 5000 },
				       { 30, 500 },
				       { 400, 50 },
				       { 30000, 1 } },
				     6 };
static const struct memory all = { "all", { { 4, 100000 } }, 1 };

/* As word counts: F(m) falls as m^-2.2. */
static struct memory skewed(void)
{
	struct memory memory = { .name = "skewed" };
	double m = 1;

	while (memory.n < CLASSES && m < 3000) {
		double to = m < 20 ? m + 1 : floor(m * 1.15);

		memory.v[memory.n++] = (struct contents){
			m, floor(150000 * (to - m) * pow(m, -2.2) + 0.5)
		};
		m = to;
	}
	return memory;
}

static void keeps_its_word(void **state)
{
	struct memory skew = skewed();
	const struct memory *memories[] = { &unique, &pairs, &triples,
					    &guests, &many,  &giants,
					    &mixed,  &all,   &skew };
	static const double shares[] = { 0.01, 0.05, 0.25, 0.7 };
	struct estimate_interval mean;
	unsigned int inside = 0, n = 0;

	(void)state;
	seed = 1;
	for (size_t i = 0; i < ARRAY_SIZE(memories); i++)
		for (size_t k = 0; k < ARRAY_SIZE(shares); k++) {
			unsigned int hits = cover(memories[i], shares[k],
						  &mean);

			/* one in 20 may miss; 16 of 20 is 1 in 400 then */
			assert_true(hits >= 16);
			inside += hits;
			n += TRIALS;
		}
	assert_true(inside >= ESTIMATE_CONFIDENCE * n);
}

/* An interval from nothing to everything would keep its word, too. */
static void says_something(void **state)
{
	struct estimate_interval mean;

	(void)state;
	seed = 2;
	cover(&pairs, 0.25, &mean);
	assert_true(mean.high < 1.25 * truth(&pairs));
	assert_true(mean.low > 0.7 * truth(&pairs));
	cover(&guests, 0.25, &mean);
	assert_true(mean.high < 1.1 * truth(&guests));
	assert_true(mean.low > 0.9 * truth(&guests));
	assert_true(fabs(mean.best / truth(&guests) - 1) < 0.05);
	cover(&giants, 0.05, &mean);
	assert_true(mean.high < 1.2 * truth(&giants));
	assert_true(mean.low > 0.9 * truth(&giants));
	cover(&unique, 0.25, &mean);
	assert_true(mean.high < 4000);
	/* ... and does not know what it cannot know */
	cover(&triples, 0.01, &mean);
	assert_true(mean.high > 1.5 * mean.low);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_its_word),
		cmocka_unit_test(says_something),
	};

	return cmocka_run_group_tests_name("estimates", tests, NULL, NULL);
}
