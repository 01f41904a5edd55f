/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pagenode - on which memory nodes pages of a process are, by asking
 *
 * move_pages(2) without nodes only asks. Ten times as dear as the block a
 * frame lies in (topology), and exact.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct process;

/* Pages of one call. */
#define PAGENODE_MAX 1024U

enum {
	PAGENODE_GONE = 1, /* the process has exited */
};

/*
 * Ask for the nodes of the pages at up to PAGENODE_MAX @addresses. A negative
 * node: there is none, nothing may be known about it, or just not now.
 *
 * Return: 0, PAGENODE_GONE, or negative errno; then *ret_nodes is undefined.
 */
int pagenode_ask(const struct process *process, const uint64_t *addresses,
		 size_t n, int *ret_nodes);
