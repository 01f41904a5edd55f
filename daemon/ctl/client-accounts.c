/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client-accounts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/control.h>

#include "cleanup.h"
#include "log.h"
#include "search.h"
#include "vec.h"

static const struct account_row none = { .name = "", .unit = "", .guest = "" };

static int by_pid_and_name(const void *pa, const void *pb)
{
	const struct account_row *a = pa, *b = pb;

	if (a->pid != b->pid)
		return a->pid < b->pid ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int read_accounts(sd_bus_message *m, struct client_accounts *ret)
{
	struct VEC(struct account_row) rows = { 0 };
	struct account_row row = { 0 };
	struct account *a = &row.account;
	const char *reason;
	int r = sd_bus_message_enter_container(m, 'a',
					       "(" CONTROL_ACCOUNT_FIELDS ")");

	while (r >= 0 &&
	       (r = sd_bus_message_read(
			m, "(" CONTROL_ACCOUNT_FIELDS ")", &row.pid, &row.name,
			&row.unit, &row.guest, &row.processes, &a->saved,
			&a->settled, &a->peak, &a->broken, &a->daemon_usec,
			&a->ksmd_usec, &a->profit, &reason)) > 0) {
		row.reason = reason_from_name(reason);
		r = vec_push(&rows, row);
	}
	ret->v = rows.v;
	ret->n = rows.n;
	return r;
}

int client_get_accounts(sd_bus *bus, enum account_kind kind,
			struct client_accounts *ret)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(client_accounts_clear) struct client_accounts list = { 0 };
	int r = sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				   "ListAccounts", &error, &list.reply, "s",
				   account_kind_name(kind));

	if (sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_METHOD)) {
		*ret = (struct client_accounts){ 0 };
		return 0;
	}
	if (r >= 0)
		r = read_accounts(list.reply, &list);
	if (r < 0)
		return log_error_errno(r, "Asking for the accounts failed");
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), by_pid_and_name);
	*ret = list;
	list = (struct client_accounts){ 0 };
	return 0;
}

void client_accounts_clear(struct client_accounts *list)
{
	free(list->v);
	sd_bus_message_unref(list->reply);
	*list = (struct client_accounts){ 0 };
}

const struct account_row *
client_accounts_of_pid(const struct client_accounts *list, uint32_t pid)
{
	size_t at = search_first(list->n, i, list->v[i].pid >= pid);

	return at < list->n && list->v[at].pid == pid ? &list->v[at] : &none;
}

const struct account_row *
client_accounts_of_name(const struct client_accounts *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i].name, name))
			return &list->v[i];
	return &none;
}
