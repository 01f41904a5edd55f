/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * account - keeps one account as <ksmd-plus/account.h> defines it
 */
#pragma once

#include <ksmd-plus/account.h>

/* All zero: a new account. */
struct account_book {
	struct account figures;
	double settled; /* pages; figures.settled is this, rounded down */
	uint64_t looked_usec; /* up to which time settled has risen */
};

/* A look at @now_usec has found so much. */
void account_look(struct account_book *book, uint64_t saved, int64_t profit,
		  uint64_t now_usec);

/*
 * The part of @x that is left after the whole seconds between *at_usec and
 * @now_usec, when half of it goes in @half_sec (at least 1). *at_usec becomes
 * the end of those seconds; 0: @x begins now.
 */
double account_decay(double x, unsigned int half_sec, uint64_t *at_usec,
		     uint64_t now_usec);

/* @part of @whole, of @total: @total * @part / @whole, 0 where @whole is. */
uint64_t account_share(uint64_t total, uint64_t part, uint64_t whole);
