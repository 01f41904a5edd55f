/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * adapt - the limits follow what the machine suffers from
 *
 * Once a second: how much memory is left and how fast it dwindles, and how
 * much of the time tasks wait for memory or a CPU. Short memory opens the
 * budgets of daemon and ksmd, short CPUs close the daemon's.
 */
#pragma once

#include <systemd/sd-event.h>

#include "pressure.h"

struct adapt;
struct budget;
struct config;
struct pulser;
struct root;

struct adapt_env {
	sd_event *event;
	const struct root *root;
	const struct config *config; /* what the limits are otherwise */
	struct budget *budget;
	struct pulser *pulser;
};

int adapt_new(const struct adapt_env *env, struct adapt **ret);
struct adapt *adapt_free(struct adapt *adapt);

/* The configuration has changed. */
void adapt_apply(struct adapt *adapt);

enum pressure_state adapt_state(const struct adapt *adapt);
