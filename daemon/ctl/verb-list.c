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

#include "cleanup.h"
#include "client-numa.h"
#include "client.h"
#include "json.h"
#include "log.h"
#include "table.h"

/* Notes below a process begin under its name, not under its pid. */
#define NOTE_INDENT 8

/* The columns that are there on machines with several memory nodes alone. */
#define COLUMNS_NUMA 7
#define COLUMNS_MAX  10

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

static struct json_object *list_json(const struct client_list *list,
				     const struct numa_status *numa)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < list->n; i++) {
		const struct process_status *p = &list->v[i];
		struct json_object *o = json_object_new_object();

		json_add_u64(o, "pid", p->pid);
		json_add_string(o, "comm", p->comm);
		json_add_string(o, "target", p->target);
		json_add_string(o, "mode", p->mode);
		json_add_string(o, "rule", p->rule);
		json_add_string(o, "state", p->state);
		json_add_u64(o, "tracked_pages", p->tracked_pages);
		json_add_u64(o, "enrolled_pages", p->enrolled_pages);
		json_add_u64(o, "pages_saved", p->pages_saved);
		json_add_u64(o, "bytes_saved", p->pages_saved * PAGE_BYTES);
		json_add_string(o, "note", p->note);
		numa_json(o, numa, p->pid);
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

/* The note comes last, for where there is no room for it. */
static int fill(struct table *table, const struct client_list *list,
		const struct numa_status *numa)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct process_status *p = &list->v[i];
		const struct numa_process_status *n = client_numa_find(numa,
								       p->pid);
		char pid[SCREEN_NUMBER], enrolled[SCREEN_NUMBER];
		char saved[SCREEN_NUMBER], local[SCREEN_NUMBER];
		char nodes[CLIENT_NUMA_NODES];
		const char *cells[COLUMNS_MAX] = {
			pid,
			p->comm,
			p->target,
			p->mode,
			p->state,
			screen_bytes(p->enrolled_pages * PAGE_BYTES, enrolled),
			screen_bytes(p->pages_saved * PAGE_BYTES, saved),
		};
		size_t k = COLUMNS_NUMA;
		int r;

		if (numa->policy && *numa->policy) {
			cells[k++] = client_numa_nodes(n ? n->home : 0, nodes);
			cells[k++] = local_share(n, local);
		}
		cells[k] = p->note;
		snprintf(pid, sizeof(pid), "%u", p->pid);
		r = table_add(table, cells);
		if (r < 0)
			return r;
	}
	return 0;
}

static const char *note_of(void *userdata, size_t row)
{
	const struct client_list *list = userdata;

	return list->v[row].note;
}

static int print_list(const struct screen *screen, struct client_list *list,
		      const struct numa_status *numa)
{
	static const struct table_column one_node[] = {
		{ "PID", true },   { "COMMAND", false }, { "TARGET", false },
		{ "MODE", false }, { "STATE", false },	 { "ENROLLED", true },
		{ "SAVED", true }, { "NOTE", false },
	};
	static const struct table_column nodes[COLUMNS_MAX] = {
		{ "PID", true },   { "COMMAND", false }, { "TARGET", false },
		{ "MODE", false }, { "STATE", false },	 { "ENROLLED", true },
		{ "SAVED", true }, { "NODES", false },	 { "LOCAL", true },
		{ "NOTE", false },
	};
	bool many = numa->policy && *numa->policy;
	const struct table_column *columns = many ? nodes : one_node;
	size_t n = many ? ARRAY_SIZE(nodes) : ARRAY_SIZE(one_node);
	_cleanup_(table_clear) struct table with = table_new(columns, n);
	_cleanup_(table_clear) struct table without = table_new(columns, n - 1);

	if (fill(&with, list, numa) < 0 || fill(&without, list, numa) < 0)
		return -1;
	if (table_width(&with) <= screen->width)
		table_print(&with, screen, 0, NULL, NULL);
	else
		table_print(&without, screen, NOTE_INDENT, note_of, list);
	return 0;
}

static int list_run(const struct ctl *ctl)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(client_list_clear) struct client_list list = { 0 };
	_cleanup_(client_status_clear) struct client_status status = { 0 };

	if (client_open_loud(ctl->socket, &bus) < 0 ||
	    client_get_list(bus, &list) < 0 ||
	    client_get_status(bus, &status) < 0)
		return CTL_FAILED;
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), by_saved);
	if (ctl->json) {
		json_print(list_json(&list, &status.numa), ctl->screen.out);
	} else if (!list.n && ctl->screen.terminal) {
		screen_wrap(
			&ctl->screen, 0,
			"No process is managed: none is named in the configuration and none registered memory with KSM itself.");
	} else if (print_list(&ctl->screen, &list, &status.numa) < 0) {
		log_error("Out of memory.");
		return CTL_FAILED;
	}
	return CTL_DONE;
}

const struct verb verb_list = {
	.name = "list",
	.summary = "the processes that are managed, by what they save",
	.help = "List the processes that the daemon manages, those that save most first: how much of each is enrolled with KSM, what that saves, and why nothing merges where nothing does.",
	.json = true,
	.run = list_run,
};
