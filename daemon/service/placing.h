/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * placing - rounds that bring merged pages to the memory nodes of their users
 *
 * A round is one job that looks at homes, finds who maps what and plans
 * (mappers), then one job for each batch of moves. Both are paid from a budget
 * of their own, a twentieth of the daemon's. Rounds follow one another at
 * least `[numa] rest` apart, so no page is moved twice within that time,
 * and ever more rarely while there is nothing to move.
 *
 * With one memory node there is nothing here: no timer, no memory, no round.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include <ksmd-plus/status.h>

#include "config.h"
#include "files.h"

struct kfeat;
struct placing;
struct pool;
struct watch;

struct placing_env {
	sd_event *event;
	const struct root *root;
	const struct kfeat *kfeat;
	const struct config *config;
	struct pool *pool;
	struct watch *watch;
	/* Not while pages are being merged. */
	bool (*may_begin)(void *userdata);
	void *userdata;
};

/*
 * *ret is NULL where there is one node, or frames and nodes cannot be told
 * apart; all functions accept that. 0 or negative errno.
 */
int placing_new(const struct placing_env *env, struct placing **ret);
struct placing *placing_free(struct placing *placing);

/* Pages were merged, or settings changed: a round is due as soon as it may be. */
void placing_soon(struct placing *placing);

/* Begin no round and no batch; and go on. */
void placing_pause(struct placing *placing, bool pause);

/* What of the memory bound is for this. */
uint64_t placing_memory(const struct placing *placing);

/* The strings and arrays live until the next round. */
void placing_status(struct placing *placing, struct numa_status *ret);
