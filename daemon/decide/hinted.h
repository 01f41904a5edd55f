/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hinted - which pages to look at because a read has just filled them
 *
 * Hints go in, regions with pages come out, a while later: only whole pages,
 * each once however often it was hinted, and not before it was left alone for
 * a turn. What is filled again and again is a buffer through which data pass;
 * it comes out when that ends.
 *
 * Two pages that were filled from the same place of the same file are
 * expected to be equal. The second reader brings the first one's page along,
 * and both come out as a pair, which needs no other evidence to be settled.
 *
 * Small and lossy: what finds no room displaces what was hinted first, and
 * that is counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ksmd-plus/hints.h>

#include "pagemask.h"

struct hinted;

/* A region that may be looked at now. */
struct hinted_region {
	uint64_t base;
	uint32_t owner; /* hint.number */
	uint32_t tries; /* how often it was put back */
	struct pagemask pages;
	struct pagemask paired; /* of these, those with a twin by identity */
};

struct hinted_counters {
	uint64_t hints;
	uint64_t pages; /* that came out */
	uint64_t pairs; /* found by identity */
	uint64_t displaced; /* regions that found no room */
};

/* 0 or -ENOMEM. */
int hinted_new(struct hinted **ret);
struct hinted *hinted_free(struct hinted *hinted);

void hinted_add(struct hinted *hinted, const struct hint *hint);

/* A turn has passed: what was not hinted during it is due. */
void hinted_turn(struct hinted *hinted);

/* Take a region with pages that are due. False if there is none. */
bool hinted_take(struct hinted *hinted, struct hinted_region *ret);

/* @region cannot be looked at yet: let it wait another turn. */
void hinted_put_back(struct hinted *hinted, const struct hinted_region *region);

/* Forget @owner. */
void hinted_forget(struct hinted *hinted, uint32_t owner);

/* Nothing waits. */
bool hinted_is_empty(const struct hinted *hinted);

void hinted_counters(const struct hinted *hinted, struct hinted_counters *ret);
