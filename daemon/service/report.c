/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounting.h"
#include "adapt.h"
#include "asking.h"
#include "checksums.h"
#include "cleanup.h"
#include "clock.h"
#include "enrol.h"
#include "explaining.h"
#include "hinting.h"
#include "holding.h"
#include "knobs.h"
#include "ksm.h"
#include "mapping.h"
#include "memstat.h"
#include "merge.h"
#include "placing.h"
#include "process.h"
#include "pulser.h"
#include "scan.h"
#include "track.h"
#include "units.h"
#include "watch.h"

/*
 * Beside the index: the set of frames (16 MiB), one settle pass (12 MiB and
 * its sorting), a region buffer and some jobs per thread, smaps texts,
 * hints (4 MiB at most), and while their hooks are loaded the kernel's BTF.
 */
#define MEMORY_WORKING (96ULL << 20)

struct target_rows VEC(struct target_status);
struct process_rows VEC(struct process_status);
struct warning_rows VEC(struct warning);

struct report {
	struct report_env env;
	uint64_t ksmd_start_nsec;
	struct target_rows targets;
	struct process_rows processes;
	struct warning_rows warnings;
	struct reason_status reasons[EXPLAINING_MAX];
};

int report_new(const struct report_env *env, struct report **ret)
{
	struct report *report = calloc(1, sizeof(*report));

	if (!report)
		return -ENOMEM;
	report->env = *env;
	if (env->ksmd)
		process_cpu_nsec(env->root, env->ksmd,
				 &report->ksmd_start_nsec);
	*ret = report;
	return 0;
}

struct report *report_free(struct report *report)
{
	if (!report)
		return NULL;
	vec_free(&report->targets);
	vec_free(&report->processes);
	vec_free(&report->warnings);
	free(report);
	return NULL;
}

uint64_t report_cpu_usec(const struct report *report)
{
	struct enrol_counters c;

	enrol_counters(report->env.enrol, &c);
	return clock_usec(CLOCK_PROCESS_CPUTIME_ID) + c.cpu_usec;
}

uint64_t report_memory_bound(const struct report *report)
{
	return report->env.config->memory_limit + MEMORY_WORKING +
	       placing_memory(report->env.placing);
}

/* A process's part of what KSM saves. */
static uint64_t saved_by(const struct report *report, const struct watched *w,
			 const struct ksm_counters *c)
{
	struct process_ksm ksm;

	return asking_ksm_of(report->env.asking, &w->process, &ksm)
		       ? 0
		       : accounting_saved(&ksm, c);
}

/* --- warnings --------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void warn(struct report *report,
						       const char *name,
						       const char *fmt, ...)
{
	struct warning w = { 0 };
	va_list ap;

	snprintf(w.name, sizeof(w.name), "%s", name);
	va_start(ap, fmt);
	vsnprintf(w.sentence, sizeof(w.sentence), fmt, ap);
	va_end(ap);
	if (vec_push(&report->warnings, w))
		return; /* without memory a warning is the least loss */
}

static void warn_counters(struct report *report, int error)
{
	if (error)
		warn(report, "no-counters",
		     "KSM's counters cannot be read (errno %d), so what is saved is not known",
		     -error);
}

static void warn_knobs(struct report *report)
{
	for (int k = 0; k < KNOB_MAX_; k++)
		if (knobs_is_foreign(report->env.knobs, (enum knob)k))
			warn(report, "knob-foreign",
			     "%s is written by somebody else and left to them; stop the other KSM manager and restart ksmd-plus",
			     knob_name((enum knob)k));
}

static void warn_ksmd(struct report *report)
{
	if (pulser_is_stuck(report->env.pulser))
		warn(report, "ksmd-stuck", PULSER_STUCK);
}

static void warn_kernel(struct report *report)
{
	const struct kfeat *k = report->env.kfeat;
	const char *why;

	if (k->manager)
		warn(report, "manager",
		     "%s (pid %d) also steers KSM; stop one of the two",
		     k->manager, k->manager_pid);
	if (!enrol_is_able(report->env.enrol, &why))
		warn(report, "no-injector",
		     "the injector cannot run (%s): only memory that processes registered themselves is merged",
		     why);
	else if (!k->ptrace && !report->env.dry_run)
		warn(report, "no-ptrace",
		     "ptrace is refused here (yama.ptrace_scope is %d): only memory that processes registered themselves is merged",
		     k->yama);
	if (!k->pagemap_pfn)
		warn(report, "no-pfn",
		     "the kernel hides frame numbers: CAP_SYS_ADMIN is missing");
	if (adapt_state(report->env.adapt) == PRESSURE_MEMORY)
		warn(report, "memory-short",
		     "memory is short: the search takes up to a whole CPU until that is over");
	if (!checksums_is_as_wished(report->env.checksums, &why))
		warn(report, "engine",
		     "engine = dsa, but %s: the CPU computes the checksums; see ksmd-plusctl doctor",
		     why);
}

