/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl plan: choose processes, survey them, let plan.c judge, print.
 * Needs no daemon and no KSM; needs root, who alone sees frame numbers.
 */
#include "ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "choose.h"
#include "cleanup.h"
#include "clock.h"
#include "configured.h"
#include "estimate.h"
#include "json.h"
#include "ksm.h"
#include "log.h"
#include "parse.h"
#include "plan-show.h"
#include "plan.h"
#include "sampled-show.h"
#include "sampled.h"
#include "survey.h"

#define BAR_WIDTH 30

static atomic_bool stop;

/* The first time; then the default action is back. */
static void on_signal(int number)
{
	(void)number;
	atomic_store(&stop, true);
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = SA_RESETHAND | SA_RESTART };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* --- what is asked for ----------------------------------------------------- */

/* What was asked for, besides whose memory. */
struct wish {
	const char *config; /* NULL: the usual one */
	bool sample; /* only some of the frames are to be read: */
	double share; /* of them; 0: as many as it takes */
};

/* "5%" or "auto": 0, or CTL_USAGE with the reason. */
static int share_take(const char *text, double *ret)
{
	uint64_t permyriad;

	if (!strcmp(text, "auto"))
		return 0;
	if (parse_permyriad(text, &permyriad) || !permyriad ||
	    permyriad > 10000) {
		log_error(
			"Not a share of 0.01%% to 100%%, nor \"auto\": --sample=%s",
			text);
		return CTL_USAGE;
	}
	*ret = (double)permyriad / 10000;
	return 0;
}

/* CTL_DONE, CTL_USAGE or CTL_FAILED. */
static int option_take(const struct given *g, struct choice *choice,
		       struct wish *wish)
{
	int r = 0;

	if (!strcmp(g->name, "sample")) {
		*wish = (struct wish){ wish->config, true, 0 };
		return g->value ? share_take(g->value, &wish->share) : CTL_DONE;
	}

	if (!strcmp(g->name, "all"))
		choice->all = true;
	else if (!strcmp(g->name, "unit"))
		r = vec_push(&choice->units, g->value);
	else if (!strcmp(g->name, "cgroup"))
		r = vec_push(&choice->cgroups, g->value);
	else if (!strcmp(g->name, "target"))
		r = vec_push(&choice->targets, g->value);
	else if (!strcmp(g->name, "config"))
		wish->config = g->value;
	return r ? CTL_FAILED : CTL_DONE;
}

static int choice_make(const struct ctl *ctl, struct choice *choice,
		       struct wish *wish)
{
	uint64_t pid;
	int r;

	for (size_t i = 0; i < ctl->n_given; i++) {
		r = option_take(&ctl->given[i], choice, wish);
		if (r)
			return r;
	}
	for (size_t i = 0; i < ctl->n_operands; i++) {
		if (parse_u64(ctl->operands[i], &pid) || !pid ||
		    pid > INT32_MAX) {
			log_error("Not a process id: %s", ctl->operands[i]);
			return CTL_USAGE;
		}
		if (vec_push(&choice->pids, (pid_t)pid))
			return CTL_FAILED;
	}
	if (choice->all || choice->pids.n || choice->units.n ||
	    choice->cgroups.n || choice->targets.n)
		return CTL_DONE;
	log_error(
		"Say whose memory: process ids, --unit, --cgroup, --target or --all.");
	return CTL_USAGE;
}

/* Whether the configuration has all targets that were asked for. */
static bool has_targets(const struct config *config,
			const struct choice *choice)
{
	bool all = true;

	for (size_t i = 0; i < choice->targets.n; i++) {
		bool found = false;

		for (size_t k = 0; k < config->rules.n_targets; k++)
			found |= !strcmp(config->rules.targets[k].name,
					 choice->targets.v[i]);
		if (!found)
			log_error("The configuration has no [target %s].",
				  choice->targets.v[i]);
		all &= found;
	}
	return all;
}

/* --- the work -------------------------------------------------------------- */

struct progress {
	struct screen screen; /* of stderr */
	uint64_t begin_usec;
	bool shown;
};

static void on_progress(void *userdata, const struct survey *s)
{
	struct progress *p = userdata;
	uint64_t now = clock_usec(CLOCK_MONOTONIC), spent;
	uint64_t done = MIN(s->n_done, s->n_wanted);
	char bar[BAR_WIDTH + 1], bytes[SCREEN_NUMBER], left[SCREEN_NUMBER];
	size_t full;

	if (!p->screen.terminal || !s->n_wanted)
		return;
	spent = now - p->begin_usec;
	if (spent < USEC_PER_SEC / 2 || !done)
		return;
	full = (size_t)(done * BAR_WIDTH / s->n_wanted);
	memset(bar, '#', full);
	memset(bar + full, '.', BAR_WIDTH - full);
	bar[BAR_WIDTH] = '\0';
	if (done == s->n_wanted)
		snprintf(left, sizeof(left), "looking again");
	else
		screen_usec(spent * (s->n_wanted - done) / done, left);
	fprintf(p->screen.out, "\r[%s] %3" PRIu64 " %%, %s, %s%s\033[K", bar,
		done * 100 / s->n_wanted,
		screen_bytes(done * PAGE_BYTES, bytes), left,
		done == s->n_wanted ? "" : " left");
	fflush(p->screen.out);
	p->shown = true;
}

static void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", p->screen.out);
	fflush(p->screen.out);
}

/* Open what is not excluded. Return: 0, 1 if something that was named by its
 * pid cannot be looked at, or negative errno. */
