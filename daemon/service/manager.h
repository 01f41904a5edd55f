/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * manager - wires the parts together; decides nothing itself
 *
 * Owns everything from the first walk of /proc to the last knob restored.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "config.h"
#include "files.h"
#include "kfeat.h"

struct manager;

struct manager_options {
	const char *config_path;
	bool config_must_exist;
	const char *runtime_dir;
	const char *injector; /* path of ksmd-plus-injector */
	bool dry_run;
};

/*
 * Read the configuration, put back what an earlier daemon left behind, start
 * all parts. What is wrong has been logged when this fails.
 * Return: 0 or negative errno.
 */
int manager_new(sd_event *event, const struct root *root,
		const struct kfeat *kfeat,
		const struct manager_options *options, struct manager **ret);
struct manager *manager_free(struct manager *manager);

/* Read the configuration again; a file that cannot be read changes nothing. */
void manager_reload(struct manager *manager);

/*
 * Withdraw, restore every knob, then end the loop with sd_event_exit(0).
 * A second call skips the withdrawing.
 */
void manager_stop(struct manager *manager);
