/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rules - who is touched, and how (design section 6)
 *
 * Nobody who is not named. A verdict is found in this order:
 *   1. what may never be touched: PID 1, kernel threads, ourselves, the
 *      built-in list of secret keepers, processes that are not dumpable;
 *   2. the first [target] in file order whose given keys all match; a key
 *      given several times matches when one of its globs does;
 *      ... but for a process that was handed to the daemon only if it
 *      excludes;
 *   3. such a process: MODE_SELECTIVE, as target "run";
 *   4. a process that registered memory itself (MADV_MERGEABLE,
 *      PR_SET_MEMORY_MERGE): MODE_MANAGED;
 *   5. nothing: MODE_EXCLUDE with the rule "not named".
 *
 * Pure: values in, values out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ksmd-plus/reasons.h>
#include <ksmd-plus/types.h>

enum rule_key {
	RULE_UNIT, /* systemd unit, "web-1.service" */
	RULE_CGROUP, /* path below the cgroup mount, "/system.slice/...";
			a glob that matches a cgroup matches those below it */
	RULE_EXE, /* target of /proc/PID/exe, without " (deleted)" */
	RULE_COMM, /* /proc/PID/comm */
	RULE_USER, /* name, or the uid in decimal if it has none */
	RULE_KEY_MAX_,
};

/* A list of fnmatch(3) globs; empty matches everything. Strings are owned. */
struct rule_globs {
	char **v;
	size_t n;
};

struct rule_target {
	char *name; /* from "[target NAME]"; owned */
	enum mode mode;
	char *domain; /* owned; "" is the common domain */
	struct rule_globs keys[RULE_KEY_MAX_];
	unsigned int line; /* of the section, for messages */
	char *file; /* where it was read, for messages; owned */
};

struct rules {
	struct rule_target *targets;
	size_t n_targets;
};

/* What rules look at; NULL strings never match a glob, not even "*". */
struct rule_subject {
	pid_t pid;
	bool kernel_thread;
	bool ourselves; /* the daemon, its injector, the ctl */
	bool not_dumpable;
	bool self_registered;
	bool adopted; /* handed to the daemon by `ksmd-plusctl run` */
	const char *keys[RULE_KEY_MAX_];
};

struct rule_verdict {
	enum mode mode;
	const struct rule_target *target; /* NULL: no target matched */
	const char *rule; /* static text or the target's name: why */
	enum reason reason; /* why not everything is merged, if so */
};

/* The verdict for @subject; cannot fail. */
struct rule_verdict rules_judge(const struct rules *rules,
				const struct rule_subject *subject);

/* A number for the domain of @target; 0 where it names none, or is NULL. */
uint32_t rules_domain(const struct rule_target *target);

/* Free what @target owns and leave it all zero. */
void rule_target_clear(struct rule_target *target);

/* Free what @rules owns and leave it empty. */
void rules_clear(struct rules *rules);

/* "selective" and so on; never NULL for a valid mode. */
const char *mode_name(enum mode mode);

/* MODE_* of @name, or MODE_MAX_ if there is none of that name. */
enum mode mode_from_name(const char *name);
