/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * news - what of the daemon's state is worth telling those who listen
 *
 * Savings change with every page that somebody writes to; who draws a curve of
 * them needs no page, and is woken for each. A change of the state or of the
 * warnings is told at once; savings when they have changed by a part of
 * themselves, or by anything for a while; and where there is news anyway, all
 * that has changed is told with it.
 */
#pragma once

#include <stdint.h>

/* Told at once from this on: 1 MiB, or a hundredth of what there is. */
#define NEWS_PAGES 256U
#define NEWS_SHARE 100U
/* Anything less is told after so long. */
#define NEWS_LATE_USEC 30000000ULL

enum {
	NEWS_STATE = 1 << 0,
	NEWS_SAVED = 1 << 1, /* pages, zero pages, and by target */
	NEWS_PROMISED = 1 << 2,
	NEWS_WARNINGS = 1 << 3,
};

struct news {
	int state;
	uint64_t saved; /* pages */
	uint64_t zero;
	uint64_t promised;
	uint64_t targets; /* processes of all targets, and how many these are */
	uint64_t warnings; /* any number that differs where they do */
};

/* What of @now is to be told to those who know @told for @usec: NEWS_*. */
unsigned int news_since(const struct news *told, const struct news *now,
			uint64_t usec);
