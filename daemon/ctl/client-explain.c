/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client-explain.h"

#include <stdlib.h>

#include <ksmd-plus/control.h>

#include "cleanup.h"
#include "vec.h"

static int read_reasons(sd_bus_message *m, struct client_reasons *ret)
{
	struct VEC(struct reason_status) rows = { 0 };
	struct reason_status row;
	const char *name;
	int r = sd_bus_message_enter_container(m, 'a', "(sts)");

	while (r >= 0 && (r = sd_bus_message_read(m, "(sts)", &name, &row.pages,
						  &row.detail)) > 0) {
		row.reason = reason_from_name(name);
		if (row.reason)
			r = vec_push(&rows, row);
	}
	ret->v = rows.v;
	ret->n = rows.n;
	return r;
}

int client_explain(sd_bus *bus, uint32_t pid, struct client_reasons *ret)
{
	_cleanup_(client_reasons_clear) struct client_reasons reasons = { 0 };
	int r = sd_bus_call_method(bus, NULL, CONTROL_PATH, CONTROL_INTERFACE,
				   "ExplainProcess", NULL, &reasons.reply, "u",
				   pid);

	if (r >= 0)
		r = read_reasons(reasons.reply, &reasons);
	if (r < 0)
		return r;
	*ret = reasons;
	reasons = (struct client_reasons){ 0 };
	return 0;
}

void client_reasons_clear(struct client_reasons *reasons)
{
	free(reasons->v);
	sd_bus_message_unref(reasons->reply);
	*reasons = (struct client_reasons){ 0 };
}
