/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shed - what is forgotten when memory_limit is reached
 *
 * A process that came within the last SHED_NEW_USEC may displace what is known
 * of those that were there before it: of regions that have neither changed nor
 * held a duplicate for long, the longest at rest first. What was displaced
 * comes back only when there is room, and nothing of those that came later or
 * of its own is displaced, so that no two take turns: equal pages would hardly
 * ever be known at the same time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SHED_NEW_USEC 300000000ULL

struct track;
struct watched;

/*
 * Make room for up to @wanted regions of @by if there is none, at the cost of
 * the @n processes of @list (NULLs are passed over) that were found before it.
 * How many were forgotten.
 */
uint64_t shed(struct watched *const *list, size_t n, struct track *track,
	      const struct watched *by, uint64_t wanted);
