/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pieces.h"

#include <unistd.h>

#include "cleanup.h"
#include "kernel-api.h"

/*
 * More to un-mark than some stops can do is not looked at beforehand: by then
 * the pages may be others.
 */
#define UNMARK_MAX_PAGES (4 * PIECES_MAX_PAGES)
#define UNMARK_MAX_BYTES (4 * PIECES_MAX_BYTES)

static bool may_be_merged(uint64_t entry)
{
	return entry & KAPI_PM_PRESENT && !(entry & KAPI_PM_FILE) &&
	       !(entry & KAPI_PM_EXCLUSIVE);
}

/* Where a piece that starts at @start has to end, and its weight. */
static uint64_t cut_at(int pagemap, uint64_t start, uint64_t end,
		       uint32_t *ret_pages)
{
	uint64_t entries[512], at = start;
	uint32_t n_pages = 0;

	end = MIN(end, start + PIECES_MAX_BYTES);
	while (at < end) {
		size_t want = MIN((end - at) / PAGE_BYTES,
				  (uint64_t)ARRAY_SIZE(entries));
		ssize_t n = pread(pagemap, entries, want * sizeof(entries[0]),
				  (off_t)(at / PAGE_BYTES * sizeof(uint64_t)));

		if (n < (ssize_t)sizeof(entries[0]))
			break;
		for (size_t i = 0; i < (size_t)n / sizeof(entries[0]); i++) {
			if (n_pages == PIECES_MAX_PAGES)
				goto full;
			n_pages += may_be_merged(entries[i]);
			at += PAGE_BYTES;
		}
	}
	/* Not readable: take every page for a merged one. */
	while (at < end && n_pages < PIECES_MAX_PAGES) {
		n_pages++;
		at += PAGE_BYTES;
	}
full:
	*ret_pages = n_pages;
	return at;
}

void pieces_cut(const struct inject_request *request,
		const struct pieces_cursor *cursor, int pagemap,
		struct pieces *ret)
{
	bool unmark = request->op == INJECT_UNMERGEABLE;
	uint64_t next = cursor->next, n_pages = 0, n_bytes = 0;

	ret->n = 0;
	for (uint32_t i = cursor->n_done; i < request->n_ranges;) {
		const struct range *range = &request->ranges[i];
		struct piece *piece = &ret->v[ret->n++];

		*piece = (struct piece){ .range = *range };
		if (next)
			piece->range.start = next;
		if (unmark)
			piece->range.end = cut_at(pagemap, piece->range.start,
						  range->end, &piece->n_pages);
		piece->ends_range = piece->range.end == range->end;
		next = piece->ends_range ? 0 : piece->range.end;
		i += piece->ends_range;
		n_pages += piece->n_pages;
		n_bytes += piece->range.end - piece->range.start;
		if (ret->n == ARRAY_SIZE(ret->v) ||
		    n_pages >= UNMARK_MAX_PAGES ||
		    (unmark && n_bytes >= UNMARK_MAX_BYTES))
			return;
	}
}

void pieces_advance(const struct pieces *pieces, size_t n_done,
		    struct pieces_cursor *cursor)
{
	for (size_t i = 0; i < n_done; i++) {
		const struct piece *piece = &pieces->v[i];

		cursor->n_done += piece->ends_range;
		cursor->next = piece->ends_range ? 0 : piece->range.end;
	}
}
