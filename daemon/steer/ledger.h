/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ledger - what we changed, written down before we change it
 *
 * A text file in the runtime directory, appended to with one write(2) per
 * entry: a SIGKILL at any instant leaves whole lines. Whoever opens it next (a
 * restart, `ksmd-plus --restore`) knows what to put back:
 *
 *	knob NAME ORIGINAL	found before the first change
 *	wrote NAME VALUE	about to be written by us
 *	program PID START-TIME STACK	what it runs; another has no ranges
 *	enrol PID START-TIME ADDRESS LENGTH
 *	whole PID START-TIME	PR_SET_MEMORY_MERGE
 *	heir PID START-TIME PID START-TIME	forked from the second
 *	restored NAME		the knob has its original value again
 *	forget PID START-TIME	withdrawn, or exited
 *
 * A line that cannot be understood is skipped: nothing here is trusted more
 * than the kernel's present state.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ksmd-plus/types.h>

#include "vec.h"

struct ledger;

#define LEDGER_VALUE 24

struct ledger_knob {
	char name[32];
	char original[LEDGER_VALUE];
	char wrote[LEDGER_VALUE]; /* last intention; "" if none */
	char before[LEDGER_VALUE]; /* the one before it */
};

struct ledger_ranges VEC(struct range);

struct ledger_process {
	struct process_id id;
	uint64_t stack; /* of its program, see struct process_stat; or 0 */
	bool whole;
	bool given_back; /* known for its heirs only, see below */
	struct ledger_ranges ranges; /* as asked for, unsorted */
};

/*
 * Open or create "ledger" below @dirfd and take in what stands there.
 * @dry_run: keep everything in memory only. Where the disk is full, what
 * stands there already is continued.
 * Return: 0 or negative errno.
 */
int ledger_open(int dirfd, bool dry_run, struct ledger **ret);

/*
 * Take in what stands there, to undo it where nothing can be written: what is
 * undone is then noted in memory only. Return: 0 or negative errno.
 */
int ledger_read(int dirfd, struct ledger **ret);

/* Close; the file stays, unless nothing in it needs putting back. */
struct ledger *ledger_close(struct ledger *ledger);

/* The entry of knob @name, or NULL; valid until the ledger changes. */
const struct ledger_knob *ledger_knob(const struct ledger *ledger,
				      const char *name);
const struct ledger_process *ledger_process(const struct ledger *ledger,
					    struct process_id id);
size_t ledger_processes(const struct ledger *ledger,
			const struct ledger_process **ret);

/* One whose program's stack begins at @stack, or NULL: without an exec between
 * them, a process has that in common with what it forks. */
const struct ledger_process *ledger_relative(const struct ledger *ledger,
					     uint64_t stack);

/* Each writes its line first; on negative errno do not make the change. */
int ledger_knob_found(struct ledger *ledger, const char *name,
		      const char *original);
int ledger_knob_writes(struct ledger *ledger, const char *name,
		       const char *value);
int ledger_enrols(struct ledger *ledger, struct process_id id,
		  const struct range *ranges, size_t n);
int ledger_whole(struct ledger *ledger, struct process_id id);

/* @id was forked from @from, with all marks that this one has. */
int ledger_inherits(struct ledger *ledger, struct process_id id,
		    struct process_id from);

/*
 * The program that @id runs has its stack at @stack, 0: not known, but not the
 * last one. Ranges end with the program that has them, which an exec gives a
 * new mm (fs/exec.c); the flag of a whole process does not.
 */
int ledger_program(struct ledger *ledger, struct process_id id, uint64_t stack);

/*
 * The knob has its original value again; the process needs nothing more. If
 * that cannot be written, the next one undoes once more what is undone, which
 * changes nothing.
 */
void ledger_knob_restored(struct ledger *ledger, const char *name);
void ledger_forget(struct ledger *ledger, struct process_id id);

/*
 * All of it is un-marked. What it had is known until
 * ledger_forget_given_back(), for those whom it has forked before that; to be
 * called when they have been looked for. Marking it again calls it off.
 */
void ledger_given_back(struct ledger *ledger, struct process_id id);
void ledger_forget_given_back(struct ledger *ledger);
