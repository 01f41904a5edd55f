/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger-book.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

static const struct process_id one = { 4711, 99999 };
static const struct process_id two = { 4712, 100000 };

static struct ledger_book book;

static void lines(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		assert_int_equal(book_take(&book, line), 0);
}

/* Written and read back. */
static void again(void)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	book_write(&book, f);
	fclose(f);
	book_clear(&book);
	lines(text);
}

static int teardown(void **state)
{
	(void)state;
	book_clear(&book);
	return 0;
}

/* Ranges end with the program that has them, the flag of a whole one stays. */
static void test_another_program_has_no_ranges(void **state)
{
	const struct ledger_process *p;

	(void)state;
	lines("program 4711 99999 7ffc0000\nenrol 4711 99999 1000 2000\n"
	      "whole 4711 99999\nprogram 4711 99999 7ffc0000");
	again();
	p = book_process(&book, one);
	assert_int_equal(p->stack, 0x7ffc0000);
	assert_int_equal(p->ranges.n, 1);
	lines("program 4711 99999 7ffd0000");
	again();
	p = book_process(&book, one);
	assert_int_equal(p->stack, 0x7ffd0000);
	assert_int_equal(p->ranges.n, 0);
	assert_true(p->whole);
	/* one that is not known is another, too */
	lines("enrol 4711 99999 1000 2000\nprogram 4711 99999 0");
	assert_int_equal(book_process(&book, one)->ranges.n, 0);
	/* ... but to learn which one it is changes nothing */
	lines("enrol 4712 100000 1000 2000\nprogram 4712 100000 7ffe0000");
	again();
	p = book_process(&book, two);
	assert_int_equal(p->ranges.n, 1);
	assert_int_equal(p->stack, 0x7ffe0000);
}

static void test_a_fork_has_what_its_parent_had(void **state)
{
	const struct ledger_process *p;

	(void)state;
	lines("program 4711 99999 7ffc0000\nenrol 4711 99999 1000 2000\n"
	      "heir 4712 100000 4711 99999");
	/* from here on each has its own, and outlives the other */
	lines("enrol 4711 99999 8000 1000\nforget 4711 99999");
	again();
	p = book_process(&book, two);
	assert_int_equal(p->stack, 0x7ffc0000);
	assert_int_equal(p->ranges.n, 1);
	assert_int_equal(p->ranges.v[0].start, 0x1000);
	assert_int_equal(p->ranges.v[0].end, 0x3000);
	assert_false(p->whole);
	/* from nobody, and from himself, there is nothing */
	lines("heir 4711 99999 4711 99999\nheir 4711 99999 1 1");
	assert_null(book_process(&book, one));
	lines("heir 4712 100000 4712 100000");
	assert_int_equal(book_process(&book, two)->ranges.n, 1);
	/* what it had before was the marks of another memory */
	lines("enrol 4711 99999 5000 1000\nwhole 4711 99999\n"
	      "heir 4712 100000 4711 99999");
	p = book_process(&book, two);
	assert_int_equal(p->ranges.n, 1);
	assert_int_equal(p->ranges.v[0].start, 0x5000);
	assert_true(p->whole);
}

/* An heir that is added moves the others. */
static void test_many_heirs(void **state)
{
	char line[64];

	(void)state;
	lines("enrol 4711 99999 1000 2000");
	for (int pid = 5000; pid < 6000; pid++) {
		snprintf(line, sizeof(line), "heir %d 1 4711 99999", pid);
		lines(line);
	}
	again();
	assert_int_equal(book.processes.n, 1001);
	for (size_t i = 0; i < book.processes.n; i++)
		assert_int_equal(book.processes.v[i].ranges.n, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_another_program_has_no_ranges),
		TEST(test_a_fork_has_what_its_parent_had),
		TEST(test_many_heirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
