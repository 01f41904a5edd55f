/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frameset.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

/* A piece is 32 KiB and stands for 1 GiB; all of them for 1 PiB. */
#define PIECE_BITS  18
#define PIECE_WORDS ((1U << PIECE_BITS) / 64)
#define N_PIECES    (1U << 20)

struct piece {
	_Atomic uint64_t words[PIECE_WORDS];
};

struct frameset {
	_Atomic(struct piece *) pieces[N_PIECES];
};

int frameset_new(struct frameset **ret)
{
	struct frameset *set = calloc(1, sizeof(*set));

	if (!set)
		return -ENOMEM;
	*ret = set;
	return 0;
}

struct frameset *frameset_free(struct frameset *set)
{
	for (size_t i = 0; set && i < N_PIECES; i++)
		free(set->pieces[i]);
	free(set);
	return NULL;
}

/* The piece of that number, made by whoever is first to need it. */
static struct piece *piece_get(struct frameset *set, uint64_t number)
{
	struct piece *piece, *made;

	if (number >= N_PIECES)
		return NULL;
	piece = atomic_load(&set->pieces[number]);
	if (piece)
		return piece;
	made = calloc(1, sizeof(*made));
	if (!made)
		return NULL;
	if (atomic_compare_exchange_strong(&set->pieces[number], &piece, made))
		return made;
	free(made);
	return piece;
}

bool frameset_first(struct frameset *set, uint64_t pfn)
{
	struct piece *piece = piece_get(set, pfn >> PIECE_BITS);
	uint64_t in_piece = pfn & ((1U << PIECE_BITS) - 1);
	uint64_t bit = 1ULL << (in_piece % 64);

	return piece &&
	       !(atomic_fetch_or(&piece->words[in_piece / 64], bit) & bit);
}
