/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attempt - hold one thread once, and do what fits into that
 *
 * Runs in a tracing thread of its own, whose exit frees a target that cannot
 * be stopped. What the target must not be held for is found out while it is
 * held but its registers are still its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ksmd-plus/inject.h>

#include "pieces.h"

struct injectee;

struct attempt {
	/* given */
	struct injectee *injectee; /* its scratch page may come and go */
	pid_t tid;
	uint32_t op; /* enum inject_op, or 0: only take the scratch page away */
	const struct pieces *pieces; /* for operations that have ranges */
	bool vectors; /* process_madvise() may be used */

	/* found */
	enum inject_result result; /* INJECT_MORE: not all pieces fitted */
	enum inject_reason reason;
	int error; /* positive errno of the kernel's answer */
	size_t n_done; /* pieces */
	uint64_t hold_nsec; /* 0: it was not held */
	bool repaired;
};

/*
 * Make the attempt and wait until the target is free again. Every signal is
 * to be blocked in the calling thread, and one attempt made at a time.
 */
void attempt_run(struct attempt *attempt);
