/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

static const struct table_column columns[] = {
	{ "PID", true, 0 },
	{ "NAME", false, 0 },
	{ "NOTE", false, 0 },
};

static void check_print(const struct table *table,
			const char *(*below)(void *, size_t), const char *want)
{
	_cleanup_free_ char *got = NULL;
	size_t len;
	struct screen screen = { .width = 80 };

	screen.out = open_memstream(&got, &len);
	assert_non_null(screen.out);
	table_print(table, &screen, 3, below, NULL);
	fclose(screen.out);
	assert_string_equal(got, want);
}

static void columns_fit_their_cells(void **state)
{
	_cleanup_(table_clear) struct table t = table_new(columns,
							  ARRAY_SIZE(columns));

	(void)state;
	assert_int_equal(table_width(&t), 3 + 2 + 4 + 2 + 4);
	assert_int_equal(table_add(&t, (const char *[]){ "1", "a", "x y" }), 0);
	assert_int_equal(
		table_add(&t, (const char *[]){ "12345", "bä\x1b", "" }), 0);
	assert_int_equal(table_width(&t), 5 + 2 + 4 + 2 + 4);
	check_print(&t, NULL,
		    "  PID  NAME  NOTE\n"
		    "    1  a     x y\n"
		    "12345  bä?\n");
}

static const char *note(void *userdata, size_t row)
{
	(void)userdata;
	return row ? "second" : "";
}

static void notes_stand_below(void **state)
{
	_cleanup_(table_clear) struct table t = table_new(columns, 2);

	(void)state;
	assert_int_equal(table_add(&t, (const char *[]){ "1", "a" }), 0);
	assert_int_equal(table_add(&t, (const char *[]){ "2", "b" }), 0);
	check_print(&t, note,
		    "PID  NAME\n"
		    "  1  a\n"
		    "  2  b\n"
		    "   second\n");
}

static void empty_is_a_heading(void **state)
{
	_cleanup_(table_clear) struct table t = table_new(columns, 2);

	(void)state;
	check_print(&t, note, "PID  NAME\n");
}

static void is_made_to_fit(void **state)
{
	static const struct table_column four[] = {
		{ "NAME", false, 0 },
		{ "N", true, 0 },
		{ "MORE", true, 1 },
		{ "MOST", true, 2 },
	};
	_cleanup_(table_clear) struct table t = table_new(four, 4);
	static const struct {
		size_t width;
		const char *row;
	} wants[] = {
		{ 80,
		  "a-name-ä-of-40-characters-from-1-to-end-  1     2     3\n" },
		{ 55,
		  "a-name-ä-of-40-characters-from-1-to-end-  1     2     3\n" },
		{ 54,
		  "a-name-ä-of-40-characters-from-1-to-en~  1     2     3\n" },
		{ 43, "a-name-ä-of-40-characters-f~  1     2     3\n" },
		{ 42, "a-name-ä-of-40-characters-from-1~  1     2\n" },
		{ 36, "a-name-ä-of-40-characters-from-1~  1\n" },
		{ 5, "a-name-ä-of-40-characters-f~  1\n" },
	};

	(void)state;
	assert_int_equal(
		table_add(&t,
			  (const char *[]){
				  "a-name-ä-of-40-characters-from-1-to-end-",
				  "1", "2", "3" }),
		0);
	for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
		_cleanup_free_ char *got = NULL;
		size_t len;
		struct screen screen = { .width = wants[i].width };

		screen.out = open_memstream(&got, &len);
		assert_non_null(screen.out);
		table_print(&t, &screen, 0, NULL, NULL);
		fclose(screen.out);
		assert_string_equal(strchr(got, '\n') + 1, wants[i].row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_fit_their_cells),
		cmocka_unit_test(notes_stand_below),
		cmocka_unit_test(empty_is_a_heading),
		cmocka_unit_test(is_made_to_fit),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
