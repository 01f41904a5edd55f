/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hints - which memory of watched processes was just filled from files
 *
 * Many duplicates are born when two processes read the same file. A few BPF
 * programs (bpf/hints.bpf.c) see reads end and leave a record where the reader
 * is watched. The records stand in a small ring that overwrites itself: nobody
 * ever waits, and what was overwritten is counted.
 *
 * The programs hook, in this order of preference,
 *	fentry: the kernel's functions that read; who does not read pays nothing
 *	sys_exit: the end of every system call, each of which pays for it
 *	tracepoint: the named tracepoints of the system calls that read
 * and beside any of them the completions of io_uring. Each may be missing, or
 * refused by the kernel; without any there are no hints, and nothing else is
 * different. hints-none.c stands in for a build without libbpf.
 *
 * One tracepoint of a system call, of whatever name, sends every system call
 * of every process through the slow way out of the kernel: some 100 ns, of
 * which a program that returns at once is nearly all (Linux 6.18: getppid
 * 169 -> 275 ns with an empty program, 294 with one that looks who calls). So
 * the named ones spare others little, and those who read pay perf's way to the
 * program on top (a read of 4 KiB: 1.7 times in processes that are not
 * watched, against 1.25 times): they come last. Nothing makes such a hook
 * cheap but to let it rest: hints_rest().
 *
 * What fentry costs, in instructions (Linux 6.12 emulated with -icount, where a
 * pread of 4 KiB takes 5,386, most of them for the copy): 441 in a process that
 * is watched, 249 in any other, nothing for calls that do not read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ksmd-plus/hints.h>

struct hints;
struct root;

/* What may be hooked; of "auto", the first that works. */
enum hints_want {
	HINTS_AUTO,
	HINTS_FENTRY,
	HINTS_TRACEPOINT, /* the end of every call, or tracepoints by name */
	HINTS_OFF,
	/* For tests: just one of the two. */
	HINTS_TRACEPOINT_NAMED,
	HINTS_TRACEPOINT_ANY,
};

enum hints_hook { HOOK_NONE, HOOK_FENTRY, HOOK_TRACEPOINT, HOOK_SYS_EXIT };

struct hints_state {
	enum hints_hook hook;
	bool uring; /* completions of io_uring are seen, too */
	/* Why not what comes before .hook, or what is missing of it; or "". */
	char why[160];
};

/* The capabilities that loading and attaching take. */
uint64_t hints_rights(void);

/* A part of .why that somebody can do something about. */
#define HINTS_NO_TRACEFS "tracefs is not mounted"

enum {
	HINTS_ABSENT = 1, /* no hook can be used; state.why says why */
	HINTS_FULL, /* no place in the table: no hints of this process */
};

/*
 * Load and attach. @n_slots of the ring: a power of two. @ret_state is filled
 * in any case. Return: 0, HINTS_ABSENT or negative errno.
 */
int hints_open(const struct root *root, enum hints_want want, uint32_t n_slots,
	       struct hints_state *ret_state, struct hints **ret);
struct hints *hints_close(struct hints *hints);

/* "fentry", "tracepoint", "sys_exit" or "none" */
const char *hints_hook_name(enum hints_hook hook);

/* Whether everybody pays for it, and not only who reads. */
bool hints_is_costly(enum hints_hook hook);

/*
 * Let go of such a hook for a while, or take it again; what it takes is
 * quickly done. io_uring is followed in any case: nobody else pays for that.
 * Return: 0 or negative errno, with nothing changed.
 */
int hints_rest(struct hints *hints, bool rest);

/* Hints of @tgid are wanted, and carry @number; 0 or HINTS_FULL. */
int hints_watch(struct hints *hints, pid_t tgid, uint32_t number);
void hints_unwatch(struct hints *hints, pid_t tgid);

/*
 * Take at most @max of the hints that have come, oldest first, and add to
 * *lost how many were overwritten meanwhile. Return: how many.
 */
size_t hints_take(struct hints *hints, struct hint *out, size_t max,
		  uint64_t *lost);
