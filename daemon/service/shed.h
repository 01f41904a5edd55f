/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shed - what is forgotten when memory_limit is reached
 *
 * A process that came within the last SHED_NEW_USEC may displace what is known
 * of others: of regions that have neither changed nor held a duplicate for
 * long, the longest at rest first. What was displaced comes back only when
 * there is room, so that processes do not take turns for ever.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SHED_NEW_USEC 300000000ULL

struct track;
struct watched;

/*
 * Make room for up to @wanted regions if there is none, at the cost of the @n
 * processes of @list (NULLs are passed over). How many were forgotten.
 */
uint64_t shed(struct watched *const *list, size_t n, struct track *track,
	      uint64_t wanted);
