/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pieces - the ranges of a request, cut so that one call is short
 *
 * Marking a range mergeable costs the same whatever its length. Un-marking
 * copies each merged page in it: such ranges are cut so that no piece can
 * have more than PIECES_MAX_PAGES of them, counted in pagemap beforehand,
 * where a merged page is one that is present and not mapped exclusively.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ksmd-plus/inject.h>
#include <ksmd-plus/types.h>

/* 3 us each, measured: about what one stop may last. */
#define PIECES_MAX_PAGES 128

/* No piece to un-mark is longer, so that looking at pagemap stays short. */
#define PIECES_MAX_BYTES (64ULL << 20)

struct piece {
	struct range range;
	uint32_t n_pages; /* to be copied, at most */
	bool ends_range; /* the range of the request is done with it */
};

struct pieces {
	struct piece v[INJECT_MAX_RANGES];
	size_t n;
};

/* How far a request has come: ranges done, and up to where in the next. */
struct pieces_cursor {
	uint32_t n_done;
	uint64_t next; /* 0: at its start */
};

/*
 * Fill @ret with what follows @cursor, as much as fits. @pagemap, of the
 * process, may be -1: then pieces are as short as if all pages were merged.
 */
void pieces_cut(const struct inject_request *request,
		const struct pieces_cursor *cursor, int pagemap,
		struct pieces *ret);

/* Move @cursor over the first @n_done of @pieces. */
void pieces_advance(const struct pieces *pieces, size_t n_done,
		    struct pieces_cursor *cursor);
