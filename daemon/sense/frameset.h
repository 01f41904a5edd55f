/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frameset - page frames that were met before, exactly
 *
 * One bit per frame, in pieces that are there once a frame of theirs is: at
 * most 1/32768 of the machine's memory. Where pfnset forgets, and so reads
 * some pages twice, this does not: who counts frames must not count one twice.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct frameset;

int frameset_new(struct frameset **ret);
struct frameset *frameset_free(struct frameset *set);

/*
 * Whether @pfn is met for the first time; any thread. Of a frame that there is
 * no memory to remember it is false: nothing is counted twice.
 */
bool frameset_first(struct frameset *set, uint64_t pfn);
