/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One function per check, and a table of them. A check says what it found and
 * what follows from it; where somebody can do something about it, the remedy
 * says what, as a command if it is one. A check that has nothing to say about
 * this machine (a knob without KSM) says nothing.
 *
 * What only root can see is not held against the kernel when we are not root:
 * the finding says that it was not probed.
 */
#include "doctor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "doctor-checks.h"

typedef void (*check_fn)(const struct doctor_facts *f,
			 struct doctor_finding *ret);

void doctor_say(struct doctor_finding *ret, enum doctor_level level,
		const char *fmt, ...)
{
	va_list ap;

	ret->level = level;
	va_start(ap, fmt);
	vsnprintf(ret->finding, sizeof(ret->finding), fmt, ap);
	va_end(ap);
}

void doctor_advise(struct doctor_finding *ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ret->remedy, sizeof(ret->remedy), fmt, ap);
	va_end(ap);
}

void doctor_not_probed(struct doctor_finding *ret, const char *what)
{
	doctor_say(ret, DOCTOR_NOTE, "Not probed, since that needs root: %s.",
		   what);
}

/* --- ourselves ------------------------------------------------------------- */

static void check_daemon(const struct doctor_facts *f,
			 struct doctor_finding *ret)
{
	switch (f->daemon) {
	case DAEMON_UP:
		doctor_say(ret, DOCTOR_OK, "The daemon is running.");
		if (!f->n_warnings)
			break;
		doctor_say(ret, DOCTOR_WARNING,
			   "The daemon is running, with %u warning%s: %s",
			   f->n_warnings, f->n_warnings == 1 ? "" : "s",
			   f->warning);
		doctor_advise(ret, "ksmd-plusctl status");
		break;
	case DAEMON_DOWN:
		doctor_say(ret, DOCTOR_NOTE, "The daemon is not running.");
		doctor_advise(ret, "systemctl start ksmd-plus");
		break;
	case DAEMON_FORBIDDEN:
		doctor_say(ret, DOCTOR_NOTE,
			   "The daemon's socket is there, but not for us.");
		doctor_advise(
			ret,
			"Run this as root or as a member of the socket's group.");
		break;
	case DAEMON_MUTE:
		doctor_say(ret, DOCTOR_PROBLEM,
			   "The daemon's socket is there, but nobody answers.");
		doctor_advise(ret, "systemctl restart ksmd-plus");
		break;
	}
}

static void check_page_size(const struct doctor_facts *f,
			    struct doctor_finding *ret)
{
	if (f->page_size == PAGE_BYTES) {
		doctor_say(ret, DOCTOR_OK, "Pages are 4 KiB.");
		return;
	}
	doctor_say(ret, DOCTOR_PROBLEM,
		   "Pages are %" PRIu64
		   " KiB here; ksmd-plus works with 4 KiB pages only.",
		   f->page_size / 1024);
	doctor_advise(ret, "Boot a kernel that is built for 4 KiB pages.");
}

static const struct {
	const char *name;
	check_fn check;
} checks[] = {
	{ "daemon", check_daemon },
	{ "daemon-rights", doctor_check_daemon_rights },
	{ "configuration", doctor_check_configuration },
	{ "domains", doctor_check_domains },
	{ "root", doctor_check_root },
	{ "namespaces", doctor_check_namespaces },
	{ "page-size", check_page_size },
	{ "ksm", doctor_check_ksm },
	{ "ksm-run", doctor_check_run },
	{ "manager", doctor_check_manager },
	{ "knobs", doctor_check_knobs },
	{ "advisor", doctor_check_advisor },
	{ "smart-scan", doctor_check_smart_scan },
	{ "counters", doctor_check_counters },
	{ "nodes", doctor_check_nodes },
	{ "pagemap", doctor_check_pagemap },
	{ "pagemap-scan", doctor_check_pagemap_scan },
	{ "kpf-ksm", doctor_check_kpf_ksm },
	{ "kcore", doctor_check_kcore },
	{ "mglru", doctor_check_mglru },
	{ "psi", doctor_check_psi },
	{ "hints", doctor_check_hints },
	{ "ptrace", doctor_check_ptrace },
	{ "yama", doctor_check_yama },
	{ "seccomp", doctor_check_seccomp },
	{ "process-madvise", doctor_check_process_madvise },
	{ "prctl", doctor_check_prctl },
	{ "systemd", doctor_check_systemd },
	{ "unmergeable", doctor_check_unmergeable },
	{ "max-map-count", doctor_check_max_map_count },
	{ "thp", doctor_check_thp },
	{ "process-ksm", doctor_check_process_ksm },
	{ "dsa", doctor_check_dsa },
};

static_assert(ARRAY_SIZE(checks) <= DOCTOR_FINDINGS_MAX, "room for all");

size_t doctor_examine(const struct doctor_facts *facts,
		      struct doctor_finding ret[DOCTOR_FINDINGS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		ret[n] = (struct doctor_finding){ .check = checks[i].name };
		checks[i].check(facts, &ret[n]);
		if (*ret[n].finding)
			n++;
	}
	return n;
}

enum doctor_level doctor_worst(const struct doctor_finding *findings, size_t n)
{
	enum doctor_level worst = DOCTOR_OK;

	for (size_t i = 0; i < n; i++)
		worst = MAX(worst, findings[i].level);
	return worst;
}

const char *doctor_level_name(enum doctor_level level)
{
	static const char *const names[DOCTOR_LEVEL_MAX_] = {
		[DOCTOR_OK] = "ok",
		[DOCTOR_NOTE] = "note",
		[DOCTOR_WARNING] = "warning",
		[DOCTOR_PROBLEM] = "problem",
	};

	return names[level];
}
