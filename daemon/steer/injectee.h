/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * injectee - the process of one request
 *
 * Its identity is the start time, read through a directory descriptor that
 * pins the process, and the pidfd of the request. The mm that it had when the
 * request came is pinned by an open mem file: addresses of the request have
 * no meaning after an exec, which changes neither pid nor start time, but where
 * the stack begins.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <ksmd-plus/types.h>

#include "files.h"

enum {
	INJECTEE_GONE = 1, /* exited or exec'ed */
	INJECTEE_REASON, /* cannot be done now; see *ret_reason */
	INJECTEE_NEVER, /* can never be done; see *ret_reason */
};

struct injectee {
	struct process_id id;
	uint64_t stack; /* of the mm that is meant; 0: any */
	int pidfd; /* of the request, borrowed */
	int dir; /* /proc/PID */
	int mem;
	int pagemap; /* of the same mm, -1 where it cannot be read */
	uint64_t insn; /* of a system call instruction; 0: none is found */
	uint64_t scratch; /* a page of ours still in it, or 0 */
	uint64_t scratch_word; /* what that page begins with */
};

#define INJECTEE_NONE                                                          \
	(struct injectee)                                                      \
	{                                                                      \
		.pidfd = -1, .dir = -1, .mem = -1, .pagemap = -1               \
	}

struct inject_request;

/*
 * Open the process that @request means and is behind @pidfd. Return: 0 with
 * *ret to be closed by the caller, one of the above, or negative errno.
 */
int injectee_open(const struct root *root, const struct inject_request *request,
		  int pidfd, struct injectee *ret, uint32_t *ret_reason);

/* Close what is open; accepts INJECTEE_NONE. */
void injectee_close(struct injectee *injectee);

/* Whether the process has exited. */
bool injectee_is_gone(const struct injectee *injectee);

/* Whether the mm of the request is nobody's any more, or not that of thread
 * @tid; called while that one is held. */
bool injectee_mm_is_gone(const struct injectee *injectee, pid_t tid);
