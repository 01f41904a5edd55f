/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "utf8.h"

#define GAP 2
/* Of a longer text at least so much is shown. */
#define TEXT_LEAST ((size_t)28)

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

/* How wide each column is to be printed; 0: it is not there. */
struct layout {
	size_t widths[TABLE_COLUMNS_MAX];
};

static size_t layout_width(const struct layout *l, size_t n)
{
	size_t width = 0;

	for (size_t i = 0; i < n; i++)
		if (l->widths[i])
			width += l->widths[i] + (width ? GAP : 0);
	return width;
}

/* What column @i can be made as narrow as: a number is never cut. */
static size_t least(const struct table *table, size_t i)
{
	size_t title = strlen(table->columns[i].title);

	return table->columns[i].right
		       ? table->widths[i]
		       : MIN(table->widths[i], MAX(title, TEXT_LEAST));
}

/* The column that goes first, or n_columns. */
static size_t spared(const struct table *table, const struct layout *l)
{
	size_t found = table->n_columns;
	unsigned int most = 0;

	for (size_t i = 0; i < table->n_columns; i++) {
		if (!l->widths[i] || table->columns[i].spare <= most)
			continue;
		most = table->columns[i].spare;
		found = i;
	}
	return found;
}

static struct layout layout_of(const struct table *table, size_t width)
{
	struct layout l = { { 0 } }, narrow = { { 0 } };
	size_t n = table->n_columns, goes;

	for (size_t i = 0; i < n; i++) {
		l.widths[i] = table->widths[i];
		narrow.widths[i] = least(table, i);
	}
	while (layout_width(&narrow, n) > width &&
	       (goes = spared(table, &l)) < n)
		l.widths[goes] = narrow.widths[goes] = 0;
	for (size_t excess; (excess = layout_width(&l, n)) > width;) {
		size_t most = 0;

		for (size_t i = 1; i < n; i++)
			if (l.widths[i] - narrow.widths[i] >
			    l.widths[most] - narrow.widths[most])
				most = i;
		if (l.widths[most] == narrow.widths[most])
			break;
		l.widths[most] -= MIN(excess - width,
				      l.widths[most] - narrow.widths[most]);
	}
	return l;
}

/* Bytes of the first @n characters of a clean text. */
static size_t bytes_of(const char *text, size_t n)
{
	size_t bytes = 0;

	while (text[bytes] && ((text[bytes] & 0xc0) == 0x80 || n-- > 0))
		bytes++;
	return bytes;
}

static void print_row(const struct table *table, const struct layout *l,
		      const struct screen *screen, const char *const *cells)
{
	size_t pending = 0; /* blanks, only if something follows */

	for (size_t i = 0; i < table->n_columns; i++) {
		size_t length = utf8_length(cells[i]), pad;
		bool is_cut = length > l->widths[i];

		if (!l->widths[i])
			continue;
		pad = is_cut ? 0 : l->widths[i] - length;
		if (table->columns[i].right)
			pending += pad;
		if (*cells[i]) {
			if (is_cut)
				length = bytes_of(cells[i], l->widths[i] - 1);
			else
				length = strlen(cells[i]);
			fprintf(screen->out, "%*s%.*s%s", (int)pending, "",
				(int)length, cells[i], is_cut ? "~" : "");
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
	struct layout l = layout_of(table, screen->width);
	const char *titles[TABLE_COLUMNS_MAX];

	assert(table->n_columns);
	for (size_t i = 0; i < table->n_columns; i++)
		titles[i] = table->columns[i].title;
	fputs(screen_on(screen, SCREEN_BOLD), screen->out);
	print_row(table, &l, screen, titles);
	fputs(screen_off(screen), screen->out);
	for (size_t i = 0; i < table->cells.n; i += table->n_columns) {
		const char *text;

		print_row(table, &l, screen,
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
