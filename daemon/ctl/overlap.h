/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overlap - merged frames that processes of several domains map
 *
 * Domains limit whose duplicates are looked for; KSM's pool is one, and merges
 * across them what is registered on both sides and equal. How much that is now,
 * the frame numbers in pagemap tell. No page is read, and nobody is looked into
 * whom the rules leave alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct config;
struct kfeat;
struct root;

struct overlap {
	bool known; /* it could be counted; else all is 0 */
	bool exact; /* else what a fork shares may be among them */
	uint64_t frames;
	uint64_t processes; /* that map merged pages, of all domains */
};

/* Whether a target of @config names a domain: else there is but one. */
bool overlap_is_possible(const struct config *config);

/* Takes about 25 ns for each page that is registered with KSM, and needs root.
 * 0 or negative errno, then *ret is untouched. */
int overlap_count(const struct root *root, const struct kfeat *kfeat,
		  const struct config *config, struct overlap *ret);
