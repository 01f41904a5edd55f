/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hints-none - stands in for hints.c where libbpf is not to be used (BPF=no)
 */
#include "hints.h"

#include <stdio.h>

#include "rights.h"

int hints_open(const struct root *root, enum hints_want want, uint32_t n_slots,
	       struct hints_state *ret_state, struct hints **ret)
{
	(void)root;
	(void)want;
	(void)n_slots;
	(void)ret;
	*ret_state = (struct hints_state){ .hook = HOOK_NONE };
	snprintf(ret_state->why, sizeof(ret_state->why),
		 "this build has no BPF");
	return HINTS_ABSENT;
}

struct hints *hints_close(struct hints *hints)
{
	(void)hints;
	return NULL;
}

uint64_t hints_rights(void)
{
	return RIGHTS_NONE;
}

const char *hints_hook_name(enum hints_hook hook)
{
	(void)hook;
	return "none";
}

bool hints_is_costly(enum hints_hook hook)
{
	(void)hook;
	return false;
}

int hints_rest(struct hints *hints, bool rest)
{
	(void)hints;
	(void)rest;
	return 0;
}

int hints_watch(struct hints *hints, pid_t tgid, uint32_t number)
{
	(void)hints;
	(void)tgid;
	(void)number;
	return HINTS_FULL;
}

void hints_unwatch(struct hints *hints, pid_t tgid)
{
	(void)hints;
	(void)tgid;
}

size_t hints_take(struct hints *hints, struct hint *out, size_t max,
		  uint64_t *lost)
{
	(void)hints;
	(void)out;
	(void)max;
	(void)lost;
	return 0;
}
