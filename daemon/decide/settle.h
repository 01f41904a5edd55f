/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settle - which candidates really are equal
 *
 * Candidates are read a second time, a little later, with a strong hash. What
 * has changed and what merely collided falls out; so do pages that are equal
 * because they are one frame (fork). What stays is grouped, and after it was
 * decided which pages are enrolled, says how much a pulse must bring.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "index.h"
#include "vec.h"

struct settle_item {
	uint64_t hash; /* strong; meaningless for a page of zeros */
	uint64_t pfn;
	struct page_ref ref;
	uint32_t domain;
	uint32_t owner;
	bool zero; /* all bytes are zero */
	bool merged; /* on a KSM page already */
	bool confirmed; /* out: settle_group() */
	bool alone; /* out: no other item has its content */
	bool covered; /* in: settle_promise(): in a mergeable mapping now */
};

struct settle VEC(struct settle_item);

/*
 * Sort @settle into groups and set .confirmed: a page of zeros always is;
 * other pages are where at least two frames have their content.
 * Return: the number of confirmed items.
 */
uint64_t settle_group(struct settle *settle);

/*
 * How many pages a pulse will save once every .covered page of the grouped
 * @settle has been looked at: what pages_sharing + ksm_zero_pages grow by.
 * @max_sharing: KSM opens a further copy per that many (max_page_sharing).
 */
uint64_t settle_promise(const struct settle *settle, uint64_t max_sharing);
