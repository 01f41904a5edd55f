/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top-rows.h"

#include <string.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "client-accounts.h"
#include "client.h"

#define PROCESSES (1U << ACCOUNT_PROCESS)
#define GROUPS	  (1U << ACCOUNT_TARGET | 1U << ACCOUNT_UNIT | 1U << ACCOUNT_GUEST)
#define ALL	  (PROCESSES | GROUPS)

/* clang-format off */
const struct top_column top_columns[] = {
#define C(member) offsetof(struct top_row, member)
	{ "PID", 'p', TOP_NUMBER, 8, 0, PROCESSES, C(pid) },
	{ "COMMAND", 'c', TOP_TEXT, 15, 0, PROCESSES, C(name) },
	{ "TARGET", 't', TOP_TEXT, 11, 0, PROCESSES, C(target) },
	{ "NAME", 'c', TOP_TEXT, 28, 0, GROUPS, C(name) },
	{ "PROCS", 'n', TOP_NUMBER, 6, 0, GROUPS, C(processes) },
	{ "MODE", 0, TOP_TEXT, 9, 100, PROCESSES, C(mode) },
	{ "STATE", 0, TOP_TEXT, 8, 0, PROCESSES, C(state) },
	{ "TRACKED", 'k', TOP_BYTES, 9, 100, PROCESSES, C(tracked) },
	{ "ENROLLED", 'e', TOP_BYTES, 9, 100, PROCESSES, C(enrolled) },
	{ "SAVED", 's', TOP_BYTES, 9, 0, ALL, C(saved) },
	{ "SETTLED", 'l', TOP_BYTES, 9, 0, ALL, C(settled) },
	{ "PEAK", 'm', TOP_BYTES, 9, 100, ALL, C(peak) },
	{ "BROKEN", 'b', TOP_NUMBER, 9, 100, ALL, C(broken) },
	{ "CPU", 'u', TOP_USEC, 9, 0, ALL, C(cpu_usec) },
	{ "STATE", 0, TOP_TEXT, 8, 0, GROUPS, C(state) },
	{ "NOTE", 0, TOP_TEXT, 0, 100, PROCESSES, C(note) },
#undef C
};
/* clang-format on */

const size_t top_n_columns = ARRAY_SIZE(top_columns);

bool top_column_is_shown(const struct top_column *c, enum account_kind kind,
			 size_t columns)
{
	return (c->kinds & 1U << kind) && c->columns <= columns;
}

size_t top_column_width(const struct top_column *c, enum account_kind kind,
			size_t columns)
{
	size_t used = 0;

	if (c->kinds != GROUPS || c->offset != offsetof(struct top_row, name))
		return c->width;
	for (size_t i = 0; i < top_n_columns; i++)
		if (top_column_is_shown(&top_columns[i], kind, columns))
			used += top_columns[i].width + 1;
	return MIN(c->width + (columns > used ? columns - used : 0),
		   (size_t)ACCOUNT_NAME_SIZE);
}

size_t top_column_first(void)
{
	size_t i = 0;

	while (top_columns[i].key != 's')
		i++;
	return i;
}

uint64_t top_row_number(const struct top_row *row, const struct top_column *c)
{
	return *(const uint64_t *)((const char *)row + c->offset);
}

const char *top_row_text(const struct top_row *row, const struct top_column *c)
{
	return *(const char *const *)((const char *)row + c->offset);
}

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare(const void *pa, const void *pb, void *userdata)
{
	const struct top_row *a = pa, *b = pb;
	const struct top_column *c = userdata;
	int r = 0;

	if (c->kind == TOP_TEXT)
		r = strcmp(top_row_text(a, c), top_row_text(b, c));
	else if (c->key != 'p')
		r = order(top_row_number(b, c), top_row_number(a, c));
	if (!r)
		r = order(a->pid, b->pid);
	return r ? r : strcmp(a->name, b->name);
}

void top_rows_sort(struct top_rows *rows, size_t column)
{
	struct top_column c = top_columns[column];

	if (rows->n)
		qsort_r(rows->v, rows->n, sizeof(*rows->v), compare, &c);
}

static void figures_set(struct top_row *row, const struct account *a)
{
	row->settled = a->settled * PAGE_BYTES;
	row->peak = a->peak * PAGE_BYTES;
	row->broken = a->broken;
	row->cpu_usec = a->daemon_usec + a->ksmd_usec;
}

static int processes_make(struct top_rows *rows, const struct client_list *list,
			  const struct client_accounts *accounts)
{
	int r = 0;

	for (size_t i = 0; !r && i < list->n; i++) {
		const struct process_status *p = &list->v[i];
		struct top_row row = {
			.pid = p->pid,
			.name = p->comm,
			.target = p->target,
			.mode = p->mode,
			.state = p->state,
			.note = p->note,
			.processes = 1,
			.tracked = p->tracked_pages * PAGE_BYTES,
			.enrolled = p->enrolled_pages * PAGE_BYTES,
			.saved = p->pages_saved * PAGE_BYTES,
		};

		figures_set(&row,
			    &client_accounts_of_pid(accounts, p->pid)->account);
		r = vec_push(rows, row);
	}
	return r;
}

int top_rows_make(struct top_rows *rows, enum account_kind kind,
		  const struct client_list *list,
		  const struct client_accounts *accounts)
{
	int r = 0;

	rows->n = 0;
	if (kind == ACCOUNT_PROCESS)
		return processes_make(rows, list, accounts);
	for (size_t i = 0; !r && i < accounts->n; i++) {
		const struct account_row *a = &accounts->v[i];
		struct top_row row = {
			.name = a->name,
			.target = "",
			.mode = "",
			.state = a->reason ? "held" : "",
			.note = "",
			.processes = a->processes,
			.saved = a->account.saved * PAGE_BYTES,
		};

		figures_set(&row, &a->account);
		r = vec_push(rows, row);
	}
	return r;
}
