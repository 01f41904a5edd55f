/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control-numa.h"

#include <ksmd-plus/control.h>
#include <ksmd-plus/status.h>

static int append_nodes(sd_bus_message *reply, const struct numa_status *s)
{
	int r = sd_bus_message_open_container(reply, 'a', "(ut)");

	for (size_t i = 0; r >= 0 && i < s->n_nodes; i++)
		r = sd_bus_message_append(reply, "(ut)", s->nodes[i].node,
					  s->nodes[i].pages);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_processes(sd_bus_message *reply, const struct numa_status *s)
{
	int r = sd_bus_message_open_container(reply, 'a', "(uttts)");

	for (size_t i = 0; r >= 0 && i < s->n_processes; i++) {
		const struct numa_process_status *p = &s->processes[i];

		r = sd_bus_message_append(reply, "(uttts)", p->pid, p->home,
					  p->pages, p->local, p->activity);
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int control_numa_get(sd_bus *bus, const char *path, const char *interface,
		     const char *property, sd_bus_message *reply,
		     void *userdata, sd_bus_error *error)
{
	const struct numa_status *s = userdata;
	int r;

	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)error;
	r = sd_bus_message_open_container(reply, 'r', CONTROL_NUMA_FIELDS);
	if (r >= 0)
		r = sd_bus_message_append(reply, "ssttttu",
					  s->policy ? s->policy : "",
					  s->activity ? s->activity : "",
					  s->moved, s->refused, s->rounds,
					  s->cpu_usec, s->fairness_permyriad);
	if (r >= 0)
		r = append_nodes(reply, s);
	if (r >= 0)
		r = append_processes(reply, s);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}
