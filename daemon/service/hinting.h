/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hinting - memory that was just filled from files is looked at first
 *
 * Joins the hooks (sense/hints), what is made of their hints (decide/hinted),
 * and the looks: each turn the hints are taken, and pages that were left alone
 * since the last one are looked at beside the rounds. What has a twin is
 * settled at once. Looks at hints take at most half of the daemon's share of
 * a CPU, so that rounds always have the other half.
 *
 * The hooks are there while somebody is watched whose memory may be merged,
 * and only then: nobody else is to pay for them.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "config.h"

struct budget;
struct hinting;
struct merge;
struct pool;
struct reader;
struct root;
struct scan;
struct track;
struct watch;
struct watched;

struct hinting_env {
	sd_event *event;
	const struct root *root;
	struct pool *pool;
	struct reader *reader;
	struct track *track;
	struct watch *watch;
	struct scan *scan; /* paused: hints are not looked at, either */
	struct merge *merge;
	const struct config *config; /* a reload: hinting_reload() */
	const struct budget *budget;
};

int hinting_new(const struct hinting_env *env, struct hinting **ret);
struct hinting *hinting_free(struct hinting *hinting);

/* The configuration may have changed. */
void hinting_reload(struct hinting *hinting);

/* Nothing is done for hints any more. */
void hinting_stop(struct hinting *hinting);

/* A process has come, or is going; NULL in @hinting is allowed. */
void hinting_found(struct hinting *hinting, const struct watched *watched);
void hinting_lost(struct hinting *hinting, const struct watched *watched);

/* The hook in use, and why no better one is: "tracepoint (fentry: ...)". */
const char *hinting_text(const struct hinting *hinting);