static void warn_held(struct report *report)
{
	uint64_t n = holding_count(report->env.watch);

	if (n)
		warn(report, "keeps-breaking",
		     "%" PRIu64
		     " processes write again what is merged, so nothing new of them is enrolled for a while; ksmd-plusctl list shows them as held",
		     n);
}

static void warn_memory(struct report *report)
{
	struct track_counters c;
	struct watched *const *list;
	uint64_t sparse = 0;
	size_t n;

	track_counters(report->env.track, &c);
	if (c.regions_lost || c.entries_lost ||
	    mapping_shed(scan_mapping(report->env.scan)))
		warn(report, "memory-limit",
		     "the index is full: %" PRIu64
		     " times a 2 MiB region was left out, %" PRIu64
		     " at rest and %" PRIu64
		     " checksums gave way to newer ones; raise memory_limit",
		     c.regions_lost,
		     mapping_shed(scan_mapping(report->env.scan)),
		     c.entries_lost);
	list = watch_list(report->env.watch, &n);
	for (size_t i = 0; i < n; i++)
		sparse += list[i] ? list[i]->sparse : 0;
	if (sparse)
		warn(report, "sparse",
		     "%" PRIu64
		     " huge, nearly empty mappings are left out: this kernel has no PAGEMAP_SCAN",
		     sparse);
}

/* --- status ----------------------------------------------------------------- */

/* A user's unit is known to that user's systemd. */
static bool is_of_unit(const struct report *report, const struct watched *w)
{
	return w->mode == MODE_MANAGED && !*w->target && w->facts.cgroup &&
	       !strstr(w->facts.cgroup, "/user@") &&
	       units_memory_ksm(report->env.units, w->facts.unit);
}

static const char *target_name(const struct report *report,
			       const struct watched *w)
{
	if (*w->target)
		return w->target;
	return is_of_unit(report, w) ? "MemoryKSM" : "self-registered";
}

static struct target_status *target_row(struct report *report,
					const struct watched *w)
{
	const char *name = target_name(report, w);

	for (size_t i = 0; i < report->targets.n; i++)
		if (!strcmp(report->targets.v[i].name, name))
			return &report->targets.v[i];
	if (vec_push(&report->targets,
		     ((struct target_status){ .name = name,
					      .mode = mode_name(w->mode) })))
		return NULL;
	return &report->targets.v[report->targets.n - 1];
}

static void targets_fill(struct report *report, const struct ksm_counters *c)
{
	const struct rules *rules = &report->env.config->rules;
	struct watched *const *list;
	size_t n;

	report->targets.n = 0;
	for (size_t i = 0; i < rules->n_targets; i++)
		if (vec_push(&report->targets,
			     ((struct target_status){
				     .name = rules->targets[i].name,
				     .mode = mode_name(
					     rules->targets[i].mode) })))
			return;
	list = watch_list(report->env.watch, &n);
	for (size_t i = 0; i < n; i++) {
		struct target_status *t = list[i] ? target_row(report, list[i])
						  : NULL;

		if (!t)
			continue;
		t->processes++;
		t->bytes_saved += saved_by(report, list[i], c) * PAGE_BYTES;
	}
}

static void merging_fill(const struct report *report, struct daemon_status *s)
{
	switch (merge_stage(report->env.merge)) {
	case MERGE_SETTLING:
		snprintf(s->activity, sizeof(s->activity),
			 "looking at candidates a second time");
		break;
	case MERGE_ENROLLING:
		snprintf(s->activity, sizeof(s->activity),
			 "marking the ranges that hold duplicates");
		break;
	default:
		snprintf(s->activity, sizeof(s->activity),
			 "ksmd runs because %" PRIu64
			 " pages are known to be duplicates",
			 s->promised_pages);
	}
}

static void activity_fill(const struct report *report, struct daemon_status *s)
{
	struct track_counters t;
	struct merge_counters m;

	track_counters(report->env.track, &t);
	merge_counters(report->env.merge, &m);
	switch (s->state) {
	case STATE_PAUSED:
		snprintf(
			s->activity, sizeof(s->activity),
			"paused by an operator; `ksmd-plusctl resume` goes on");
		break;
	case STATE_MERGING:
		merging_fill(report, s);
		break;
	case STATE_SEARCHING:
		snprintf(s->activity, sizeof(s->activity),
			 "looking for duplicates; %" PRIu64
			 " pages known, %" PRIu64 " candidates",
			 t.pages, t.candidates);
		break;
	default:
		snprintf(s->activity, sizeof(s->activity),
			 "%" PRIu64 " pages known, %" PRIu64 " merged, %" PRIu64
			 " duplicates left; %" PRIu64 " rounds, %" PRIu64
			 " pulses",
			 t.pages, t.merged, t.duplicates,
			 scan_rounds(report->env.scan), m.pulses);
	}
}

