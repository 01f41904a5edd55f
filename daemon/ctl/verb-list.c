/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl list: the processes that the daemon knows, those that save most
 * first. A note (why nothing merges) is a column where there is room for it,
 * and a line of its own below the process elsewhere.
 */
#include "ctl.h"

#include <json-c/json.h>
#include <stdlib.h>

#include <ksmd-plus/types.h>

#include "accounts-show.h"
#include "cleanup.h"
#include "client-accounts.h"
#include "client-numa.h"
#include "client.h"
#include "json.h"
#include "log.h"
#include "table.h"

/* Notes below a process begin under its name, not under its pid. */
#define NOTE_INDENT 8

/* What a list is made of. */
struct listing {
	struct client_list list;
	struct client_status status;
	struct client_accounts accounts; /* of its processes */
};

static int by_saved(const void *a, const void *b)
{
	const struct process_status *x = a, *y = b;

	if (x->pages_saved != y->pages_saved)
		return x->pages_saved < y->pages_saved ? 1 : -1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* Where the merged pages of a process live, if that is known. */
static void numa_json(struct json_object *o, const struct numa_status *numa,
		      uint32_t pid)
{
	const struct numa_process_status *p = client_numa_find(numa, pid);
	char nodes[CLIENT_NUMA_NODES];

	if (!p)
		return;
	json_add_string(o, "nodes", client_numa_nodes(p->home, nodes));
	json_add_u64(o, "merged_pages", p->pages);
	json_add_u64(o, "merged_pages_local", p->local);
	json_add_string(o, "activity", p->activity);
}

static struct json_object *list_json(const struct listing *l)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < l->list.n; i++) {
		const struct process_status *p = &l->list.v[i];
		const struct account_row *row =
			client_accounts_of_pid(&l->accounts, p->pid);
		struct json_object *o = json_object_new_object();

		json_add_u64(o, "pid", p->pid);
		json_add_string(o, "comm", p->comm);
		json_add_string(o, "target", p->target);
		json_add_string(o, "unit", row->unit);
		json_add_string(o, "guest", row->guest);
		json_add_string(o, "mode", p->mode);
		json_add_string(o, "rule", p->rule);
		json_add_string(o, "state", p->state);
		json_add_u64(o, "tracked_pages", p->tracked_pages);
		json_add_u64(o, "enrolled_pages", p->enrolled_pages);
		json_add_u64(o, "pages_saved", p->pages_saved);
		json_add_u64(o, "bytes_saved", p->pages_saved * PAGE_BYTES);
		accounts_json_add(o, row);
		json_add_string(o, "note", p->note);
		numa_json(o, &l->status.numa, p->pid);
		json_object_array_add(array, o);
	}
	return array;
}

/* "83%" of the merged pages of @p are on its nodes; "" without any. */
static const char *local_share(const struct numa_process_status *p, char *buf)
{
	if (!p || !p->pages)
		return "";
	snprintf(buf, SCREEN_NUMBER, "%.0f%%",
		 100.0 * (double)p->local / (double)p->pages);
	return buf;
}

/* When a column is there. */
enum {
	ON_WIDE = 1, /* where all fits */
	ON_NODES = 2, /* with several memory nodes */
};

enum {
	C_PID,
	C_COMM,
	C_TARGET,
	C_MODE,
	C_STATE,
	C_ENROLLED,
	C_SAVED,
	C_SETTLED,
	C_PEAK,
	C_CPU,
	C_NODES,
	C_LOCAL,
	C_NOTE,
	C_MAX_
};

static const struct {
	struct table_column column;
	unsigned int on;
} all_columns[C_MAX_] = {
	[C_PID] = { { "PID", true, 0 }, 0 },
	[C_COMM] = { { "COMMAND", false, 0 }, 0 },
	[C_TARGET] = { { "TARGET", false, 0 }, 0 },
	[C_MODE] = { { "MODE", false, 0 }, ON_WIDE },
	[C_STATE] = { { "STATE", false, 0 }, 0 },
	[C_ENROLLED] = { { "ENROLLED", true, 0 }, 0 },
	[C_SAVED] = { { "SAVED", true, 0 }, 0 },
	[C_SETTLED] = { { "SETTLED", true, 0 }, 0 },
	[C_PEAK] = { { "PEAK", true, 0 }, ON_WIDE },
	[C_CPU] = { { "CPU", true, 0 }, 0 },
	[C_NODES] = { { "NODES", false, 0 }, ON_NODES },
	[C_LOCAL] = { { "LOCAL", true, 0 }, ON_NODES },
	[C_NOTE] = { { "NOTE", false, 0 }, ON_WIDE },
};

