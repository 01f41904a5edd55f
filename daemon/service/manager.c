/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include <ksmd-plus/journal.h>

#include "adapt.h"
#include "accounting.h"
#include "adopt.h"
#include "asking.h"
#include "checksums.h"
#include "cleanup.h"
#include "clock.h"
#include "control.h"
#include "ending.h"
#include "enrol.h"
#include "heirs.h"
#include "hinting.h"
#include "knobs.h"
#include "ksm.h"
#include "ledger.h"
#include "log.h"
#include "manager-parts.h"
#include "merge.h"
#include "pfnset.h"
#include "placing.h"
#include "pool.h"
#include "process.h"
#include "pulser.h"
#include "relief.h"
#include "report.h"
#include "scan.h"
#include "settings.h"
#include "summary.h"
#include "track.h"
#include "units.h"
#include "watch.h"
#include "withdraw.h"

/* A new process is found within this time (aim: merged within 3 s). */
#define WALK_USEC USEC_PER_SEC
/* ... unless a walk costs more than a hundredth of that, with many processes */
#define WALK_SHARE 100U

/* What those who are gone have left in the allocator goes back to the kernel;
 * for the last time so long after the last one: what is under way for him holds
 * on to it. */
#define TRIM_USEC (5 * USEC_PER_SEC)
/* What is larger goes back as soon as it is freed. Left to itself the allocator
 * keeps up to twice the largest block that was ever freed, and malloc_trim()
 * does not reach the ends of the threads' arenas (glibc, malloc/malloc.c:
 * mp_.no_dyn_threshold, mtrim()). */
#define KEPT_BYTES (128 << 10)

/* How often each process in the ledger is looked for. */
#define SETTLE_USEC (60 * USEC_PER_SEC)

static void on_found(void *userdata, struct watched *w)
{
	struct manager *m = userdata;

	log_debug("Watching %s (pid %d), mode %s: %s", w->facts.comm,
		  w->process.id.pid, mode_name(w->mode), w->rule);
	accounting_found(m->accounting, w);
	scan_found(m->scan, w);
	hinting_found(m->hinting, w);
}

/* It exited; or a reload no longer names it: then it gets back what it had. */
static void on_lost(void *userdata, struct watched *w)
{
	struct manager *m = userdata;

	accounting_lost(m->accounting, w);
	scan_lost(m->scan, w);
	hinting_lost(m->hinting, w);
	m->left_usec = clock_usec(CLOCK_MONOTONIC);
	if (!m->closed && !m->options.dry_run)
		withdraw_begin(&m->withdraw, w, NULL, NULL);
}

/* A fork of who was marked, or what that has become by exec: what it has got
 * by that, it never asked for, and nobody has for it. */
static void on_stray(void *userdata, struct watched *w)
{
	struct manager *m = userdata;

	if (m->closed || m->options.dry_run)
		return;
	log_debug("Taking back the marks of %s (pid %d): %s", w->facts.comm,
		  w->process.id.pid, w->rule);
	if (m->ending)
		ending_add(m->ending, w);
	else
		withdraw_begin(&m->withdraw, w, NULL, NULL);
}

static void memory_policy(void)
{
	mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
	mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
}

static void memory_trim(struct manager *m, uint64_t now)
{
	bool due = m->left_usec && m->trim_usec < m->left_usec + TRIM_USEC;

	if (now < m->trim_usec + TRIM_USEC)
		return;
	if (track_fit(m->track) || due) {
		malloc_trim(0);
		m->trim_usec = now;
	}
}

/* Heirs who have exited before they could be watched. */
static void ledger_settle(struct manager *m, uint64_t now)
{
	if (m->stopping || now < m->settle_usec + SETTLE_USEC)
		return;
	heirs_settle_all(m->root, m->ledger);
	m->settle_usec = now;
}

