/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * topology - memory nodes: whose a frame is, whose a CPU is
 *
 * From the kernel's own directories of nodes. A frame's node is that of the
 * memory block it lies in; in a block that two nodes share it cannot be
 * told (pagenode can). Nodes without memory have no CPUs here: nothing can live there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "files.h"

/* Nodes with greater numbers are not known; Debian's kernels allow 1024. */
#define TOPOLOGY_NODES 64

struct topology;

/* 0, -ENODATA (no directories of nodes or blocks) or negative errno. */
int topology_read(const struct root *root, struct topology **ret);
struct topology *topology_free(struct topology *topology);

/* Nodes with memory, as bits, and how many these are. */
uint64_t topology_nodes(const struct topology *topology);
unsigned int topology_count(const struct topology *topology);

/* Instead of a node number. */
enum {
	TOPOLOGY_UNKNOWN = -1, /* nobody's, as far as is known */
	TOPOLOGY_SHARED = -2, /* in a block of several nodes */
};

/* Node number, or one of the above. */
int topology_frame_node(const struct topology *topology, uint64_t pfn);
int topology_cpu_node(const struct topology *topology, uint32_t cpu);

/* The nodes of the CPUs that @list names ("0-3,8"), as bits. */
uint64_t topology_cpus_nodes(const struct topology *topology, const char *list);

/* The numbers in "0-3,8" below 64, as bits. */
uint64_t topology_list_bits(const char *list);

/*
 * Whether @node can take pages without pushing out others: enough is free or
 * file cache that was not used lately. False where it cannot be told.
 */
bool topology_has_room(const struct root *root, int node);
