/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * figures - what the daemon told, as metrics and by target
 *
 * Names of metrics are a promise: they may be added to, never renamed. Labels
 * are bounded: one set for each target, warning and memory node, as many for
 * units and guests as there are accounts, none for a process.
 */
#pragma once

#include <stdint.h>

#include "openmetrics.h"
#include "vec.h"

struct client_list;
struct client_status;
struct figures_accounts;

/* A target, with the sum of its processes. Strings are the status's or the
 * list's. */
struct figures_target {
	const char *name;
	const char *mode;
	uint64_t processes;
	uint64_t saved_bytes;
	uint64_t enrolled_bytes;
	uint64_t tracked_bytes;
};

struct figures_targets VEC(struct figures_target);

/*
 * Each name once, in the order of @status. Free with vec_free().
 * Return: 0 or -ENOMEM.
 */
int figures_by_target(const struct client_status *status,
		      const struct client_list *list,
		      struct figures_targets *ret);

/* All metrics; @status and @list are NULL where no daemon answers. */
int figures_print(struct openmetrics *om, const struct client_status *status,
		  const struct client_list *list,
		  const struct figures_accounts *accounts);