static int on_walk(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *m = userdata;
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	uint64_t cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID);
	bool walks = !m->paused && !m->stopping;
	int r = walks ? watch_walk(m->watch, now) : 0;

	(void)usec;
	adopt_prune(m->adopt);
	if (walks && !r)
		ledger_forget_given_back(m->ledger);
	if (walks && !m->options.dry_run)
		relief_turn(&m->withdraw, m->watch, m->kfeat->max_map_count);
	memory_trim(m, now);
	ledger_settle(m, now);
	cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID) - cpu;
	sd_event_source_set_time(source,
				 now + MAX(WALK_USEC, cpu * WALK_SHARE));
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	if (r)
		log_event_limited(LOG_WARNING, JOURNAL_PROCESSES_UNSEEN, NULL,
				  "Cannot walk /proc: %s, ignoring",
				  strerror(-r));
	if (!m->walked) {
		m->walked = true;
		sd_notify(0, "READY=1\nSTATUS=Looking for duplicates");
		summary_started(m->summary);
	}
	return 0;
}

/* --- control ------------------------------------------------------------------ */

static void op_status(void *userdata, struct daemon_status *ret)
{
	const struct manager *m = userdata;

	report_status(m->report, !m->walked, m->paused, ret);
}

static int op_list(void *userdata, const struct process_status **ret,
		   size_t *ret_n)
{
	const struct manager *m = userdata;

	return report_processes(m->report, ret, ret_n);
}

static void op_explain(void *userdata, uint32_t pid,
		       const struct reason_status **ret, size_t *ret_n)
{
	const struct manager *m = userdata;

	report_explain(m->report, pid, ret, ret_n);
}

static int op_accounts(void *userdata, enum account_kind kind,
		       const struct account_row **ret, size_t *ret_n)
{
	const struct manager *m = userdata;

	return accounting_rows(m->accounting, kind, ret, ret_n);
}

/* The knobs go back to what they were; ksmd does as its owner set it. */
static void op_pause(void *userdata)
{
	struct manager *m = userdata;

	if (m->paused || m->stopping)
		return;
	m->paused = true;
	scan_pause(m->scan, true);
	merge_pause(m->merge, true);
	placing_pause(m->placing, true);
	if (knobs_restore(m->knobs))
		log_event(LOG_WARNING, JOURNAL_KNOBS_LEFT, NULL,
			  "Not every knob could be restored, ignoring");
	log_event(LOG_NOTICE, JOURNAL_PAUSED, NULL, "Paused");
}

static void op_resume(void *userdata)
{
	struct manager *m = userdata;

	if (!m->paused || m->stopping)
		return;
	m->paused = false;
	pulser_take_over(m->pulser);
	merge_pause(m->merge, false);
	scan_pause(m->scan, false);
	placing_pause(m->placing, false);
	log_event(LOG_NOTICE, JOURNAL_RESUMED, NULL, "Resumed");
}

static void op_rescan(void *userdata)
{
	struct manager *m = userdata;

	if (m->paused || m->stopping)
		return;
	track_retry(m->track);
	accounting_release(m->accounting);
	scan_soon(m->scan, true);
	placing_soon(m->placing);
}

static int op_adopt(void *userdata, pid_t pid)
{
	struct manager *m = userdata;
	int r = m->stopping ? -ESHUTDOWN : adopt_add(m->adopt, pid);

	if (!r)
		watch_judge_again(m->watch);
	return r;
}

static const struct control_ops control_ops = {
	.status = op_status,
	.list = op_list,
	.explain = op_explain,
	.accounts = op_accounts,
	.pause = op_pause,
	.resume = op_resume,
	.rescan = op_rescan,
	.adopt = op_adopt,
};

static const struct watch_ops watch_ops = {
	.found = on_found,
	.lost = on_lost,
	.stray = on_stray,
};

