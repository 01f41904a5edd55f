/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "figures.h"

#include <stdio.h>
#include <string.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "client.h"
#include "clock.h"
#include "figures-accounts.h"

#define BYTES(family, text)                                                    \
	static const struct openmetrics_family family = {                      \
		"ksmd_plus_" #family, OPENMETRICS_GAUGE, "bytes", text         \
	}
#define GAUGE(family, text)                                                    \
	static const struct openmetrics_family family = {                      \
		"ksmd_plus_" #family, OPENMETRICS_GAUGE, NULL, text            \
	}

/* clang-format off */
GAUGE(up, "Whether the daemon answers.");
static const struct openmetrics_family build = {
	"ksmd_plus_build", OPENMETRICS_INFO, NULL, "The daemon's version and the engine that computes its checksums.",
};
GAUGE(state, "What the daemon is doing: 1 for its state, 0 for the others.");
BYTES(saved_bytes, "Memory that is free because pages are merged.");
BYTES(zero_bytes, "Part of saved_bytes: pages of zeros.");
BYTES(promised_bytes, "Memory that was found equal and is not merged yet.");
static const struct openmetrics_family cpu_seconds = {
	"ksmd_plus_cpu_seconds", OPENMETRICS_COUNTER, "seconds", "CPU time since the daemon started, of the daemon and of ksmd.",
};
BYTES(memory_bytes, "Resident memory of the daemon.");
BYTES(memory_bound_bytes, "What the daemon promises to stay below.");
GAUGE(warnings, "How many warnings the daemon has.");
GAUGE(warning_active, "Each warning that the daemon has, by its stable name.");
static const struct openmetrics_family target = {
	"ksmd_plus_target", OPENMETRICS_INFO, NULL, "Each target and its mode.",
};
GAUGE(target_processes, "Processes of the target.");
BYTES(target_saved_bytes, "The part of saved_bytes that is the target's.");
BYTES(target_enrolled_bytes, "Memory of the target that ksmd looks at.");
BYTES(target_tracked_bytes, "Memory of the target whose checksums are known.");
BYTES(numa_merged_bytes, "Merged pages by the memory node that they live on.");
static const struct openmetrics_family numa_moved_pages = {
	"ksmd_plus_numa_moved_pages", OPENMETRICS_COUNTER, "pages", "Merged pages that were moved to another memory node.",
};
static const struct openmetrics_family numa_refused_pages = {
	"ksmd_plus_numa_refused_pages", OPENMETRICS_COUNTER, "pages", "Moves that the kernel or a full memory node refused.",
};
static const struct openmetrics_family numa_fairness_ratio = {
	"ksmd_plus_numa_fairness_ratio", OPENMETRICS_GAUGE, "ratio", "The least slowdown of a process by the greatest, a model.",
};
/* clang-format on */

static struct figures_target *find(struct figures_targets *targets,
				   const char *name, const char *mode)
{
	for (size_t i = 0; i < targets->n; i++)
		if (!strcmp(targets->v[i].name, name))
			return &targets->v[i];
	if (vec_push(targets,
		     ((struct figures_target){ .name = name, .mode = mode })))
		return NULL;
	return &targets->v[targets->n - 1];
}

int figures_by_target(const struct client_status *status,
		      const struct client_list *list,
		      struct figures_targets *ret)
{
	struct figures_targets targets = { 0 };
	struct figures_target *t;

	for (size_t i = 0; i < status->n_targets; i++) {
		const struct target_status *s = &status->targets[i];

		t = find(&targets, s->name, s->mode);
		if (!t)
			goto no_memory;
		t->processes += s->processes;
		t->saved_bytes += s->bytes_saved;
	}
	for (size_t i = 0; i < list->n; i++) {
		const struct process_status *p = &list->v[i];

		t = find(&targets, p->target, p->mode);
		if (!t)
			goto no_memory;
		t->enrolled_bytes += p->enrolled_pages * PAGE_BYTES;
		t->tracked_bytes += p->tracked_pages * PAGE_BYTES;
	}
	*ret = targets;
	return 0;
no_memory:
	vec_free(&targets);
	return -ENOMEM;
}

static void put(struct openmetrics *om, const struct openmetrics_family *family,
		uint64_t value)
{
	openmetrics_begin(om, family);
	openmetrics_count(om, NULL, 0, value);
}

static void put_state(struct openmetrics *om, const char *now)
{
	static const char *const states[] = { "starting", "searching",
					      "merging", "resting", "paused" };

	openmetrics_begin(om, &state);
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct openmetrics_label label = { "state", states[i] };

		openmetrics_count(om, &label, 1, !strcmp(states[i], now));
	}
}

