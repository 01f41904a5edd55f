/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * choose - whose memory is meant, and whose is never looked at
 *
 * The daemon's rules decide (rules.h): its built-in excludes and the targets of
 * the configuration with mode exclude hold here as well, whoever asks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ksmd-plus/types.h>

#include "config.h"
#include "files.h"
#include "vec.h"

/* What was asked for; several are an "or". Strings are the caller's. */
struct choice {
	bool all;
	/* Also look for mergeable mappings in smaps; see process_facts_read(). */
	bool smaps;
	struct VEC(pid_t) pids;
	struct VEC(const char *) units; /* globs, as in the configuration */
	struct VEC(const char *) cgroups;
	struct VEC(const char *) targets; /* names of [target] sections */
};

struct chosen {
	struct process_id id;
	char comm[64]; /* fit for a terminal */
	uint32_t domain;
	bool named; /* by its pid */
	char why_not[96]; /* the rule that excludes it; "" */
	enum mode mode;
	enum reason reason; /* why not everything is merged, if so */
	const struct rule_target *target; /* of the configuration, or NULL */
};

struct chosen_vec VEC(struct chosen);

/*
 * Append the processes that are meant to @ret, by pid; those that are excluded
 * with the reason. A pid without a process is a sentence on stderr.
 *
 * Return: the number of pids without a process, or negative errno.
 */
int choose(const struct root *root, const struct config *config,
	   const struct choice *choice, struct chosen_vec *ret);

void choice_clear(struct choice *choice);
