/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "account.h"

#define USEC 1000000ULL
/* 2^-40: of any number of pages nothing is left. */
#define HALVES_MAX 40U

/* 2^-(1 / 2^i), i from 1. */
static const double roots[] = {
	0.70710678118654757, 0.84089641525371450, 0.91700404320467122,
	0.95760328069857370, 0.97857206208770009, 0.98922801319397546,
	0.99459942348363317, 0.99729605608547012, 0.99864711289097019,
	0.99932332750265074, 0.99966160649624369, 0.99983078893192912,
};

#define ROOTS (sizeof(roots) / sizeof(roots[0]))

/* 2^-x for 0 <= x < 1, to a 4096th of x. */
static double half_to_the(double x)
{
	double y = 1;

	for (unsigned int i = 0; i < ROOTS; i++) {
		x *= 2;
		if (x >= 1) {
			x -= 1;
			y *= roots[i];
		}
	}
	return y;
}

double account_decay(double x, unsigned int half_sec, uint64_t *at_usec,
		     uint64_t now_usec)
{
	uint64_t seconds, halves;

	if (!*at_usec)
		*at_usec = now_usec;
	seconds = now_usec > *at_usec ? (now_usec - *at_usec) / USEC : 0;
	*at_usec += seconds * USEC;
	halves = seconds / half_sec;
	if (halves >= HALVES_MAX)
		return 0;
	return x / (double)(1ULL << halves) *
	       half_to_the((double)(seconds % half_sec) / half_sec);
}

uint64_t account_share(uint64_t total, uint64_t part, uint64_t whole)
{
	if (!whole)
		return 0;
	return (uint64_t)((unsigned __int128)total * part / whole);
}

void account_look(struct account_book *book, uint64_t saved, int64_t profit,
		  uint64_t now_usec)
{
	struct account *f = &book->figures;
	double gap = (double)saved - book->settled;

	if (gap > 0)
		gap = account_decay(gap, ACCOUNT_HALF_SEC, &book->looked_usec,
				    now_usec);
	else
		book->looked_usec = now_usec;
	book->settled = (double)saved - (gap > 0 ? gap : 0);
	f->saved = saved;
	f->settled = (uint64_t)book->settled;
	if (saved > f->peak)
		f->peak = saved;
	f->profit = profit;
}
