/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client-numa.h"

#include <stdlib.h>

#include <ksmd-plus/control.h>

#include "vec.h"

static int read_nodes(sd_bus_message *m, struct numa_status *s)
{
	struct VEC(struct numa_node_status) rows = { 0 };
	struct numa_node_status n;
	int r = sd_bus_message_enter_container(m, 'a', "(ut)");

	while (r >= 0 &&
	       (r = sd_bus_message_read(m, "(ut)", &n.node, &n.pages)) > 0)
		r = vec_push(&rows, n);
	s->nodes = rows.v;
	s->n_nodes = rows.n;
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_processes(sd_bus_message *m, struct numa_status *s)
{
	struct VEC(struct numa_process_status) rows = { 0 };
	struct numa_process_status p;
	int r = sd_bus_message_enter_container(m, 'a', "(uttts)");

	while (r >= 0 &&
	       (r = sd_bus_message_read(m, "(uttts)", &p.pid, &p.home, &p.pages,
					&p.local, &p.activity)) > 0)
		r = vec_push(&rows, p);
	s->processes = rows.v;
	s->n_processes = rows.n;
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

int client_numa_read(sd_bus_message *m, struct numa_status *ret)
{
	int r = sd_bus_message_enter_container(m, 'r', CONTROL_NUMA_FIELDS);

	if (r >= 0)
		r = sd_bus_message_read(m, "ssttttu", &ret->policy,
					&ret->activity, &ret->moved,
					&ret->refused, &ret->rounds,
					&ret->cpu_usec,
					&ret->fairness_permyriad);
	if (r >= 0)
		r = read_nodes(m, ret);
	if (r >= 0)
		r = read_processes(m, ret);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

void client_numa_clear(struct numa_status *numa)
{
	free((void *)numa->nodes);
	free((void *)numa->processes);
	*numa = (struct numa_status){ 0 };
}

const struct numa_process_status *client_numa_find(const struct numa_status *s,
						   uint32_t pid)
{
	for (size_t i = 0; i < s->n_processes; i++)
		if (s->processes[i].pid == pid)
			return &s->processes[i];
	return NULL;
}

const char *client_numa_nodes(uint64_t bits, char buf[CLIENT_NUMA_NODES])
{
	size_t len = 0;

	buf[0] = '\0';
	for (int first = 0; first < 64; first++) {
		int last = first;

		if (!(bits >> first & 1))
			continue;
		while (last < 63 && (bits >> (last + 1) & 1))
			last++;
		len += (size_t)snprintf(buf + len, CLIENT_NUMA_NODES - len,
					"%s%d", len ? "," : "", first);
		if (last > first)
			len += (size_t)snprintf(buf + len,
						CLIENT_NUMA_NODES - len, "-%d",
						last);
		first = last;
	}
	return buf;
}
