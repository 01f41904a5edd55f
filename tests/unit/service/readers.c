/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "readers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>

#include "faketree.h"
#include "watch.h"

#define PROCESSES 100

static struct watched processes[PROCESSES];
static struct watched *list[PROCESSES];
static struct readers readers;

/* As the kernel writes it. */
static void account(unsigned int i, uint64_t rchar, uint64_t disk)
{
	char path[32];

	snprintf(path, sizeof(path), "proc/%u/io", i + 1);
	faketree_file(path,
		      "rchar: %lu\nwchar: 7777777\nsyscr: 5\nsyscw: 6\n"
		      "read_bytes: %lu\nwrite_bytes: 8888888\n"
		      "cancelled_write_bytes: 0\n",
		      rchar, disk);
}

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	readers = (struct readers){ 0 };
	readers_forget(&readers);
	for (unsigned int i = 0; i < PROCESSES; i++) {
		char path[96], name[32];

		account(i, 5000 + i, 0);
		snprintf(name, sizeof(name), "proc/%u", i + 1);
		faketree_path(name, path, sizeof(path));
		processes[i] = (struct watched){
			.process = PROCESS_NONE,
			.mode = MODE_MANAGED,
		};
		processes[i].process.dir = open(path, O_PATH | O_CLOEXEC);
		list[i] = &processes[i];
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < PROCESSES; i++)
		close(processes[i].process.dir);
	faketree_end();
	return 0;
}

static uint64_t look(size_t n)
{
	return readers_look(&readers, list, n);
}

static void test_nobody(void **state)
{
	(void)state;
	assert_int_equal(look(0), 0);
	list[0] = NULL;
	assert_int_equal(look(1), 0);
}

/* What was read before the first look is long over. */
static void test_what_one_has_read_since(void **state)
{
	(void)state;
	assert_int_equal(look(3), 0);
	assert_int_equal(look(3), 0);
	account(1, 5001 + 70000, 0);
	account(2, 5002 + 100, 4096);
	assert_int_equal(look(3), 70000);
	assert_int_equal(look(3), 0);
	account(2, 5002 + 100, 4096 + 8192);
	assert_int_equal(look(3), 8192);
	/* numbers that go back are no reads */
	account(1, 10, 0);
	assert_int_equal(look(3), 0);
}

static void test_forgetting(void **state)
{
	(void)state;
	assert_int_equal(look(1), 0);
	account(0, 1000000, 0);
	readers_forget(&readers);
	assert_int_equal(look(1), 0);
	account(0, 1004096, 0);
	assert_int_equal(look(1), 4096);
}

/* Who is only observed, or gone, makes no hints. */
static void test_who_counts(void **state)
{
	(void)state;
	look(2);
	processes[0].mode = MODE_OBSERVE;
	processes[1].gone = true;
	account(0, 1000000, 0);
	account(1, 1000000, 0);
	assert_int_equal(look(2), 0);
}

/* A look takes some of many; all have their turn. */
static void test_all_in_turn(void **state)
{
	unsigned int looks = 0;

	(void)state;
	for (unsigned int i = 0; i < PROCESSES; i++)
		look(PROCESSES);
	account(77, 1000000, 0);
	while (!look(PROCESSES))
		assert_in_range(++looks, 0, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nobody),	TEST(test_what_one_has_read_since),
		TEST(test_forgetting),	TEST(test_who_counts),
		TEST(test_all_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
