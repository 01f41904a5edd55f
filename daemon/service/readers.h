/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * readers - whether those who are watched read files
 *
 * By their accounts (/proc/PID/io), some in each look, all in turn: what a
 * look costs does not grow with their number. Without these accounts in the
 * kernel everybody seems to read, so that hints are not lost.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct watched;

struct readers {
	uint32_t epoch; /* of what is known of each; see watched.io_epoch */
	uint32_t next; /* in the list of the watched */
};

/* Nothing is known of anybody: the next look at each only takes notes. */
void readers_forget(struct readers *readers);

/* The most bytes that one of some has read since the last look at it; @list
 * of @n processes may have holes. */
uint64_t readers_look(struct readers *readers, struct watched *const *list,
		      size_t n);
