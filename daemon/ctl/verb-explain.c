/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl explain: what is asked for, explain.c, and what the daemon adds.
 */
#include "ctl.h"

#include <stdio.h>
#include <string.h>

#include "choose.h"
#include "cleanup.h"
#include "client-explain.h"
#include "client.h"
#include "configured.h"
#include "explain-show.h"
#include "json.h"
#include "log.h"
#include "parse.h"
#include "utf8.h"

/* A service is called without its suffix, as in systemctl. */
#define SUFFIX ".service"

/* --- what is asked for ------------------------------------------------------ */

/* @name is a pid, a cgroup's path, or else a unit; @unit has room for it and
 * the suffix. */
static int operand_take(const char *name, char unit[256], struct choice *choice)
{
	uint64_t pid;

	if (!parse_u64(name, &pid) && pid && pid <= INT32_MAX)
		return vec_push(&choice->pids, (pid_t)pid);
	if (*name == '/')
		return vec_push(&choice->cgroups, name);
	snprintf(unit, 256, "%s%s", name, strchr(name, '.') ? "" : SUFFIX);
	return vec_push(&choice->units, unit);
}

/* --- what the daemon adds --------------------------------------------------- */

static void daemon_add(sd_bus *bus, const struct client_list *list,
		       struct explained *e)
{
	_cleanup_(client_reasons_clear) struct client_reasons reasons = { 0 };
	uint32_t pid = (uint32_t)e->chosen.id.pid;

	bool known = false;

	for (size_t i = 0; i < list->n; i++) {
		if (list->v[i].pid != pid)
			continue;
		known = true;
		utf8_clean(list->v[i].rule, e->rule, sizeof(e->rule));
		utf8_clean(list->v[i].mode, e->mode, sizeof(e->mode));
	}
	if (client_explain(bus, pid, &reasons) < 0)
		return;
	/* it is new, or the daemon is paused */
	if (!known && !reasons.n && e->chosen.mode != MODE_EXCLUDE)
		explain_add(&e->rows, REASON_NOT_LOOKED_AT, 0, "");
	for (size_t i = 0; i < reasons.n; i++)
		explain_add(&e->rows, reasons.v[i].reason, reasons.v[i].pages,
			    reasons.v[i].detail);
}

/* Knobs that somebody else has written, and that the daemon leaves alone. */
static void foreign_add(const struct client_status *status,
			struct explain_rows *host)
{
	char text[96];
	size_t len = 0;

	for (size_t i = 0; i < status->n_warnings; i++) {
		const char *sentence = status->warnings[i].sentence;

		if (strcmp(status->warnings[i].name, "knob-foreign") != 0 ||
		    len >= sizeof(text))
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s%.*s", len ? ", " : "it has set ",
					(int)strcspn(sentence, " "), sentence);
	}
	if (len)
		explain_add(host, REASON_OTHER_MANAGER, 0, text);
}

static void ask_daemon(const struct ctl *ctl, struct explanation *e)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(client_list_clear) struct client_list list = { 0 };
	_cleanup_(client_status_clear) struct client_status status = { 0 };

	if (client_open(ctl->socket, &bus) < 0 ||
	    client_get_list(bus, &list) < 0 ||
	    client_get_status(bus, &status) < 0) {
		explain_add(&e->host, REASON_NO_DAEMON, 0, "");
		return;
	}
	e->daemon = true;
	if (!strcmp(status.state, "paused"))
		explain_add(&e->host, REASON_PAUSED, 0, "");
	foreign_add(&status, &e->host);
	for (size_t i = 0; i < e->processes.n; i++)
		daemon_add(bus, &list, &e->processes.v[i]);
}

/* --- the work --------------------------------------------------------------- */

/* 0, 1 where something that was asked for is not there, or negative errno. */
static int explain(const struct root *root, const struct config *config,
		   const struct choice *choice, struct explanation *ret)
{
	struct chosen_vec chosen = { 0 };
	struct kfeat kfeat;
	int r, missing;

	r = kfeat_probe(root, &kfeat);
	if (r)
		return r;
	missing = r = choose(root, config, choice, &chosen);
	explain_host(root, &kfeat, &ret->host);
	for (size_t i = 0; r >= 0 && i < chosen.n; i++) {
		struct explained e;

		if (!explain_process(root, &kfeat, &chosen.v[i], &e))
			r = vec_push(&ret->processes, e);
	}
	if (r >= 0 && !chosen.n && choice->units.n)
		log_error("No process is in %s.", choice->units.v[0]);
	if (r >= 0 && !chosen.n && choice->cgroups.n)
		log_error("No process is in %s.", choice->cgroups.v[0]);
	vec_free(&chosen);
	if (r < 0)
		return r;
	return missing || !ret->processes.n;
}

static int explain_all(const struct ctl *ctl, const struct root *root,
		       const struct config *config, const struct choice *choice)
{
	struct explanation e = { 0 };
	int r = explain(root, config, choice, &e);

	if (r < 0)
		log_error_errno(r, "Cannot explain");
	if (!r) {
		ask_daemon(ctl, &e);
		if (ctl->json)
			json_print(explain_json(&e), ctl->screen.out);
		else
			explain_print(&ctl->screen, &e);
	}
	vec_free(&e.processes);
	return r ? CTL_FAILED : CTL_DONE;
}

static int explain_run(const struct ctl *ctl)
{
	_cleanup_(root_close) struct root root = { -1, -1 };
	_cleanup_(choice_clear) struct choice choice = { .smaps = true };
	_cleanup_(config_clear) struct config config = { 0 };
	const char *path = ctl->n_given ? ctl->given[ctl->n_given - 1].value
					: NULL;
	char unit[256];
	int r;

	if (ctl->n_operands != 1) {
		log_error("Say whose memory: one process id, unit or cgroup.");
		return CTL_USAGE;
	}
	if (operand_take(ctl->operands[0], unit, &choice) < 0)
		return CTL_FAILED;
	r = root_open("", &root);
	if (r < 0) {
		log_error_errno(r, "Cannot open /proc and /sys");
		return CTL_FAILED;
	}
	/* memory_limit alone depends on the RAM, and does not matter here */
	r = configured_load(path, 1ULL << 30, &config);
	return r < 0 ? CTL_FAILED : explain_all(ctl, &root, &config, &choice);
}

static const struct verb_option options[] = {
	CONFIGURED_OPTION,
	{ 0 },
};

const struct verb verb_explain = {
	.name = "explain",
	.summary = "why a process or unit merges or does not, with remedies",
	.help = "Say for all memory of a process, or of each process of a systemd unit or of a cgroup (globs; a cgroup begins with /), why it does or does not merge, and what can be done about it. The daemon adds what it knows of single pages; without it the rest is told. Needs root for the processes of others.",
	.operands = "PID|UNIT|CGROUP",
	.options = options,
	.json = true,
	.run = explain_run,
};
