/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * childprobe - the probes that need a process of their own
 *
 * What is tried here could hurt or mark the process it is tried on, so each
 * runs in a child that lives for a millisecond and takes everything with it.
 */
#pragma once

#include <stdbool.h>

struct childprobe_ptrace {
	bool seize; /* an own child can be seized */
	bool suspend_seccomp; /* ... with PTRACE_O_SUSPEND_SECCOMP */
};

enum childprobe_verdict {
	CHILDPROBE_NO,
	CHILDPROBE_YES,
	CHILDPROBE_UNTESTABLE, /* this kernel lacks what the test needs */
};

/* Return: 0 or negative errno where no child can be made. */
int childprobe_ptrace(struct childprobe_ptrace *ret);

/*
 * Does MADV_UNMERGEABLE keep the upper 32 bits of a mapping's flags? Needs
 * KSM and mseal(2), 6.10; without them CHILDPROBE_UNTESTABLE.
 *
 * Return: 0 or negative errno where no child can be made.
 */
int childprobe_unmergeable(enum childprobe_verdict *ret);