int manager_new(sd_event *event, const struct root *root,
		const struct kfeat *kfeat,
		const struct manager_options *options, struct manager **ret)
{
	struct manager *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return log_event_errno(ENOMEM, JOURNAL_START_FAILED, NULL,
				       "Cannot start");
	memory_policy();
	m->event = event;
	m->root = root;
	m->kfeat = kfeat;
	m->options = *options;
	m->ksmd = ksm_find_ksmd(root);
	m->runtime_fd = open(options->runtime_dir,
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->runtime_fd < 0) {
		r = log_event_errno(errno, JOURNAL_START_FAILED, NULL,
				    "Cannot open %s", options->runtime_dir);
		free(m);
		return r;
	}
	r = settings_read(&m->options, m->kfeat, &m->config);
	if (r >= 0)
		r = manager_parts_start(m, &watch_ops, &control_ops, on_walk);
	if (r) {
		manager_free(m);
		return log_event_errno(r, JOURNAL_START_FAILED, NULL,
				       "Cannot start");
	}
	pulser_take_over(m->pulser);
	*ret = m;
	return 0;
}

struct manager *manager_free(struct manager *m)
{
	if (!m)
		return NULL;
	m->stopping = true;
	m->closed = true;
	if (m->merge)
		merge_close(m->merge);
	ending_close(m->ending);
	manager_faces_free(m);
	sd_event_source_unref(m->walk_timer);
	m->movers = pool_free(m->movers);
	m->pool = pool_free(m->pool);
	checksums_free(m->checksums);
	enrol_free(m->enrol);
	ending_free(m->ending);
	if (m->watch)
		watch_free(m->watch);
	accounting_free(m->accounting);
	adopt_free(m->adopt);
	summary_free(m->summary);
	report_free(m->report);
	units_free(m->units);
	merge_free(m->merge);
	hinting_free(m->hinting);
	scan_free(m->scan);
	adapt_free(m->adapt);
	placing_free(m->placing);
	pulser_free(m->pulser);
	track_free(m->track);
	if (!m->pool)
		pfnset_free(m->reader.seen);
	if (m->knobs && knobs_restore(m->knobs))
		log_event(LOG_WARNING, JOURNAL_KNOBS_LEFT, NULL,
			  "Not every knob could be restored");
	knobs_free(m->knobs);
	if (m->ledger) {
		ledger_forget_given_back(m->ledger);
		heirs_settle_all(m->root, m->ledger);
	}
	ledger_close(m->ledger);
	asking_free(m->asking);
	config_clear(&m->config);
	close_fd(m->runtime_fd);
	/* a reader that does not end may still use its part of it */
	if (!m->pool && !m->movers)
		free(m);
	return NULL;
}

void manager_reload(struct manager *m)
{
	struct merge_limits limits;

	if (m->stopping)
		return;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		   clock_usec(CLOCK_MONOTONIC));
	if (settings_reload(&m->options, m->kfeat, &m->config)) {
		sd_notify(
			0,
			"READY=1\nSTATUS=Looking for duplicates; the new configuration has faults");
		return;
	}
	watch_set_rules(m->watch, &m->config.rules);
	adapt_apply(m->adapt);
	limits = settings_merge(&m->config, m->kfeat, m->root);
	merge_set_limits(m->merge, &limits);
	hinting_reload(m->hinting);
	placing_soon(m->placing);
	log_event(LOG_NOTICE, JOURNAL_CONFIG_RELOADED, NULL,
		  "Configuration reloaded");
	sd_notify(0, "READY=1\nSTATUS=Looking for duplicates");
}

void manager_stop(struct manager *m)
{
	struct ending_env env = {
		.event = m->event,
		.watch = m->watch,
		.pulser = m->pulser,
		.withdraw = m->withdraw,
		.registered = watch_registered(m->watch),
	};

	if (!m->stopping)
		summary_write(m->summary);
	if (m->stopping || m->options.dry_run ||
	    m->config.on_exit == ON_EXIT_KEEP) {
		m->stopping = true;
		sd_event_exit(m->event, 0);
		return;
	}
	m->stopping = true;
	sd_notify(0, "STOPPING=1\nSTATUS=Putting everything back");
	scan_pause(m->scan, true);
	merge_close(m->merge);
	placing_pause(m->placing, true);
	hinting_stop(m->hinting);
	if (ending_begin(&env, &m->ending))
		sd_event_exit(m->event, 0);
}
