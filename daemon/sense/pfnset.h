/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pfnset - frames that were seen a moment ago, and their checksums
 *
 * A page that is mapped several times (fork, KSM) needs to be read only once.
 * The set is bounded and lossy: a frame that finds no room is simply read
 * again, and equal frames never pass the settle stage as duplicates anyway.
 * All functions but pfnset_clear() may be called by several threads at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pfnset;

/* Room for @slots frames, a power of two; 16 bytes each once it is used. */
int pfnset_new(size_t slots, struct pfnset **ret);
struct pfnset *pfnset_free(struct pfnset *set);

/* Forget all and give the memory back; nobody else may use @set meanwhile. */
void pfnset_clear(struct pfnset *set);

/* Whether @pfn is known; *ret_crc is its checksum. */
bool pfnset_get(const struct pfnset *set, uint64_t pfn, uint32_t *ret_crc);

/* Remember @pfn. A full neighbourhood drops it. */
void pfnset_put(struct pfnset *set, uint64_t pfn, uint32_t crc);
