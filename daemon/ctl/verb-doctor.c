/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl doctor: gather the facts here, let doctor.c judge, print. Works
 * without a daemon, and as anyone.
 */
#include "ctl.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "configured.h"
#include "doctor.h"
#include "dsa.h"
#include "json.h"
#include "log.h"
#include "parse.h"
#include "surroundings.h"
#include "utf8.h"

#define KSM_DIR "kernel/mm/ksm/"

/* A moment; --watch is for those who write seldom. */
#define WATCH_USEC     (500 * USEC_PER_MSEC)
#define WATCH_MAX_USEC (3600 * USEC_PER_SEC)

/* Where findings begin: after "problem  process-madvise  ". */
#define FINDING_COLUMN 26

static uint64_t knob(const struct root *root, const char *path)
{
	uint64_t value = 0;

	file_read_u64(root->sys, path, &value);
	return value;
}

static void gather_knobs(const struct root *root, struct doctor_facts *f)
{
	char mode[64];

	f->run = knob(root, KSM_DIR "run");
	f->pages_to_scan = knob(root, KSM_DIR "pages_to_scan");
	f->sleep_millisecs = knob(root, KSM_DIR "sleep_millisecs");
	f->merge_across_nodes = knob(root, KSM_DIR "merge_across_nodes");
	if (file_read(root->sys, KSM_DIR "advisor_mode", mode, sizeof(mode)) >
	    0)
		f->advisor_on = !strstr(mode, "[none]");
}

/* As the daemon would: hooked for a moment, without anybody to watch. */
static void gather_hints(const struct root *root, struct doctor_facts *f)
{
	struct hints *hints;

	if (f->root && !hints_open(root, HINTS_AUTO, 1, &f->hints, &hints))
		hints_close(hints);
}

static void on_fault(void *userdata, const char *file, unsigned int line,
		     const char *sentence)
{
	struct doctor_facts *f = userdata;
	char text[2 * sizeof(f->fault)];

	if (f->n_faults++)
		return;
	if (line)
		snprintf(text, sizeof(text), "%s:%u: %s", file, line, sentence);
	else
		snprintf(text, sizeof(text), "%s: %s", file, sentence);
	utf8_clean(text, f->fault, sizeof(f->fault));
}

/* What is wrong in the configuration is a finding. */
static void gather_domains(const struct root *root, const char *path,
			   struct doctor_facts *f)
{
	_cleanup_(config_clear) struct config config = { 0 };

	if (config_load(path ? path : CONFIGURED_PATH, path != NULL,
			f->kernel.ram_bytes, on_fault, f, &config) < 0)
		return;
	f->domains = overlap_is_possible(&config);
	if (f->domains && f->root)
		overlap_count(root, &f->kernel, &config, &f->overlap);
}

/* The value that was given last to option @name, or NULL. */
static const char *given(const struct ctl *ctl, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < ctl->n_given; i++)
		if (!strcmp(ctl->given[i].name, name))
			value = ctl->given[i].value;
	return value;
}

/* Seconds, of --watch or the usual moment; 0 where that is no number. */
static uint64_t watch_usec(const struct ctl *ctl)
{
	const char *text = given(ctl, "watch");
	uint64_t usec;

	if (!text)
		return WATCH_USEC;
	if (parse_usec(text, &usec) || usec > WATCH_MAX_USEC) {
		log_error("Not a time of up to an hour: --watch %s", text);
		return 0;
	}
	return MAX(usec, (uint64_t)1);
}

/* While all else is found out, and longer if need be. */
static int gather(const struct ctl *ctl, uint64_t usec,
		  struct doctor_facts *ret)
{
	_cleanup_(root_close) struct root root = { -1, -1 };
	_cleanup_(knobwatch_close) struct knobwatch watch = KNOBWATCH_NONE;
	struct doctor_facts f = { .watched_usec = usec };
	uint64_t begin = clock_usec(CLOCK_MONOTONIC);
	int r = root_open("", &root);

	if (r < 0)
		return log_error_errno(r, "Cannot open /proc and /sys");
	f.watched = !knobwatch_open(&root, &watch);
	r = kfeat_probe(&root, &f.kernel);
	if (r < 0)
		return log_error_errno(r, "Cannot probe the kernel");
	surroundings_self(&root, &f);
	f.n_rivals = rivals_find(&root, f.rivals);
	surroundings_systemd(&f);
	gather_knobs(&root, &f);
	gather_hints(&root, &f);
	gather_domains(&root, given(ctl, "config"), &f);
	dsa_read(&root, &f.dsa);
	surroundings_daemon(&root, ctl->socket, &f);
	if (f.watched)
		surroundings_watch(&root, &watch, begin + usec, &f);
	*ret = f;
	return 0;
}

