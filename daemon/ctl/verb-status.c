/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl status: one screen that answers, in this order, what it is
 * worth, what is being done and why, what it costs, for whom, and what is
 * wrong.
 */
#include "ctl.h"

#include <json-c/json.h>
#include <string.h>

#include "accounts-show.h"
#include "cleanup.h"
#include "client-accounts.h"
#include "client-numa.h"
#include "client.h"
#include "json.h"
#include "log.h"
#include "table.h"

/* Where the values begin; the labels stand before. */
#define VALUE_COLUMN 14

struct accounts {
	struct client_accounts machine; /* one row */
	struct client_accounts targets;
};

static const struct account *machine(const struct accounts *accounts)
{
	return &client_accounts_of_pid(&accounts->machine, 0)->account;
}

static struct json_object *targets_json(const struct client_status *s,
					const struct client_accounts *accounts)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < s->n_targets; i++) {
		const struct target_status *t = &s->targets[i];
		struct json_object *o = json_object_new_object();

		json_add_string(o, "name", t->name);
		json_add_string(o, "mode", t->mode);
		json_add_u64(o, "processes", t->processes);
		json_add_u64(o, "bytes_saved", t->bytes_saved);
		accounts_json_add(o,
				  client_accounts_of_name(accounts, t->name));
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *warnings_json(const struct client_status *s)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < s->n_warnings; i++) {
		struct json_object *o = json_object_new_object();

		json_add_string(o, "name", s->warnings[i].name);
		json_add_string(o, "sentence", s->warnings[i].sentence);
		json_object_array_add(array, o);
	}
	return array;
}

static struct json_object *numa_json(const struct numa_status *s)
{
	struct json_object *o = json_object_new_object();
	struct json_object *nodes = json_object_new_array();

	json_add_string(o, "policy", s->policy);
	json_add_string(o, "activity", s->activity);
	json_add_u64(o, "pages_moved", s->moved);
	json_add_u64(o, "moves_refused", s->refused);
	json_add_u64(o, "rounds", s->rounds);
	json_add_u64(o, "cpu_usec", s->cpu_usec);
	json_object_object_add(o, "fairness",
			       json_object_new_double(s->fairness_permyriad /
						      10000.0));
	for (size_t i = 0; i < s->n_nodes; i++) {
		struct json_object *node = json_object_new_object();

		json_add_u64(node, "node", s->nodes[i].node);
		json_add_u64(node, "merged_pages", s->nodes[i].pages);
		json_object_array_add(nodes, node);
	}
	json_object_object_add(o, "nodes", nodes);
	return o;
}

static bool has_numa(const struct client_status *s)
{
	return s->numa.policy && *s->numa.policy;
}

/* Names and numbers of an engine that has some. */
static struct json_object *engine_json(const struct client_status *s)
{
	struct json_object *o = json_object_new_object();

	json_add_string(o, "detail", s->engine_detail);
	for (size_t i = 0; i < s->n_counters; i++)
		json_add_u64(o, s->counters[i].name, s->counters[i].value);
	return o;
}

static struct json_object *status_json(const struct client_status *s,
				       const struct accounts *accounts)
{
	struct json_object *o = json_object_new_object();
	struct json_object *cpu = json_object_new_object();
	struct json_object *memory = json_object_new_object();
	const struct account *a = machine(accounts);

	json_add_string(o, "version", s->version);
	json_add_string(o, "state", s->state);
	json_add_string(o, "activity", s->activity);
	json_add_u64(o, "pages_saved", s->pages_saved);
	json_add_u64(o, "bytes_saved", s->bytes_saved);
	json_add_u64(o, "zero_pages", s->zero_pages);
	json_add_u64(o, "promised_pages", s->promised_pages);
	json_add_u64(o, "pages_settled", a->settled);
	json_add_u64(o, "pages_peak", a->peak);
	json_add_u64(o, "pages_broken", a->broken);
	json_object_object_add(o, "profit_bytes",
			       json_object_new_int64(a->profit));
	json_add_u64(cpu, "daemon", s->daemon_cpu_usec);
	json_add_u64(cpu, "ksmd", s->ksmd_cpu_usec);
	json_object_object_add(o, "cpu_usec", cpu);
	json_add_string(o, "engine", s->engine);
	json_object_object_add(o, "engine_state", engine_json(s));
	json_add_string(o, "hints", s->hints);
	json_add_u64(memory, "used", s->memory_used);
	json_add_u64(memory, "bound", s->memory_bound);
	json_object_object_add(o, "memory", memory);
	json_object_object_add(o, "targets",
			       targets_json(s, &accounts->targets));
	json_object_object_add(o, "warnings", warnings_json(s));
	if (has_numa(s))
		json_object_object_add(o, "numa", numa_json(&s->numa));
	return o;
}

