/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hints - what the BPF programs and the daemon share
 *
 * Two maps, both arrays that the daemon maps into its memory, so that neither
 * side makes a system call for a hint:
 *
 * The table says which processes are watched: open addressing from the slot
 * of the tgid on, at most HINT_PROBES slots. The daemon writes it.
 *
 * The ring takes the hints. A program takes the next place from .head and
 * overwrites whatever is there; .seq says which hint a slot holds, and is 0
 * while it is written. The daemon follows, and sees by .head how many it has
 * missed: nobody ever waits for it.
 */
#pragma once

#include <stdint.h>

#define HINT_SLOTS  8192U
#define HINT_PROBES 8U
/* A slot that was given back; search on behind it. No tgid is that large. */
#define HINT_TOMB 0xffffffffU

struct hint_watched {
	uint32_t tgid; /* 0: free, and so is what is behind */
	uint32_t number; /* the daemon's, for that process */
};

struct hint_table {
	uint64_t head; /* hints that were ever written */
	uint64_t mask; /* slots of the ring, a power of two, minus 1 */
	struct hint_watched slots[HINT_SLOTS];
};

/* A read of a file into the memory of a watched process; whole pages. */
struct hint {
	uint64_t seq; /* its place in the stream, plus 1 */
	uint64_t address;
	uint64_t offset; /* in the file, of the byte at .address */
	uint64_t inode;
	uint32_t bytes;
	uint32_t device; /* as the kernel has it, of the file system */
	uint32_t tgid;
	uint32_t number; /* of struct hint_watched */
};

_Static_assert(sizeof(struct hint_watched) == 8, "one layout");
_Static_assert(sizeof(struct hint_table) == 16 + 8 * HINT_SLOTS, "one layout");
_Static_assert(sizeof(struct hint) == 48, "one layout");
