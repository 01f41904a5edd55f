/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client-numa - the property Numa, as the client keeps it
 */
#pragma once

#include <systemd/sd-bus.h>

#include <ksmd-plus/status.h>

/*
 * Read the property's value from @m. Strings belong to @m, the arrays to
 * *ret, which is freed with client_numa_clear() whatever is returned.
 */
int client_numa_read(sd_bus_message *m, struct numa_status *ret);
void client_numa_clear(struct numa_status *numa);

/* What is known about a process, or NULL. */
const struct numa_process_status *client_numa_find(const struct numa_status *s,
						   uint32_t pid);

/* Node numbers of @bits: "0", "0-1,4". @buf is returned. */
#define CLIENT_NUMA_NODES 128
const char *client_numa_nodes(uint64_t bits, char buf[CLIENT_NUMA_NODES]);
