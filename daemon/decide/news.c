/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "news.h"

#include <stdbool.h>

#include "cleanup.h"

static bool is_worth(uint64_t told, uint64_t now, uint64_t usec)
{
	uint64_t by = told > now ? told - now : now - told;

	return by && (usec >= NEWS_LATE_USEC || !now || !told ||
		      by >= MAX((uint64_t)NEWS_PAGES, told / NEWS_SHARE));
}

unsigned int news_since(const struct news *told, const struct news *now,
			uint64_t usec)
{
	unsigned int news = 0;

	if (told->state != now->state)
		news |= NEWS_STATE;
	if (told->warnings != now->warnings)
		news |= NEWS_WARNINGS;
	if (told->targets != now->targets ||
	    is_worth(told->saved, now->saved, usec) ||
	    is_worth(told->zero, now->zero, usec))
		news |= NEWS_SAVED;
	if (is_worth(told->promised, now->promised, usec))
		news |= NEWS_PROMISED;
	if (!news)
		return 0;
	/* those who listen are woken anyway */
	if (told->saved != now->saved || told->zero != now->zero)
		news |= NEWS_SAVED;
	if (told->promised != now->promised)
		news |= NEWS_PROMISED;
	return news;
}