static int fill_row(struct table *table, const struct listing *l,
		    const struct process_status *p, unsigned int on)
{
	const struct numa_process_status *n = client_numa_find(&l->status.numa,
							       p->pid);
	const struct account *a =
		&client_accounts_of_pid(&l->accounts, p->pid)->account;
	char numbers[C_MAX_][SCREEN_NUMBER], nodes[CLIENT_NUMA_NODES];
	const char *cells[C_MAX_] = {
		[C_PID] = numbers[C_PID],
		[C_COMM] = p->comm,
		[C_TARGET] = p->target,
		[C_MODE] = p->mode,
		[C_STATE] = p->state,
		[C_ENROLLED] = screen_bytes(p->enrolled_pages * PAGE_BYTES,
					    numbers[C_ENROLLED]),
		[C_SAVED] = screen_bytes(p->pages_saved * PAGE_BYTES,
					 numbers[C_SAVED]),
		[C_SETTLED] = screen_bytes(a->settled * PAGE_BYTES,
					   numbers[C_SETTLED]),
		[C_PEAK] = screen_bytes(a->peak * PAGE_BYTES, numbers[C_PEAK]),
		[C_CPU] = screen_usec(a->daemon_usec + a->ksmd_usec,
				      numbers[C_CPU]),
		[C_NODES] = client_numa_nodes(n ? n->home : 0, nodes),
		[C_LOCAL] = local_share(n, numbers[C_LOCAL]),
		[C_NOTE] = p->note,
	};
	size_t k = 0;

	snprintf(numbers[C_PID], SCREEN_NUMBER, "%u", p->pid);
	for (size_t i = 0; i < C_MAX_; i++)
		if ((all_columns[i].on & on) == all_columns[i].on)
			cells[k++] = cells[i];
	return table_add(table, cells);
}

static const char *note_of(void *userdata, size_t row)
{
	const struct listing *l = userdata;

	return l->list.v[row].note;
}

/* Print it as wide as @on says. 0; 1 if there is no room for that, and it must
 * fit; or -ENOMEM. */
static int try_print(const struct screen *screen, struct listing *l,
		     unsigned int on, bool must_fit)
{
	struct table_column columns[C_MAX_];
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < C_MAX_; i++)
		if ((all_columns[i].on & on) == all_columns[i].on)
			columns[n++] = all_columns[i].column;
	_cleanup_(table_clear) struct table table = table_new(columns, n);
	for (size_t i = 0; !r && i < l->list.n; i++)
		r = fill_row(&table, l, &l->list.v[i], on);
	if (r < 0)
		return r;
	if (must_fit && table_width(&table) > screen->width)
		return 1;
	table_print(&table, screen, NOTE_INDENT, on & ON_WIDE ? NULL : note_of,
		    l);
	return 0;
}

static int print_list(const struct screen *screen, struct listing *l)
{
	unsigned int nodes = l->status.numa.policy && *l->status.numa.policy
				     ? ON_NODES
				     : 0;
	int r = try_print(screen, l, nodes | ON_WIDE, true);

	return r > 0 ? try_print(screen, l, nodes, false) : r;
}

static int list_processes(const struct ctl *ctl, sd_bus *bus, struct listing *l)
{
	if (client_get_list(bus, &l->list) < 0 ||
	    client_get_status(bus, &l->status) < 0 ||
	    client_get_accounts(bus, ACCOUNT_PROCESS, &l->accounts) < 0)
		return CTL_FAILED;
	if (l->list.n)
		qsort(l->list.v, l->list.n, sizeof(*l->list.v), by_saved);
	if (ctl->json) {
		json_print(list_json(l), ctl->screen.out);
	} else if (!l->list.n && ctl->screen.terminal) {
		screen_wrap(
			&ctl->screen, 0,
			"No process is managed: none is named in the configuration and none registered memory with KSM itself.");
	} else if (print_list(&ctl->screen, l) < 0) {
		log_error("Out of memory.");
		return CTL_FAILED;
	}
	return CTL_DONE;
}

static int list_groups(const struct ctl *ctl, sd_bus *bus,
		       enum account_kind kind)
{
	_cleanup_(client_accounts_clear) struct client_accounts list = { 0 };

	if (client_get_accounts(bus, kind, &list) < 0)
		return CTL_FAILED;
	if (ctl->json) {
		json_print(accounts_json(&list, kind), ctl->screen.out);
	} else if (accounts_print(&ctl->screen, &list, kind) < 0) {
		log_error("Out of memory.");
		return CTL_FAILED;
	}
	return CTL_DONE;
}

static int list_run(const struct ctl *ctl)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	enum account_kind kind = ACCOUNT_PROCESS;
	struct listing l = { 0 };
	int status;

	for (size_t i = 0; i < ctl->n_given; i++) {
		kind = account_kind_from_name(ctl->given[i].value);
		if (kind == ACCOUNT_KIND_MAX_ || kind == ACCOUNT_MACHINE) {
			log_error(
				"--by is one of process, unit, guest and target, not %s.",
				ctl->given[i].value);
			return CTL_USAGE;
		}
	}
	if (client_open_loud(ctl->socket, &bus) < 0)
		return CTL_FAILED;
	if (kind != ACCOUNT_PROCESS)
		return list_groups(ctl, bus, kind);
	status = list_processes(ctl, bus, &l);
	client_list_clear(&l.list);
	client_status_clear(&l.status);
	client_accounts_clear(&l.accounts);
	return status;
}

static const struct verb_option options[] = {
	{ "by", "KIND", "process (the default), unit, guest or target" },
	{ 0 },
};

const struct verb verb_list = {
	.name = "list",
	.summary = "the processes that are managed, by what they save",
	.help = "List the processes that the daemon manages, those that save most first: how much of each is enrolled with KSM, what that saves now and settled, the CPU time spent for it, and why nothing merges where nothing does. Or the accounts of units, guests or targets, with what their processes cost that have ended.",
	.options = options,
	.json = true,
	.run = list_run,
};
