/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rights - give up what is not needed
 *
 * Capabilities belong to each thread. Nothing here ever gains one: what is to
 * be kept and is not there is simply not kept. Sets are bits by the numbers of
 * <linux/capability.h>, which a container may not all have.
 */
#pragma once

#include <linux/capability.h>
#include <stdint.h>

#define RIGHTS_NONE UINT64_C(0)
#define RIGHT(cap)  (UINT64_C(1) << (cap))

/*
 * What the daemon's main thread needs: to open /proc/PID/mem and its kind of
 * anybody (PTRACE, and DAC_READ_SEARCH since they are their owner's alone),
 * with frame numbers in pagemap (SYS_ADMIN). Hints add theirs.
 */
#define RIGHTS_LOOP                                                            \
	(RIGHT(CAP_SYS_PTRACE) | RIGHT(CAP_SYS_ADMIN) |                        \
	 RIGHT(CAP_DAC_READ_SEARCH))

/* Its askers read no pages. */
#define RIGHTS_ASKER (RIGHT(CAP_SYS_PTRACE) | RIGHT(CAP_DAC_READ_SEARCH))

/*
 * And its injector: to trace and to read any process; to suspend a target's
 * seccomp filter; to open what is the target's user's alone; that a stack for
 * the tracing thread is locked memory, too; and SCHED_FIFO, for itself and for
 * the thread that it holds. It writes into a target by ptrace() only.
 */
#define RIGHTS_INJECTOR                                                        \
	(RIGHT(CAP_SYS_PTRACE) | RIGHT(CAP_SYS_ADMIN) |                        \
	 RIGHT(CAP_DAC_READ_SEARCH) | RIGHT(CAP_IPC_LOCK) |                    \
	 RIGHT(CAP_SYS_NICE))
/* and at its start: to lower its oom_score_adj */
#define RIGHTS_INJECTOR_AT_START (RIGHTS_INJECTOR | RIGHT(CAP_SYS_RESOURCE))

/*
 * For this thread and all that it starts: no exec gives it more rights than it
 * has (no_new_privs). For the process: no core dump, and only root looks into
 * it (PR_SET_DUMPABLE; undone by exec). 0 or negative errno.
 */
int rights_close(void);

/*
 * What an exec from this thread can have at most: @keep of it stays. Without
 * CAP_SETPCAP all stays, which no_new_privs makes harmless. 0 or negative
 * errno.
 */
int rights_bound(uint64_t keep);

/*
 * This thread keeps those of its capabilities that are in @keep, and hands on
 * none (inheritable, ambient). 0 or negative errno.
 */
int rights_keep(uint64_t keep);
