/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reasons - why memory does or does not merge
 *
 * One list for everybody: rules, mappings, the daemon's notes and journal,
 * `ksmd-plusctl explain`, the list of what `plan` leaves out, and the manual.
 * The names are stable; scripts rely on them. Texts are in base/reasons.c.
 */
#pragma once

#include <stdint.h>

enum reason {
	REASON_NONE,

	/* Classes of mappings: what KSM may take, ... */
	REASON_REGISTERED,
	REASON_CANDIDATE,
	/* ... what is as good as merged, ... */
	REASON_FILE,
	REASON_EMPTY,
	REASON_SWAPPED,
	/* ... and what is never taken. */
	REASON_HUGETLB,
	REASON_DEVICE,
	REASON_SHARED,
	REASON_DROPPABLE,
	REASON_SHADOW_STACK,
	REASON_LOCKED,
	REASON_WIPE_ON_FORK,
	REASON_DO_NOT_DUMP,
	REASON_STACK,
	REASON_USERFAULTFD,
	REASON_SPECIAL,

	/* Rules (design section 6). */
	REASON_PID_1,
	REASON_KERNEL_THREAD,
	REASON_OURSELVES,
	REASON_NOT_DUMPABLE,
	REASON_KEEPS_SECRETS,
	REASON_NOT_NAMED,
	REASON_EXCLUDED,
	REASON_OBSERVED,
	REASON_MANAGED,

	/* Why no thread of a process can be borrowed. */
	REASON_NOT_STOPPING,
	REASON_GROUP_STOPPED,
	REASON_TRACED,
	REASON_SIGNAL,
	REASON_RSEQ,
	REASON_SECCOMP,
	REASON_32BIT,
	REASON_USER_DISPATCH,
	REASON_NO_SYSCALL_INSN,
	REASON_NO_THREAD,
	REASON_SHARED_MM,
	REASON_PERMISSION,
	REASON_REFUSED,
	REASON_MAP_LOCKED,

	/* What the daemon knows of pages. */
	REASON_MERGED,
	REASON_NOT_LOOKED_AT,
	REASON_NO_TWIN,
	REASON_CANDIDATES,
	REASON_VOLATILE,
	REASON_NOT_ENROLLED,
	REASON_WAITS_FOR_PULSE,
	REASON_HUGE_HELD,
	REASON_EXTRA_REFERENCES,
	REASON_INDEX_FULL,
	REASON_KEEPS_BREAKING,

	/* The machine. */
	REASON_NO_KSM,
	REASON_KSM_STOPPED,
	REASON_KSM_UNMERGED,
	REASON_NOT_ACROSS_NODES,
	REASON_MAX_SHARING,
	REASON_KHUGEPAGED,
	REASON_OTHER_MANAGER,
	REASON_YAMA,
	REASON_NO_DAEMON,
	REASON_PAUSED,
	REASON_NOT_READABLE,

	REASON_MAX_,
};

struct reason_text {
	const char *name; /* stable */
	const char *sentence;
	const char *remedy; /* "" where there is none, or none is needed */
};

/* Never NULL; what is no reason has the texts of REASON_NONE. */
const struct reason_text *reason_text(enum reason reason);

/* The reason of that name, or REASON_NONE. */
enum reason reason_from_name(const char *name);
