/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * top-rows - what the lower table of top shows: processes, or accounts
 *
 * Strings of rows belong to the answers that they were made of.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ksmd-plus/account.h>

#include "vec.h"

struct client_accounts;
struct client_list;

struct top_row {
	uint64_t pid;
	const char *name;
	const char *target;
	const char *mode;
	const char *state;
	const char *note;
	uint64_t processes;
	/* bytes */
	uint64_t tracked;
	uint64_t enrolled;
	uint64_t saved;
	uint64_t settled;
	uint64_t peak;
	uint64_t broken; /* pages */
	uint64_t cpu_usec; /* of daemon and ksmd */
};

struct top_rows VEC(struct top_row);

enum top_column_kind { TOP_TEXT, TOP_NUMBER, TOP_BYTES, TOP_USEC };

struct top_column {
	const char *title;
	int key; /* that sorts by it, or 0 */
	enum top_column_kind kind;
	unsigned int width; /* 0: the rest of the line */
	unsigned int columns; /* only on a screen as wide as that */
	unsigned int kinds; /* of accounts that it is for, as bits */
	size_t offset;
};

extern const struct top_column top_columns[];
extern const size_t top_n_columns;

/* Whether it is shown for @kind on a screen of so many columns. */
bool top_column_is_shown(const struct top_column *column,
			 enum account_kind kind, size_t columns);

/* How wide it is there, 0: the rest. Names of accounts get what is left. */
size_t top_column_width(const struct top_column *column, enum account_kind kind,
			size_t columns);

/* The column that is sorted by at first. */
size_t top_column_first(void);

/* Text and pids ascend, figures descend. */
void top_rows_sort(struct top_rows *rows, size_t column);

/*
 * Replace @rows: the processes of @list with their accounts, or the accounts
 * of another @kind. 0 or -ENOMEM.
 */
int top_rows_make(struct top_rows *rows, enum account_kind kind,
		  const struct client_list *list,
		  const struct client_accounts *accounts);

/* The value of @row in a column of figures, and of text. */
uint64_t top_row_number(const struct top_row *row,
			const struct top_column *column);
const char *top_row_text(const struct top_row *row,
			 const struct top_column *column);