static void line(const struct screen *screen, const char *label,
		 const char *value)
{
	fprintf(screen->out, "  %-*s", VALUE_COLUMN - 2, label);
	screen_wrap(screen, VALUE_COLUMN, value);
}

static void print_head(const struct screen *screen,
		       const struct client_status *s)
{
	enum screen_style style = !strcmp(s->state, "paused") ? SCREEN_YELLOW
							      : SCREEN_GREEN;

	fprintf(screen->out, "%sksmd-plus%s ", screen_on(screen, SCREEN_BOLD),
		screen_off(screen));
	fprintf(screen->out, "%s is %s%s%s\n\n", s->version,
		screen_on(screen, style), s->state, screen_off(screen));
}

static void print_saved(const struct screen *screen,
			const struct client_status *s)
{
	char n[SCREEN_NUMBER];

	if (!s->pages_saved) {
		line(screen, "Saved", "nothing yet");
		return;
	}
	fprintf(screen->out, "  %-*s%s%s%s", VALUE_COLUMN - 2, "Saved",
		screen_on(screen, SCREEN_BOLD), screen_bytes(s->bytes_saved, n),
		screen_off(screen));
	fprintf(screen->out, " in %s pages", screen_count(s->pages_saved, n));
	if (s->zero_pages)
		fprintf(screen->out, ", %s of them all zero",
			screen_count(s->zero_pages, n));
	fputc('\n', screen->out);
}

/* What of it lasts, and what it is worth after KSM's own memory. */
static void print_account(const struct screen *screen, const struct account *a)
{
	char settled[SCREEN_NUMBER], peak[SCREEN_NUMBER];
	char profit[ACCOUNTS_NUMBER], broken[SCREEN_NUMBER], text[256];

	if (!a->peak)
		return;
	snprintf(
		text, sizeof(text),
		"settled %s, peak %s, profit %s; %s merged pages written again",
		screen_bytes(a->settled * PAGE_BYTES, settled),
		screen_bytes(a->peak * PAGE_BYTES, peak),
		accounts_bytes(a->profit, profit),
		screen_count(a->broken, broken));
	line(screen, "", text);
}

static void print_values(const struct screen *screen,
			 const struct client_status *s,
			 const struct accounts *accounts)
{
	char a[SCREEN_NUMBER], b[SCREEN_NUMBER], text[256];

	print_saved(screen, s);
	print_account(screen, machine(accounts));
	if (s->promised_pages) {
		snprintf(text, sizeof(text),
			 "%s more: %s pages found equal, not merged yet",
			 screen_bytes(s->promised_pages * PAGE_BYTES, a),
			 screen_count(s->promised_pages, b));
		line(screen, "Promised", text);
	}
	if (*s->activity)
		line(screen, "Now", s->activity);
	snprintf(text, sizeof(text),
		 "%s daemon, %s ksmd, since the daemon started",
		 screen_usec(s->daemon_cpu_usec, a),
		 screen_usec(s->ksmd_cpu_usec, b));
	line(screen, "CPU time", text);
	snprintf(text, sizeof(text), "%s, bound %s",
		 screen_bytes(s->memory_used, a),
		 screen_bytes(s->memory_bound, b));
	line(screen, "Memory", text);
	snprintf(text, sizeof(text), "%s; hints: %s", s->engine, s->hints);
	line(screen, "Engine", text);
	if (*s->engine_detail)
		line(screen, "", s->engine_detail);
	if (!has_numa(s))
		return;
	snprintf(text, sizeof(text),
		 "%s: %s; %s pages moved, %s refused, fairness %.2f",
		 s->numa.policy, s->numa.activity,
		 screen_count(s->numa.moved, a),
		 screen_count(s->numa.refused, b),
		 s->numa.fairness_permyriad / 10000.0);
	line(screen, "NUMA", text);
}

