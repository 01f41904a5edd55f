/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "utf8.h"

#define GAP 2

struct table table_new(const struct table_column *columns, size_t n_columns)
{
	struct table t = { .columns = columns, .n_columns = n_columns };

	assert(n_columns <= TABLE_COLUMNS_MAX);
	for (size_t i = 0; i < n_columns; i++)
		t.widths[i] = strlen(columns[i].title);
	return t;
}

int table_add(struct table *table, const char *const *cells)
{
	int r = vec_reserve(&table->cells, table->cells.n + table->n_columns);
	size_t first = table->cells.n;

	if (r < 0)
		return r;
	for (size_t i = 0; i < table->n_columns; i++) {
		char clean[512], *copy;

		copy = strdup(utf8_clean(cells[i], clean, sizeof(clean)));
		if (!copy)
			goto undo;
		table->cells.v[table->cells.n++] = copy;
		table->widths[i] = MAX(table->widths[i], utf8_length(copy));
	}
	return 0;
undo:
	while (table->cells.n > first)
		free(table->cells.v[--table->cells.n]);
	return -ENOMEM;
}

size_t table_width(const struct table *table)
{
	size_t width = 0;

	for (size_t i = 0; i < table->n_columns; i++)
		width += table->widths[i] + (i ? GAP : 0);
	return width;
}

static void print_row(const struct table *table, const struct screen *screen,
		      const char *const *cells)
{
	size_t pending = 0; /* blanks, only if something follows */

	for (size_t i = 0; i < table->n_columns; i++) {
		size_t pad = table->widths[i] - utf8_length(cells[i]);

		if (table->columns[i].right)
			pending += pad;
		if (*cells[i]) {
			fprintf(screen->out, "%*s%s", (int)pending, "",
				cells[i]);
			pending = 0;
		}
		pending += GAP + (table->columns[i].right ? 0 : pad);
	}
	fputc('\n', screen->out);
}

void table_print(const struct table *table, const struct screen *screen,
		 size_t indent, const char *(*below)(void *, size_t),
		 void *userdata)
{
	const char *titles[TABLE_COLUMNS_MAX];

	assert(table->n_columns);
	for (size_t i = 0; i < table->n_columns; i++)
		titles[i] = table->columns[i].title;
	fputs(screen_on(screen, SCREEN_BOLD), screen->out);
	print_row(table, screen, titles);
	fputs(screen_off(screen), screen->out);
	for (size_t i = 0; i < table->cells.n; i += table->n_columns) {
		const char *text;

		print_row(table, screen,
			  (const char *const *)table->cells.v + i);
		text = below ? below(userdata, i / table->n_columns) : "";
		if (!*text)
			continue;
		fprintf(screen->out, "%s%*s", screen_on(screen, SCREEN_DIM),
			(int)indent, "");
		screen_wrap(screen, indent, text);
		fputs(screen_off(screen), screen->out);
	}
}

void table_clear(struct table *table)
{
	while (table->cells.n)
		free(table->cells.v[--table->cells.n]);
	vec_free(&table->cells);
}
