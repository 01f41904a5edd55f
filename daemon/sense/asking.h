/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * asking - ask the kernel about processes, and do not wait for ever
 *
 * Some files of /proc/PID are answered under the process's mmap_lock: ksm_stat
 * (6.14), smaps, cmdline. Whoever reads them waits for as long as somebody
 * holds that lock, and a process can have it held for ever: by mmap() of a file
 * on a FUSE mount whose server does not answer (fs/fuse/file.c:
 * fuse_file_mmap(), invalidate_inode_pages2()), for which it takes no right but
 * to make namespaces. ps hangs then, too. So a few threads ask, one at a time,
 * while the loop's thread waits; one that gets no answer is left behind until
 * it does, and nobody asks about that process meanwhile. So that no tenant has
 * them all, who has ASKING_EACH such processes is not asked about any others.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "process.h"

struct asking;
struct root;

struct ask {
	struct process_id id;
	int dir; /* /proc/PID, which stays the caller's */
	/* 0, what the question returns, -ETIMEDOUT: no answer (yet), or
	 * -EBUSY: too many others give none, or too many of its tenant. */
	int result;
	struct process_facts facts; /* the caller's to clear, with result 0 */
	struct process_ksm ksm;
};

/* How many that give no answer there may be, at most; and of one tenant. */
#define ASKING_THREADS 16
#define ASKING_EACH    4
#define ASKING_NAME    "ksmd-plus-ask" /* of these threads */

/* @begin: what each thread does first, or NULL. @root outlives it. 0 or
 * negative errno. */
int asking_new(const struct root *root, void (*begin)(void),
	       struct asking **ret);

/* Who was left behind ends with the program: then something is not freed. */
struct asking *asking_free(struct asking *asking);

/* process_facts_read() of the @n of @v, by their .id. */
void asking_facts(struct asking *asking, bool smaps_too, struct ask *v,
		  size_t n);

/* process_ksm_read() of the @n of @v, by their .dir. */
void asking_ksm(struct asking *asking, struct ask *v, size_t n);

/* The same for one. 0, PROCESS_GONE or negative errno. */
int asking_ksm_of(struct asking *asking, const struct process *process,
		  struct process_ksm *ret);