static int print_targets(const struct screen *screen,
			 const struct client_status *s,
			 const struct client_accounts *accounts)
{
	static const struct table_column columns[] = {
		{ "TARGET", false, 0 },	  { "MODE", false, 0 },
		{ "PROCESSES", true, 0 }, { "SAVED", true, 0 },
		{ "SETTLED", true, 0 },	  { "CPU", true, 0 },
	};
	_cleanup_(table_clear) struct table table =
		table_new(columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < s->n_targets; i++) {
		const struct target_status *t = &s->targets[i];
		const struct account *a =
			&client_accounts_of_name(accounts, t->name)->account;
		char processes[SCREEN_NUMBER], saved[SCREEN_NUMBER];
		char settled[SCREEN_NUMBER], cpu[SCREEN_NUMBER];
		const char *cells[] = {
			t->name,
			t->mode,
			screen_count(t->processes, processes),
			screen_bytes(t->bytes_saved, saved),
			screen_bytes(a->settled * PAGE_BYTES, settled),
			screen_usec(a->daemon_usec + a->ksmd_usec, cpu),
		};
		int r = table_add(&table, cells);

		if (r < 0)
			return r;
	}
	fputc('\n', screen->out);
	if (s->n_targets)
		table_print(&table, screen, 0, NULL, NULL);
	else
		screen_wrap(
			screen, 0,
			"No process is managed: none is named in the configuration and none registered memory with KSM itself.");
	return 0;
}

static void print_warnings(const struct screen *screen,
			   const struct client_status *s)
{
	for (size_t i = 0; i < s->n_warnings; i++) {
		fprintf(screen->out, "%s%sWarning:%s ", i ? "" : "\n",
			screen_on(screen, SCREEN_YELLOW), screen_off(screen));
		screen_wrap(screen, strlen("Warning: "),
			    s->warnings[i].sentence);
	}
}

static int show(const struct ctl *ctl, const struct client_status *s,
		const struct accounts *accounts)
{
	if (ctl->json) {
		json_print(status_json(s, accounts), ctl->screen.out);
		return CTL_DONE;
	}
	print_head(&ctl->screen, s);
	print_values(&ctl->screen, s, accounts);
	if (print_targets(&ctl->screen, s, &accounts->targets) < 0) {
		log_error("Out of memory.");
		return CTL_FAILED;
	}
	print_warnings(&ctl->screen, s);
	return CTL_DONE;
}

static int status_run(const struct ctl *ctl)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(client_status_clear) struct client_status s = { 0 };
	struct accounts accounts = { 0 };
	int status = CTL_FAILED;

	if (client_open_loud(ctl->socket, &bus) >= 0 &&
	    client_get_status(bus, &s) >= 0 &&
	    client_get_accounts(bus, ACCOUNT_MACHINE, &accounts.machine) >= 0 &&
	    client_get_accounts(bus, ACCOUNT_TARGET, &accounts.targets) >= 0)
		status = show(ctl, &s, &accounts);
	client_accounts_clear(&accounts.machine);
	client_accounts_clear(&accounts.targets);
	return status;
}

const struct verb verb_status = {
	.name = "status",
	.summary = "what is saved, what is being done and why (the default)",
	.help = "Show what is saved now, what the daemon is doing and why, what it costs, the targets and the warnings.",
	.json = true,
	.run = status_run,
};