static int survey_fill(struct survey *survey, struct chosen_vec *chosen)
{
	int result = 0;

	for (size_t i = 0; i < chosen->n && !atomic_load(&stop); i++) {
		struct chosen *c = &chosen->v[i];
		int r = 0;

		if (!*c->why_not)
			r = survey_add(survey, c->id, c->comm, c->domain);
		if (r == -ENOMEM || r == -EFBIG || r == -EMFILE)
			return r;
		if (r)
			snprintf(c->why_not, sizeof(c->why_not), "%s",
				 r == SURVEY_GONE ? "has ended" : strerror(-r));
		if (*c->why_not && c->named) {
			log_error("%s (pid %d) is left out: %s", c->comm,
				  c->id.pid, c->why_not);
			result = 1;
		}
	}
	return result;
}

static uint64_t cpu_usec(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) *
		       USEC_PER_SEC +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int report(const struct ctl *ctl, const struct config *config,
		  const struct kfeat *kfeat, struct survey *survey,
		  const struct chosen_vec *chosen)
{
	struct planning_limits limits = planning_limits_of(config, kfeat);
	_cleanup_(plan_freep) struct plan *plan = NULL;
	struct plan_report show = {
		.survey = survey,
		.chosen = chosen,
		.zero_pages = config->zero_pages,
		.complete = !atomic_load(&stop),
	};
	_cleanup_(sampled_freep) struct sampled *sampled = NULL;
	int r;

	if (survey->share < 1)
		r = sampled_make(survey, &limits, &sampled);
	else
		r = plan_make(survey, &limits, &plan);
	if (r)
		return r;
	show.plan = plan;
	show.cpu_usec = cpu_usec();
	if (survey->n_lost)
		log_warning(
			"%" PRIu64
			" pages came while the others were read, and are left out.",
			survey->n_lost);
	if (sampled && !ctl->json)
		return sampled_print(&ctl->screen, &show, sampled);
	if (sampled) {
		json_print(sampled_json(&show, sampled), ctl->screen.out);
		return 0;
	}
	if (!ctl->json)
		return plan_print(&ctl->screen, &show);
	json_print(plan_json(&show), ctl->screen.out);
	return 0;
}

/* CTL_*; what is wrong has been said. */
static int survey_and_report(const struct ctl *ctl, const struct root *root,
			     const struct config *config,
			     const struct kfeat *kfeat,
			     const struct choice *choice,
			     const struct wish *wish)
{
	_cleanup_(survey_freep) struct survey *survey = NULL;
	struct progress progress = { .screen = screen_open(stderr) };
	struct chosen_vec chosen = { 0 };
	int missing = choose(root, config, choice, &chosen);
	int r = missing < 0 ? missing : 0, left = 0;

	if (!r)
		r = survey_new(root, kfeat, &stop, &survey);
	if (!r)
		r = left = survey_fill(survey, &chosen);
	if (r >= 0) {
		survey->forecast.max_sharing = ksm_max_sharing(root);
		survey->forecast.zero_pages = config->zero_pages;
		if (wish->sample)
			survey->share =
				wish->share > 0
					? wish->share
					: estimate_share(survey->n_present);
		progress.begin_usec = clock_usec(CLOCK_MONOTONIC);
		r = survey_run(survey, on_progress, &progress);
		progress_end(&progress);
	}
	if (!r)
		r = report(ctl, config, kfeat, survey, &chosen);
	vec_free(&chosen);
	if (r < 0) {
		log_error_errno(r, "Cannot make the plan");
		return CTL_FAILED;
	}
	return missing || left || atomic_load(&stop) ? CTL_FAILED : CTL_DONE;
}

static int prepare(const struct root *root, const char *path,
		   struct kfeat *ret_kfeat, struct config *ret_config)
{
	int r = kfeat_probe(root, ret_kfeat);

	if (r)
		return log_error_errno(r,
				       "Cannot find out what this kernel is");
	if (!ret_kfeat->pagemap_pfn) {
		log_error(
			"plan needs root: others see no frame numbers in /proc/PID/pagemap.");
		return -EPERM;
	}
	return configured_load(path, ret_kfeat->ram_bytes, ret_config);
}

static int plan_run(const struct ctl *ctl)
{
	_cleanup_(root_close) struct root root = { -1, -1 };
	_cleanup_(choice_clear) struct choice choice = { 0 };
	_cleanup_(config_clear) struct config config = { 0 };
	struct wish wish = { 0 };
	struct kfeat kfeat;
	int r = choice_make(ctl, &choice, &wish);

	if (r)
		return r;
	r = root_open("", &root);
	if (r < 0) {
		log_error_errno(r, "Cannot open /proc and /sys");
		return CTL_FAILED;
	}
	if (prepare(&root, wish.config, &kfeat, &config) < 0 ||
	    !has_targets(&config, &choice))
		return CTL_FAILED;
	catch_signals();
	return survey_and_report(ctl, &root, &config, &kfeat, &choice, &wish);
}

static const struct verb_option options[] = {
	{ "all", NULL, "all processes" },
	{ "unit", "UNIT", "those of a systemd unit (a glob)" },
	{ "cgroup", "PATH", "those of a cgroup and below it (a glob)" },
	{ "target", "NAME", "those of a [target NAME] section" },
	{ "sample", "[=SHARE]",
	  "read a part alone (5%); savings are an interval" },
	CONFIGURED_OPTION,
	{ 0 },
};

const struct verb verb_plan = {
	.name = "plan",
	.summary = "what merging would save, before anything is enabled",
	.help = "Read the memory of processes and say what merging would save and cost. Nothing is changed; neither the daemon nor KSM has to run. What the daemon never touches is left out here as well. Ctrl-C prints what is known so far. With --sample only a part of the pages is read, and the savings are an interval: for very large machines. Needs root.",
	.operands = "[PID...]",
	.options = options,
	.json = true,
	.run = plan_run,
};
