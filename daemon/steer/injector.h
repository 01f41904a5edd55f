/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * injector - serve requests, one at a time
 *
 * A request becomes a few stops of the target with pauses between them, so
 * that no thread of it is held for long and all of them together lose little.
 * What is not done by then is for the daemon to ask again (INJECT_MORE).
 */
#pragma once

#include <linux/capability.h>
#include <stdbool.h>

#include "files.h"
#include "rights.h"

/*
 * What it needs: to trace and to read any process; to suspend a target's
 * seccomp filter; to open what is the target's user's alone; that a stack for
 * the tracing thread is locked memory, too; and SCHED_FIFO, for itself and for
 * the thread that it holds. It writes into a target by ptrace() only.
 */
#define INJECTOR_RIGHTS                                                        \
	(RIGHT(CAP_SYS_PTRACE) | RIGHT(CAP_SYS_ADMIN) |                        \
	 RIGHT(CAP_DAC_READ_SEARCH) | RIGHT(CAP_IPC_LOCK) |                    \
	 RIGHT(CAP_SYS_NICE))
/* and at its start: to lower its oom_score_adj */
#define INJECTOR_RIGHTS_AT_START (INJECTOR_RIGHTS | RIGHT(CAP_SYS_RESOURCE))

/*
 * Answer what comes from @socket until its other end closes. Every signal is
 * to be blocked. @single_calls: never use process_madvise().
 *
 * Return: 0 at the end, or negative errno.
 */
int injector_run(const struct root *root, int socket, bool single_calls);