static void put_daemon(struct openmetrics *om, const struct client_status *s)
{
	struct openmetrics_label labels[] = { { "version", s->version },
					      { "engine", s->engine } };
	struct openmetrics_label daemon = { "consumer", "daemon" };
	struct openmetrics_label ksmd = { "consumer", "ksmd" };

	openmetrics_begin(om, &build);
	openmetrics_count(om, labels, ARRAY_SIZE(labels), 1);
	put_state(om, s->state);
	put(om, &saved_bytes, s->bytes_saved);
	put(om, &zero_bytes, s->zero_pages * PAGE_BYTES);
	put(om, &promised_bytes, s->promised_pages * PAGE_BYTES);
	openmetrics_begin(om, &cpu_seconds);
	openmetrics_ratio(om, &daemon, 1, s->daemon_cpu_usec, USEC_PER_SEC);
	openmetrics_ratio(om, &ksmd, 1, s->ksmd_cpu_usec, USEC_PER_SEC);
	put(om, &memory_bytes, s->memory_used);
	put(om, &memory_bound_bytes, s->memory_bound);
}

/* Several warnings may have one name: each knob that a stranger writes. */
static void put_warnings(struct openmetrics *om, const struct client_status *s)
{
	put(om, &warnings, s->n_warnings);
	openmetrics_begin(om, &warning_active);
	for (size_t i = 0; i < s->n_warnings; i++) {
		struct openmetrics_label label = { "warning",
						   s->warnings[i].name };
		bool before = false;

		for (size_t k = 0; k < i; k++)
			before |= !strcmp(s->warnings[k].name, label.value);
		if (!before)
			openmetrics_count(om, &label, 1, 1);
	}
}

static void put_targets(struct openmetrics *om,
			const struct figures_targets *targets)
{
	static const struct {
		const struct openmetrics_family *family;
		size_t offset;
	} columns[] = {
#define C(family, member) { &family, offsetof(struct figures_target, member) }
		C(target_processes, processes),
		C(target_saved_bytes, saved_bytes),
		C(target_enrolled_bytes, enrolled_bytes),
		C(target_tracked_bytes, tracked_bytes),
#undef C
	};

	openmetrics_begin(om, &target);
	for (size_t i = 0; i < targets->n; i++) {
		struct openmetrics_label labels[] = {
			{ "target", targets->v[i].name },
			{ "mode", targets->v[i].mode },
		};

		openmetrics_count(om, labels, ARRAY_SIZE(labels), 1);
	}
	for (size_t c = 0; c < ARRAY_SIZE(columns); c++) {
		openmetrics_begin(om, columns[c].family);
		for (size_t i = 0; i < targets->n; i++) {
			const struct figures_target *t = &targets->v[i];
			struct openmetrics_label label = { "target", t->name };
			uint64_t value;

			memcpy(&value, (const char *)t + columns[c].offset,
			       sizeof(value));
			openmetrics_count(om, &label, 1, value);
		}
	}
}

static void put_numa(struct openmetrics *om, const struct numa_status *numa)
{
	openmetrics_begin(om, &numa_merged_bytes);
	for (size_t i = 0; i < numa->n_nodes; i++) {
		char number[16];
		struct openmetrics_label label = { "node", number };

		snprintf(number, sizeof(number), "%u", numa->nodes[i].node);
		openmetrics_count(om, &label, 1,
				  numa->nodes[i].pages * PAGE_BYTES);
	}
	put(om, &numa_moved_pages, numa->moved);
	put(om, &numa_refused_pages, numa->refused);
	openmetrics_begin(om, &numa_fairness_ratio);
	openmetrics_ratio(om, NULL, 0, numa->fairness_permyriad, 10000);
}

int figures_print(struct openmetrics *om, const struct client_status *status,
		  const struct client_list *list,
		  const struct figures_accounts *accounts)
{
	struct figures_targets targets = { 0 };

	if (status && figures_by_target(status, list, &targets))
		return -ENOMEM;
	put(om, &up, status != NULL);
	if (status) {
		put_daemon(om, status);
		put_warnings(om, status);
		put_targets(om, &targets);
		figures_accounts_print(om, accounts);
		if (status->numa.policy && *status->numa.policy)
			put_numa(om, &status->numa);
	}
	openmetrics_end(om);
	vec_free(&targets);
	return 0;
}
