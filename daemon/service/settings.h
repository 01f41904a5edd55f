/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settings - the configuration, handed to the parts in their own terms
 */
#pragma once

#include "config.h"
#include "kfeat.h"
#include "merge.h"
#include "pulser.h"

struct manager_options;

/*
 * Load what @options name. Faults are logged.
 * Return: their number, or negative errno with *ret untouched.
 */
int settings_read(const struct manager_options *options,
		  const struct kfeat *kfeat, struct config *ret);

/*
 * A reload: the same into *@config, which stays as it is where there is any
 * fault. What cannot be changed while we run stays in any case.
 * Return: 0, or what settings_read() returns.
 */
int settings_reload(const struct manager_options *options,
		    const struct kfeat *kfeat, struct config *config);

/* How many threads read and compute. */
unsigned int settings_threads(const struct config *config,
			      const struct kfeat *kfeat);

struct merge_limits settings_merge(const struct config *config,
				   const struct kfeat *kfeat,
				   const struct root *root);
struct pulser_settings settings_pulser(const struct config *config);
