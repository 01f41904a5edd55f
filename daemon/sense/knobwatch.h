/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * knobwatch - who writes KSM's knobs while we look
 *
 * By fanotify, which tells who it was, also where the value stays the same;
 * needs CAP_SYS_ADMIN. Nobody is held up, and nothing is written.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct root;

struct knobwatch {
	int fd;
};

#define KNOBWATCH_NONE                                                         \
	(struct knobwatch)                                                     \
	{                                                                      \
		.fd = -1                                                       \
	}

struct knobwrite {
	pid_t pid;
	char comm[64]; /* as it is; "" if it has ended since */
	char knob[32];
};

/* 0 with *ret to be closed, or negative errno. */
int knobwatch_open(const struct root *root, struct knobwatch *ret);
void knobwatch_close(struct knobwatch *watch);

/*
 * The next write, if need be the first until @until_usec of CLOCK_MONOTONIC.
 * Return: 0, KNOBWATCH_QUIET or negative errno.
 */
enum { KNOBWATCH_QUIET = 1 };
int knobwatch_next(const struct knobwatch *watch, const struct root *root,
		   uint64_t until_usec, struct knobwrite *ret);
