/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * adopt - processes that were handed to us, and what they have forked
 *
 * `ksmd-plusctl run` hands over itself before it becomes the program that it
 * starts. Descendants are found by their parents: whoever was found once stays
 * adopted, also when its parents have ended. One whose parent ends within the
 * second between two walks of /proc is not found. Nothing is remembered of
 * who has exited, and nothing outlives the daemon.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <ksmd-plus/types.h>

struct adopt;
struct root;

enum {
	ADOPT_GONE = 1, /* there is no such process */
};

int adopt_new(const struct root *root, struct adopt **ret);
struct adopt *adopt_free(struct adopt *adopt);

/* Adopt @pid and what it forks. 0, ADOPT_GONE or negative errno. */
int adopt_add(struct adopt *adopt, pid_t pid);

/* Whether @id, who lives, is adopted; costs nothing where nobody is. */
bool adopt_has(struct adopt *adopt, struct process_id id);

/* To be called now and then: forget who has exited. */
void adopt_prune(struct adopt *adopt);
