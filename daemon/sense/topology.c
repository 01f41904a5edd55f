/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "topology.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "vec.h"

#include <ksmd-plus/types.h>

#define NODES_DIR "devices/system/node"
#define BLOCKS	  "devices/system/memory/block_size_bytes"
/* A node is full below this part of it: 1/20. */
#define ROOM_SHARE 20

struct node_numbers VEC(int8_t);

struct topology {
	uint64_t nodes;
	uint64_t block_pages;
	struct node_numbers blocks;
	struct node_numbers cpus;
};

/* Grow @numbers up to @at, and set it. */
static int number_set(struct node_numbers *numbers, uint64_t at, int node)
{
	while (numbers->n <= at)
		if (vec_push(numbers, TOPOLOGY_UNKNOWN))
			return -ENOMEM;
	numbers->v[at] = (int8_t)(numbers->v[at] == TOPOLOGY_UNKNOWN
					  ? node
					  : TOPOLOGY_SHARED);
	return 0;
}

/* The next range of "0-3,8"; false at the end, or at something else. */
static bool list_next(const char **at, uint32_t *ret_first, uint32_t *ret_last)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return false;
	*ret_first = *ret_last = (uint32_t)strtoul(*at, &end, 10);
	if (*end == '-')
		*ret_last = (uint32_t)strtoul(end + 1, &end, 10);
	*at = end + (*end == ',');
	return true;
}

uint64_t topology_list_bits(const char *list)
{
	uint32_t first, last;
	uint64_t bits = 0;

	while (list_next(&list, &first, &last))
		for (uint32_t i = first; i <= last && i < 64; i++)
			bits |= 1ULL << i;
	return bits;
}

static int cpus_read(const struct root *root, int node, struct topology *t)
{
	char path[64], text[4096];
	const char *at = text;
	uint32_t first, last;
	ssize_t n;

	snprintf(path, sizeof(path), NODES_DIR "/node%d/cpulist", node);
	n = file_read(root->sys, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	while (list_next(&at, &first, &last))
		for (uint32_t cpu = first; cpu <= last && cpu < 1U << 16; cpu++)
			if (number_set(&t->cpus, cpu, node))
				return -ENOMEM;
	return 0;
}

/* Its memory blocks are links: memory32 and so on. */
static int blocks_read(const struct root *root, int node, struct topology *t)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;
	int fd, r = 0;

	snprintf(path, sizeof(path), NODES_DIR "/node%d", node);
	fd = openat(root->sys, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		close_fd(fd);
		return fd < 0 ? -ENOENT : -ENOMEM;
	}
	while (!r && (entry = readdir(dir))) {
		unsigned int block;

		if (sscanf(entry->d_name, "memory%u", &block) == 1 &&
		    block < 1U << 24)
			r = number_set(&t->blocks, block, node);
	}
	closedir(dir);
	return r;
}

static int block_size_read(const struct root *root, uint64_t *ret_pages)
{
	char text[32];
	ssize_t n = file_read(root->sys, BLOCKS, text, sizeof(text));
	uint64_t bytes;

	if (n < 0)
		return -ENODATA;
	bytes = strtoull(text, NULL, 16);
	if (bytes < PAGE_BYTES)
		return -ENODATA;
	*ret_pages = bytes / PAGE_BYTES;
	return 0;
}

DEFINE_CLEANUP(struct topology, topology_free)

int topology_read(const struct root *root, struct topology **ret)
{
	_cleanup_(topology_freep) struct topology *t = calloc(1, sizeof(*t));
	char text[512];
	int r;

	if (!t)
		return -ENOMEM;
	if (file_read(root->sys, NODES_DIR "/has_memory", text, sizeof(text)) <
	    0)
		return -ENODATA;
	t->nodes = topology_list_bits(text);
	r = block_size_read(root, &t->block_pages);
	for (int node = 0; !r && node < TOPOLOGY_NODES; node++) {
		if (!(t->nodes >> node & 1))
			continue;
		r = cpus_read(root, node, t);
		if (!r)
			r = blocks_read(root, node, t);
	}
	if (!r && !t->blocks.n)
		r = -ENODATA;
	if (r)
		return r;
	*ret = TAKE_PTR(t);
	return 0;
}

struct topology *topology_free(struct topology *t)
{
	if (!t)
		return NULL;
	vec_free(&t->blocks);
	vec_free(&t->cpus);
	free(t);
	return NULL;
}

uint64_t topology_nodes(const struct topology *t)
{
	return t->nodes;
}

unsigned int topology_count(const struct topology *t)
{
	return (unsigned int)__builtin_popcountll(t->nodes);
}

int topology_frame_node(const struct topology *t, uint64_t pfn)
{
	uint64_t block = pfn / t->block_pages;

	return block < t->blocks.n ? t->blocks.v[block] : TOPOLOGY_UNKNOWN;
}

int topology_cpu_node(const struct topology *t, uint32_t cpu)
{
	return cpu < t->cpus.n ? t->cpus.v[cpu] : TOPOLOGY_UNKNOWN;
}

uint64_t topology_cpus_nodes(const struct topology *t, const char *list)
{
	uint32_t first, last;
	uint64_t nodes = 0;

	while (list_next(&list, &first, &last))
		for (uint32_t cpu = first; cpu <= last && cpu < t->cpus.n;
		     cpu++)
			if (t->cpus.v[cpu] >= 0)
				nodes |= 1ULL << t->cpus.v[cpu];
	return nodes;
}

/* KiB after @name in a node's meminfo; 0 if it is not there. */
static uint64_t meminfo_kib(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

bool topology_has_room(const struct root *root, int node)
{
	char path[64], text[4096];
	uint64_t room;

	snprintf(path, sizeof(path), NODES_DIR "/node%d/meminfo", node);
	if (file_read(root->sys, path, text, sizeof(text)) < 0)
		return false;
	room = meminfo_kib(text, " MemFree:") +
	       meminfo_kib(text, " Inactive(file):");
	return room > meminfo_kib(text, " MemTotal:") / ROOM_SHARE;
}
