/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worth - whether merging somebody's pages is worth what it costs
 *
 * A page that is merged pays for that by staying merged: WORTH_PAY_SEC long,
 * or merging it was wasted. So, in page-seconds:
 *	won  = sum of (pages saved * time)
 *	lost = sum of (pages broken again * WORTH_PAY_SEC)
 * both forgotten by half in each WORTH_HALF_SEC. Somebody is held back, that
 * is: nothing new of him is enrolled, when lost > won and he has broken as
 * much as WORTH_REWRITES times what he ever had merged at once lately (and
 * WORTH_LEAST_PAGES): a program that changes its data once is none that keeps
 * breaking. Who breaks less than one page in WORTH_PAY_SEC of those that he
 * saves is never held back.
 *
 * He is held for WORTH_HOLD_USEC, then begins anew with nothing won or lost.
 * Who has to be held again soon (within twice the last time) is held twice as
 * long, up to WORTH_HOLDS_MAX doublings.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WORTH_PAY_SEC	  60U
#define WORTH_HALF_SEC	  120U
#define WORTH_LEAST_PAGES 256U
#define WORTH_REWRITES	  1.5
#define WORTH_HOLD_USEC	  (120 * 1000000ULL)
#define WORTH_HOLDS_MAX	  5U

/* All zero: nothing is known of him. */
struct worth {
	double won;
	double lost;
	double broken; /* pages, forgotten in the same way */
	double most; /* pages merged at once */
	uint64_t added_usec; /* the last addition */
	uint64_t decayed_usec;
	bool held;
	unsigned int n_holds;
	uint64_t until_usec; /* held until then, now or the last time */
};

/* What has happened since the last addition. */
struct worth_flow {
	uint64_t saved; /* pages, now */
	uint64_t merged; /* pages, now, or a while ago */
	uint64_t broken; /* pages, since then */
};

enum worth_verdict {
	WORTH_SAME, /* held or not, as before */
	WORTH_HOLD, /* from now on */
	WORTH_RELEASE,
};

/* Does nothing to who is held. */
void worth_add(struct worth *worth, const struct worth_flow *flow,
	       uint64_t now_usec);

/* @part is no longer counted in @whole: it is held by itself. */
void worth_subtract(struct worth *whole, const struct worth *part);

enum worth_verdict worth_judge(struct worth *worth, uint64_t now_usec);

/* How long he is held this time, or was the last time. */
uint64_t worth_hold_usec(const struct worth *worth);

/* Somebody asks for it: as if nothing had been. */
void worth_forget(struct worth *worth);
