/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject - what the daemon asks of ksmd-plus-injector
 *
 * One request and one reply are each one message on a SOCK_SEQPACKET socket
 * pair that the injector inherits as descriptor 3. A request carries exactly one descriptor
 * (SCM_RIGHTS): a pidfd of the target. Requests are served in order, one at a
 * time, each with exactly one reply. When the daemon's end closes, the
 * injector finishes the request in hand, lets the target go and exits.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#include "types.h"

/* The injector's end of the socket pair. */
#define INJECT_FD 3

/*
 * A request is small enough to be one datagram; what one *stop* of a target
 * does with it is the injector's affair (INJECT_MORE).
 */
#define INJECT_MAX_RANGES 256

enum inject_op {
	INJECT_MERGEABLE = 1, /* madvise(MADV_MERGEABLE) on each range */
	INJECT_UNMERGEABLE, /* madvise(MADV_UNMERGEABLE) on each range */
	INJECT_MERGE_ANY, /* prctl(PR_SET_MEMORY_MERGE, 1) */
	/* prctl(PR_SET_MEMORY_MERGE, 0): one call, which copies every page
	 * that is still merged; un-mark those first. */
	INJECT_UNMERGE_ANY,
	INJECT_PROBE, /* attach, check, getppid(), detach: changes nothing */
};

enum inject_result {
	INJECT_DONE, /* all ranges were handed to the kernel */
	INJECT_MORE, /* the hold was long enough; ask again from n_done on */
	INJECT_RETRY, /* no suitable moment now; the target is untouched */
	INJECT_SKIP, /* this process can never be done; see reason */
	INJECT_GONE, /* the process has exited or exec'ed */
	INJECT_FAILED, /* the kernel refused the call; see error */
};

/* Why INJECT_RETRY or INJECT_SKIP; names in inject_reason_name(). */
enum inject_reason {
	INJECT_REASON_NONE,
	INJECT_REASON_NOT_STOPPING, /* vfork parent, D state, frozen */
	INJECT_REASON_GROUP_STOPPED, /* SIGSTOP, job control */
	INJECT_REASON_TRACED, /* a debugger has it */
	INJECT_REASON_SIGNAL, /* a signal arrived meanwhile */
	INJECT_REASON_RSEQ, /* inside a restartable sequence */
	INJECT_REASON_SECCOMP, /* filter that cannot be suspended */
	INJECT_REASON_32BIT, /* not a 64-bit task */
	INJECT_REASON_USER_DISPATCH, /* syscall user dispatch (Wine) */
	INJECT_REASON_NO_SYSCALL_INSN, /* no vdso, none in libc */
	INJECT_REASON_NO_THREAD, /* no thread that may be held */
	INJECT_REASON_SHARED_MM, /* a vfork child or CLONE_VM helper */
	INJECT_REASON_PERMISSION, /* EPERM: Yama 3, an LSM */
	INJECT_REASON_MAX_,
};

struct inject_request {
	uint64_t cookie; /* comes back in the reply */
	uint64_t start_time; /* of the process behind the pidfd */
	uint64_t stack; /* where it began in the mm that is meant; 0: any */
	int32_t pid;
	uint32_t op; /* enum inject_op */
	uint32_t n_ranges; /* 0 for operations without ranges */
	uint32_t reserved; /* 0 */
	struct range ranges[INJECT_MAX_RANGES];
};

struct inject_reply {
	uint64_t cookie;
	uint32_t result; /* enum inject_result */
	uint32_t reason; /* enum inject_reason */
	int32_t error; /* positive errno of the refused call, or 0 */
	uint32_t n_done; /* ranges that the kernel has taken, from the first */
	uint64_t
		hold_nsec; /* how long a thread was held, longest single stop */
	uint32_t n_stops; /* how often a thread was held */
	uint32_t n_repaired; /* interrupted calls made again (EINTR repair) */
};

static_assert(sizeof(struct inject_request) == 40 + 16 * INJECT_MAX_RANGES,
	      "one layout on all compilers");
static_assert(sizeof(struct inject_reply) == 40, "one layout");

/* A short English name of @reason; never NULL. */
const char *inject_reason_name(uint32_t reason);
