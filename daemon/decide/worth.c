/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worth.h"

#include "account.h"

#define USEC 1000000.0

static void forget_with_time(struct worth *w, uint64_t now_usec)
{
	double left = account_decay(1, WORTH_HALF_SEC, &w->decayed_usec,
				    now_usec);

	w->won *= left;
	w->lost *= left;
	w->broken *= left;
	w->most *= left;
}

void worth_add(struct worth *w, const struct worth_flow *flow,
	       uint64_t now_usec)
{
	double sec = w->added_usec && now_usec > w->added_usec
			     ? (double)(now_usec - w->added_usec) / USEC
			     : 0;

	w->added_usec = now_usec;
	if (w->held)
		return;
	forget_with_time(w, now_usec);
	w->won += (double)flow->saved * sec;
	w->lost += (double)flow->broken * WORTH_PAY_SEC;
	w->broken += (double)flow->broken;
	if ((double)flow->merged > w->most)
		w->most = (double)flow->merged;
}

static double less(double a, double b)
{
	return a > b ? a - b : 0;
}

void worth_subtract(struct worth *whole, const struct worth *part)
{
	whole->won = less(whole->won, part->won);
	whole->lost = less(whole->lost, part->lost);
	whole->broken = less(whole->broken, part->broken);
}

uint64_t worth_hold_usec(const struct worth *w)
{
	return w->n_holds ? WORTH_HOLD_USEC << (w->n_holds - 1) : 0;
}

static bool loses(const struct worth *w)
{
	return w->lost > w->won && w->broken >= WORTH_LEAST_PAGES &&
	       w->broken >= WORTH_REWRITES * w->most;
}

static void begin_anew(struct worth *w)
{
	w->won = w->lost = w->broken = w->most = 0;
	w->held = false;
}

enum worth_verdict worth_judge(struct worth *w, uint64_t now_usec)
{
	if (w->held) {
		if (now_usec < w->until_usec)
			return WORTH_SAME;
		begin_anew(w);
		return WORTH_RELEASE;
	}
	if (!loses(w))
		return WORTH_SAME;
	if (w->n_holds && now_usec > w->until_usec + 2 * worth_hold_usec(w))
		w->n_holds = 0;
	if (w->n_holds <= WORTH_HOLDS_MAX)
		w->n_holds++;
	w->held = true;
	w->until_usec = now_usec + worth_hold_usec(w);
	return WORTH_HOLD;
}

void worth_forget(struct worth *w)
{
	begin_anew(w);
	w->n_holds = 0;
}
