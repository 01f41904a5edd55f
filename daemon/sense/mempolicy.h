/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mempolicy - where a process is told to have its memory
 *
 * numactl and libvirt pin by affinity and cpuset, which are in
 * /proc/PID/status, and by the policy of set_mempolicy(2), which is in
 * numa_maps alone. That file walks the page tables of each mapping that it
 * shows, under the process's mmap lock: of a large guest for a second. So one
 * line is read, that of the first mapping, and only if that is small. It
 * shows the main thread's policy, which all threads have that were started
 * later. A policy of single mappings (mbind) shows in where their pages are;
 * that is for pagemap to say, region by region.
 */
#pragma once

#include <stdint.h>

struct mempolicy {
	uint64_t bound; /* nodes, as bits; 0: any */
	uint64_t preferred; /* the same */
};

/*
 * The policy of the process whose /proc/PID is @dir. All zero where there is
 * none, or none that can be had at this price.
 */
void mempolicy_read(int dir, struct mempolicy *ret);

/* From a line of numa_maps, which may be cut off behind the policy. */
void mempolicy_parse(const char *line, struct mempolicy *ret);
