/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ending - takes the marks back and has ksmd sweep up, then ends the loop
 *
 * A last walk comes first, and one more whenever nobody is left: who was forked
 * meanwhile has inherited marks.
 *
 * Several processes at a time, as long as there is memory for the copies of
 * all of them: one alone gets 100 MB of copies a second, because it is held for
 * a tenth of the time only. Then ksmd makes two scans, which free what it kept
 * for withdrawn and dead processes: with run=0, as it may have been before us,
 * it never would (facts 1.10).
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "withdraw.h"

struct ending;
struct pulser;
struct watch;
struct watched;

struct ending_env {
	sd_event *event;
	struct watch *watch;
	struct pulser *pulser;
	struct withdraw_env withdraw;
	uint64_t registered; /* pages that ksmd has to look at */
};

/* sd_event_exit(0) follows, after ENDING_USEC at the latest. */
int ending_begin(const struct ending_env *env, struct ending **ret);

/* One more process that a walk has found: not on the list, with marks. */
void ending_add(struct ending *ending, struct watched *stray);

/* Nothing is begun any more; answers may still come until it is freed. */
void ending_close(struct ending *ending);
struct ending *ending_free(struct ending *ending);

/*
 * Enough for 12 GiB of one process. Less than systemd waits, by TimeoutStopSec=
 * of the unit: who is killed cannot put the knobs back himself.
 */
#define ENDING_USEC 120000000ULL
