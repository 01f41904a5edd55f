/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rivals - who else steers KSM, or does its work
 *
 * By the names of their processes, by what the kernel has, and by units, which
 * systemd is to be asked for: a unit such as ksm.service sets a knob and has
 * no process. They may be there and never write; see knobwatch.h.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct root;

#define RIVALS_MAX 8U

struct rival {
	const char *name;
	int32_t pid; /* 0: the kernel's */
	const char *remedy; /* a command */
};

/* Fill @ret, a name once. Return: how many. */
size_t rivals_find(const struct root *root, struct rival ret[RIVALS_MAX]);

/* The units to ask for; ends with NULL. */
extern const char *const rivals_units[];
