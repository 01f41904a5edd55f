/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pick - which thread of a process may be held
 *
 * Best is one that sleeps in a call that the kernel restarts exactly; never a
 * helper of io_uring or vhost, a vCPU, or a thread that will not stop. All is
 * read from /proc and may be outdated at once: who holds the thread checks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What matters of one /proc/PID/task/TID/stat. */
struct pick_stat {
	char state;
	pid_t parent;
	uint32_t flags; /* PF_... of the kernel */
	uint64_t start_time;
	uint64_t stack; /* where it begins; 0: not told */
};

/* Bits of pick_stat.flags, from include/linux/sched.h. */
#define PICK_FORKED 0x40u /* forked, and has not exec'ed since */
#define PICK_KERNEL 0x00200000u /* a kernel thread */

/* Read the file @path below @dir. 0, or -ESRCH where there is none. */
int pick_stat_read(int dir, const char *path, struct pick_stat *ret);

/* Parse the text of such a file, which is changed. 0 or -EINVAL. */
int pick_stat_parse(char *text, struct pick_stat *ret);

/*
 * Choose a thread of the process whose /proc/PID is @dir.
 *
 * Return: 0 with its id in *ret_tid, or why there is none, an enum
 * inject_reason.
 */
int pick_thread(int dir, pid_t *ret_tid);
