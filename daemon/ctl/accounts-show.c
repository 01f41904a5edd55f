/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accounts-show.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "json.h"
#include "table.h"

char *accounts_bytes(int64_t bytes, char buf[ACCOUNTS_NUMBER])
{
	if (bytes >= 0)
		return screen_bytes((uint64_t)bytes, buf);
	buf[0] = '-';
	screen_bytes(-(uint64_t)bytes, buf + 1);
	return buf;
}

void accounts_json_add(struct json_object *o, const struct account_row *row)
{
	const struct account *a = &row->account;
	struct json_object *cpu = json_object_new_object();

	json_add_u64(o, "pages_settled", a->settled);
	json_add_u64(o, "pages_peak", a->peak);
	json_add_u64(o, "pages_broken", a->broken);
	json_object_object_add(o, "profit_bytes",
			       json_object_new_int64(a->profit));
	json_add_u64(cpu, "daemon", a->daemon_usec);
	json_add_u64(cpu, "ksmd", a->ksmd_usec);
	json_object_object_add(o, "cpu_spent_usec", cpu);
	json_object_object_add(
		o, "held", json_object_new_boolean(row->reason != REASON_NONE));
}

struct json_object *accounts_json(const struct client_accounts *list,
				  enum account_kind kind)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < list->n; i++) {
		const struct account_row *row = &list->v[i];
		struct json_object *o = json_object_new_object();

		json_add_string(o, account_kind_name(kind), row->name);
		json_add_u64(o, "processes", row->processes);
		json_add_u64(o, "pages_saved", row->account.saved);
		json_add_u64(o, "bytes_saved", row->account.saved * PAGE_BYTES);
		accounts_json_add(o, row);
		json_object_array_add(array, o);
	}
	return array;
}

static int by_saved(const void *pa, const void *pb)
{
	const struct account_row *a = pa, *b = pb;

	if (a->account.saved != b->account.saved)
		return a->account.saved < b->account.saved ? 1 : -1;
	return strcmp(a->name, b->name);
}

static int row_add(struct table *table, const struct account_row *row)
{
	const struct account *a = &row->account;
	char processes[SCREEN_NUMBER], saved[SCREEN_NUMBER];
	char settled[SCREEN_NUMBER], peak[SCREEN_NUMBER];
	char broken[SCREEN_NUMBER], cpu[SCREEN_NUMBER], ksmd[SCREEN_NUMBER];
	char profit[ACCOUNTS_NUMBER];
	const char *cells[] = {
		row->name,
		screen_count(row->processes, processes),
		screen_bytes(a->saved * PAGE_BYTES, saved),
		screen_bytes(a->settled * PAGE_BYTES, settled),
		screen_bytes(a->peak * PAGE_BYTES, peak),
		accounts_bytes(a->profit, profit),
		screen_count(a->broken, broken),
		screen_usec(a->daemon_usec, cpu),
		screen_usec(a->ksmd_usec, ksmd),
		row->reason ? "held" : "",
	};

	return table_add(table, cells);
}

int accounts_print(const struct screen *screen, struct client_accounts *list,
		   enum account_kind kind)
{
	static const char *const titles[ACCOUNT_KIND_MAX_] = {
		"MACHINE", "TARGET", "UNIT", "GUEST", "PROCESS"
	};
	const struct table_column columns[] = {
		{ titles[kind], false, 0 }, { "PROCS", true, 0 },
		{ "SAVED", true, 0 },	    { "SETTLED", true, 0 },
		{ "PEAK", true, 4 },	    { "PROFIT", true, 0 },
		{ "BROKEN", true, 2 },	    { "DAEMON", true, 1 },
		{ "KSMD", true, 3 },	    { "STATE", false, 0 },
	};
	_cleanup_(table_clear) struct table table =
		table_new(columns, ARRAY_SIZE(columns));
	int r = 0;

	if (list->n)
		qsort(list->v, list->n, sizeof(*list->v), by_saved);
	for (size_t i = 0; !r && i < list->n; i++)
		r = row_add(&table, &list->v[i]);
	if (!r)
		table_print(&table, screen, 0, NULL, NULL);
	return r;
}
