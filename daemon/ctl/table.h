/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * table - rows of text under headings, columns as wide as they need
 *
 * On a terminal that is too narrow columns go that can be spared, and then
 * long texts are cut, with a "~" at their end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "screen.h"
#include "vec.h"

#define TABLE_COLUMNS_MAX 14

struct table_column {
	const char *title;
	bool right; /* numbers */
	unsigned int spare; /* the greatest goes first; 0: never */
};

/* Everything but @columns is the table's own. */
struct table {
	const struct table_column *columns;
	size_t n_columns;
	size_t widths[TABLE_COLUMNS_MAX];
	struct VEC(char *) cells; /* row by row, owned */
};

/* An empty table; @columns must outlive it. Free with table_clear(). */
struct table table_new(const struct table_column *columns, size_t n_columns);

/*
 * Add a row of as many cells as there are columns. Copies; control characters
 * become '?'. Return: 0 or -ENOMEM.
 */
int table_add(struct table *table, const char *const *cells);

/* Columns that a printed line takes where there is room. */
size_t table_width(const struct table *table);

/*
 * Print headings and rows. Where @below is not NULL, below(userdata, row) is
 * text to be printed under a row, indented by @indent, unless it is "".
 */
void table_print(const struct table *table, const struct screen *screen,
		 size_t indent, const char *(*below)(void *, size_t),
		 void *userdata);

void table_clear(struct table *table);