static enum daemon_state state_of(const struct report *report, bool starting,
				  bool paused)
{
	if (paused)
		return STATE_PAUSED;
	if (starting)
		return STATE_STARTING;
	if (merge_stage(report->env.merge) != MERGE_IDLE)
		return STATE_MERGING;
	return scan_state(report->env.scan) == SCAN_IDLE ? STATE_RESTING
							 : STATE_SEARCHING;
}

void report_status(struct report *report, bool starting, bool paused,
		   struct daemon_status *ret)
{
	struct ksm_counters c = { 0 };
	struct daemon_status s = { 0 };
	struct merge_counters m;
	uint64_t ksmd_nsec = report->ksmd_start_nsec;
	int unread;

	unread = ksm_read(report->env.root, &c);
	merge_counters(report->env.merge, &m);
	if (report->env.ksmd)
		process_cpu_nsec(report->env.root, report->env.ksmd,
				 &ksmd_nsec);
	s.state = state_of(report, starting, paused);
	s.pages_saved = ksm_saved(&c);
	s.zero_pages = ksm_zero_saved(&c);
	s.promised_pages = m.promised;
	s.daemon_cpu_usec = report_cpu_usec(report);
	s.ksmd_cpu_usec = (ksmd_nsec - report->ksmd_start_nsec) / 1000;
	checksums_status(report->env.checksums, &s);
	s.hints = hinting_text(report->env.hinting);
	s.memory_used = memstat_resident(report->env.root);
	s.memory_bound = report_memory_bound(report);
	placing_status(report->env.placing, &s.numa);
	activity_fill(report, &s);
	targets_fill(report, &c);
	report->warnings.n = 0;
	warn_counters(report, unread);
	warn_knobs(report);
	warn_ksmd(report);
	warn_kernel(report);
	warn_memory(report);
	warn_held(report);
	s.targets = report->targets.v;
	s.n_targets = report->targets.n;
	s.warnings = report->warnings.v;
	s.n_warnings = report->warnings.n;
	*ret = s;
}

/* --- list ------------------------------------------------------------------- */

static uint64_t mergeable_pages(const struct watched *w)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < w->vmas.n; i++)
		if (w->vmas.v[i].mergeable)
			bytes += w->vmas.v[i].rss;
	return bytes / PAGE_BYTES;
}

static uint64_t tracked_pages(const struct report *report,
			      const struct watched *w)
{
	uint64_t n = 0;

	for (size_t i = 0; i < w->regions.n; i++)
		n += pagemask_count(
			&track_region(report->env.track, w->regions.v[i].number)
				 ->known);
	return n;
}

static const char *note_of(const struct report *report, const struct watched *w)
{
	const char *detail;
	enum reason reason = explaining_note(report->env.track, w, &detail);

	return *detail ? detail : reason_text(reason)->sentence;
}

static const char *process_state(const struct watched *w, uint64_t enrolled)
{
	if (w->gone)
		return "gone";
	if (w->skip)
		return "skipped";
	if (w->held)
		return "held";
	if (w->fresh)
		return "new";
	return enrolled ? "enrolled" : "watching";
}

int report_processes(struct report *report, const struct process_status **ret,
		     size_t *ret_n)
{
	struct ksm_counters c = { 0 };
	struct watched *const *list;
	size_t n;

	report->processes.n = 0;
	if (ksm_read(report->env.root, &c))
		memset(&c, 0, sizeof(c));
	list = watch_list(report->env.watch, &n);
	for (size_t i = 0; i < n; i++) {
		const struct watched *w = list[i];
		struct process_status row;

		if (!w)
			continue;
		row = (struct process_status){
			.pid = (uint32_t)w->process.id.pid,
			.comm = w->facts.comm,
			.target = target_name(report, w),
			.mode = mode_name(w->mode),
			.rule = is_of_unit(report, w) ? "MemoryKSM= of its unit"
						      : w->rule,
			.tracked_pages = tracked_pages(report, w),
			.enrolled_pages = mergeable_pages(w),
			.pages_saved = saved_by(report, w, &c),
			.note = note_of(report, w),
		};
		row.state = process_state(w, row.enrolled_pages);
		if (vec_push(&report->processes, row))
			return -ENOMEM;
	}
	*ret = report->processes.v;
	*ret_n = report->processes.n;
	return 0;
}

void report_explain(struct report *report, uint32_t pid,
		    const struct reason_status **ret, size_t *ret_n)
{
	struct watched *const *list;
	size_t n;

	*ret = report->reasons;
	*ret_n = 0;
	list = watch_list(report->env.watch, &n);
	for (size_t i = 0; i < n; i++)
		if (list[i] && (uint32_t)list[i]->process.id.pid == pid)
			*ret_n = explaining_rows(report->env.track, list[i],
						 report->reasons);
	if (!*ret_n && watch_is_denied(report->env.watch, (pid_t)pid))
		report->reasons[(*ret_n)++] =
			(struct reason_status){ REASON_PERMISSION, 0, "" };
}
