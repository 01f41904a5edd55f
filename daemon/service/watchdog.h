/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watchdog - tells systemd that all is well only while all gets on
 *
 * Where systemd has set a watchdog ($WATCHDOG_USEC), it is told WATCHDOG=1
 * four times in that time, as long as every worker ends its jobs, the search
 * makes its rounds, ksmd's pulses end and the injector answers. One that
 * stands still is named in the journal, and the telling stops until it gets
 * on; if it does not, systemd ends the daemon and starts it again.
 */
#pragma once

#include <systemd/sd-event.h>

struct enrol;
struct merge;
struct pool;
struct pulser;
struct root;
struct scan;
struct watchdog;

struct watchdog_env {
	sd_event *event;
	const struct root *root;
	struct pool *pool;
	struct scan *scan;
	struct merge *merge;
	struct pulser *pulser;
	struct enrol *enrol;
};

/* 0 or negative errno. Without $WATCHDOG_USEC: 0, and nothing is done. */
int watchdog_new(const struct watchdog_env *env, struct watchdog **ret);
struct watchdog *watchdog_free(struct watchdog *watchdog);
