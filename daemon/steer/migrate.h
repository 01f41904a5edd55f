/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * migrate - moves merged pages to another memory node, with all who map them
 *
 * move_pages(2) with MPOL_MF_MOVE_ALL on one process that maps them: the page
 * stays merged, its content and everybody's addresses stay (facts, section
 * 6). Whoever touches it meanwhile waits for it, some microseconds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct frames;
struct process;

/* Pages of one call: the kernel drains all CPUs' caches once in each, and we
 * hold up whoever we work for no longer. */
#define MIGRATE_MAX 1024

struct migrate_page {
	uint64_t address; /* in the process */
	uint64_t pfn; /* where it was when this was decided */
	uint32_t mappings; /* of it that are known */
	int node; /* to which it is to go */
};

struct migrate_result {
	uint32_t moved;
	uint32_t changed; /* something else is there now: left alone */
	uint32_t busy; /* in use just now; another time */
	uint32_t refused; /* the process may not use that node (cpuset) */
	uint32_t no_memory; /* of the node */
};

enum {
	MIGRATE_GONE = 1, /* the process has exited */
};

/*
 * Move up to MIGRATE_MAX pages. Each is looked at again right before, and only
 * moved if the address still maps the same frame and nobody else does.
 *
 * Return: 0, MIGRATE_GONE, or negative errno (-EPERM: CAP_SYS_NICE is
 * missing, or an LSM says no).
 */
int migrate_pages(const struct process *process, const struct frames *frames,
		  const struct migrate_page *pages, size_t n,
		  struct migrate_result *ret);
