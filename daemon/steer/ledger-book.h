/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ledger-book - what stands in the ledger, in memory, and its lines
 *
 * Each change is the same whether it is made or read back: see ledger.h.
 */
#pragma once

#include <stdio.h>

#include "ledger.h"

struct ledger_knobs VEC(struct ledger_knob);
struct ledger_processes VEC(struct ledger_process);

struct ledger_book {
	struct ledger_knobs knobs;
	struct ledger_processes processes;
};

void book_clear(struct ledger_book *book);

/* NULL if there is no entry; valid until the book changes. */
struct ledger_knob *book_knob(const struct ledger_book *book, const char *name);
struct ledger_process *book_process(const struct ledger_book *book,
				    struct process_id id);

/* The entry of @id, which is made if there is none. 0 or -ENOMEM. */
int book_process_get(struct ledger_book *book, struct process_id id,
		     struct ledger_process **ret);

/* The changes; 0 or -ENOMEM where they need memory. */
int book_knob_found(struct ledger_book *book, const char *name,
		    const char *original);
void book_knob_writes(struct ledger_book *book, const char *name,
		      const char *value);
void book_knob_restored(struct ledger_book *book, const char *name);
int book_inherits(struct ledger_book *book, struct process_id id,
		  struct process_id from);
void book_program(struct ledger_process *process, uint64_t stack);
void book_forget(struct ledger_book *book, struct process_id id);

/* Make the change that @line tells of, if it tells of one. 0 or -ENOMEM. */
int book_take(struct ledger_book *book, const char *line);

/* The lines that tell of all that is there. */
void book_write(const struct ledger_book *book, FILE *f);
