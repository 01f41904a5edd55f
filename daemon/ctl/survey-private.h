/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * survey-private - what survey.c, which owns the threads, and survey-look.c,
 * which is what they do, know of one another
 */
#pragma once

#include "reader.h"
#include "survey.h"

struct frameset;

/* Words of a page that go into its key. */
#define KEY_WORDS 8U

struct survey_private {
	const struct root *root;
	struct reader reader;
	struct frameset *frames;
	int kpageflags; /* -1: cannot be read */
	bool kpf_ksm;
	uint64_t seed;
	uint64_t take_below; /* of 2^32: the share of frames that are read */
	uint16_t words[KEY_WORDS]; /* places in a page */
	unsigned int n_threads;
	size_t capacity; /* of records */
	_Atomic size_t n_records;
	_Atomic size_t next; /* region, or part to be sorted */
	_Atomic uint64_t n_again;
	size_t ends[FORECAST_PARTS];
	uint32_t again_share; /* of 2^32 */
	atomic_int error;
};

/* Whether threads are to stop: by the user, or by an error. */
bool survey_stopped(const struct survey *survey);

/* What every thread does until nothing is left to do. */
void survey_first_work(struct survey *survey, struct worker *worker);
void survey_sort_work(struct survey *survey, struct worker *worker);
void survey_again_work(struct survey *survey, struct worker *worker);

static inline uint64_t survey_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0x9fb21c651e98df25ULL;
	x ^= x >> 29;
	x *= 0xd6e8feb86659fd93ULL;
	return x ^ x >> 32;
}
