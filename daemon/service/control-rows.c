/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control-rows.h"

#include <ksmd-plus/control.h>

#include "utf8.h"

static int append_process(sd_bus_message *reply, const struct process_status *p)
{
	char comm[64], target[256], mode[32], rule[256], state[32], note[256];

	return sd_bus_message_append(
		reply, "(usssssttts)", p->pid,
		utf8_clean(p->comm, comm, sizeof(comm)),
		utf8_clean(p->target, target, sizeof(target)),
		utf8_clean(p->mode, mode, sizeof(mode)),
		utf8_clean(p->rule, rule, sizeof(rule)),
		utf8_clean(p->state, state, sizeof(state)), p->tracked_pages,
		p->enrolled_pages, p->pages_saved,
		utf8_clean(p->note, note, sizeof(note)));
}

int control_append_processes(sd_bus_message *reply,
			     const struct process_status *rows, size_t n)
{
	int r = sd_bus_message_open_container(reply, 'a', "(usssssttts)");

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = append_process(reply, &rows[i]);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_account(sd_bus_message *reply, const struct account_row *row)
{
	char name[ACCOUNT_NAME_SIZE], unit[ACCOUNT_NAME_SIZE];
	char guest[ACCOUNT_NAME_SIZE];
	const struct account *a = &row->account;

	return sd_bus_message_append(
		reply, "(" CONTROL_ACCOUNT_FIELDS ")", row->pid,
		utf8_clean(row->name, name, sizeof(name)),
		utf8_clean(row->unit, unit, sizeof(unit)),
		utf8_clean(row->guest, guest, sizeof(guest)), row->processes,
		a->saved, a->settled, a->peak, a->broken, a->daemon_usec,
		a->ksmd_usec, a->profit, reason_text(row->reason)->name);
}

int control_append_accounts(sd_bus_message *reply,
			    const struct account_row *rows, size_t n)
{
	int r = sd_bus_message_open_container(reply, 'a',
					      "(" CONTROL_ACCOUNT_FIELDS ")");

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = append_account(reply, &rows[i]);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int control_append_reasons(sd_bus_message *reply,
			   const struct reason_status *rows, size_t n)
{
	int r = sd_bus_message_open_container(reply, 'a', "(sts)");

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = sd_bus_message_append(reply, "(sts)",
					  reason_text(rows[i].reason)->name,
					  rows[i].pages, rows[i].detail);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}