static void print_as_json(const struct screen *screen,
			  const struct doctor_finding *findings, size_t n)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_new_object();

		json_add_string(o, "check", findings[i].check);
		json_add_string(o, "level",
				doctor_level_name(findings[i].level));
		json_add_string(o, "finding", findings[i].finding);
		json_add_string(o, "remedy", findings[i].remedy);
		json_object_array_add(array, o);
	}
	json_print(array, screen->out);
}

static void print_finding(const struct screen *screen,
			  const struct doctor_finding *finding)
{
	static const enum screen_style styles[DOCTOR_LEVEL_MAX_] = {
		[DOCTOR_OK] = SCREEN_GREEN,
		[DOCTOR_NOTE] = SCREEN_BOLD,
		[DOCTOR_WARNING] = SCREEN_YELLOW,
		[DOCTOR_PROBLEM] = SCREEN_RED,
	};

	fprintf(screen->out, "%s%-7s%s  %-15s  ",
		screen_on(screen, styles[finding->level]),
		doctor_level_name(finding->level), screen_off(screen),
		finding->check);
	screen_wrap(screen, FINDING_COLUMN, finding->finding);
	if (!*finding->remedy)
		return;
	fprintf(screen->out, "%*s-> ", FINDING_COLUMN, "");
	screen_wrap(screen, FINDING_COLUMN + 3, finding->remedy);
}

static void print_all(const struct screen *screen, const struct kfeat *kernel,
		      const struct doctor_finding *findings, size_t n)
{
	unsigned int counts[DOCTOR_LEVEL_MAX_] = { 0 };
	char ram[SCREEN_NUMBER];

	fprintf(screen->out, "%sLinux %s%s, %d CPU%s, %s\n\n",
		screen_on(screen, SCREEN_BOLD), kernel->release,
		screen_off(screen), kernel->n_cpus,
		kernel->n_cpus == 1 ? "" : "s",
		screen_bytes(kernel->ram_bytes, ram));
	for (size_t i = 0; i < n; i++) {
		print_finding(screen, &findings[i]);
		counts[findings[i].level]++;
	}
	fprintf(screen->out, "\n%u problem%s, %u warning%s, %u note%s, %u ok\n",
		counts[DOCTOR_PROBLEM], counts[DOCTOR_PROBLEM] == 1 ? "" : "s",
		counts[DOCTOR_WARNING], counts[DOCTOR_WARNING] == 1 ? "" : "s",
		counts[DOCTOR_NOTE], counts[DOCTOR_NOTE] == 1 ? "" : "s",
		counts[DOCTOR_OK]);
}

static int doctor_run(const struct ctl *ctl)
{
	struct doctor_finding findings[DOCTOR_FINDINGS_MAX];
	uint64_t usec = watch_usec(ctl);
	struct doctor_facts facts = { 0 };
	size_t n;

	if (!usec)
		return CTL_USAGE;
	if (gather(ctl, usec, &facts))
		return CTL_FAILED;
	n = doctor_examine(&facts, findings);
	if (ctl->json)
		print_as_json(&ctl->screen, findings, n);
	else
		print_all(&ctl->screen, &facts.kernel, findings, n);
	return doctor_worst(findings, n) == DOCTOR_PROBLEM   ? CTL_FAILED
	       : doctor_worst(findings, n) == DOCTOR_WARNING ? CTL_WARNED
							     : CTL_DONE;
}

static const struct verb_option options[] = {
	{ "watch", "TIME", "watch the knobs for so long (default 500ms)" },
	CONFIGURED_OPTION,
	{ 0 },
};

const struct verb verb_doctor = {
	.name = "doctor",
	.summary = "what this kernel and machine offer and lack, with remedies",
	.help = "Probe what the kernel offers and lacks here, what follows from it and what can be done about it. Needs no daemon; as root it sees more. Exit status 0 if nothing is wrong, 3 if there are warnings, 1 if a problem keeps ksmd-plus from its work.",
	.options = options,
	.json = true,
	.run = doctor_run,
};
