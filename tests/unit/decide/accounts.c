/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accounts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define SEC 1000000ULL

static struct accounts *accounts;

static int setup(void **state)
{
	(void)state;
	return accounts_new(&accounts);
}

static int teardown(void **state)
{
	(void)state;
	accounts_free(accounts);
	return 0;
}

static struct accounts_group *enter(unsigned int number)
{
	char name[32];

	snprintf(name, sizeof(name), "unit-%u.service", number);
	return accounts_enter(accounts, ACCOUNT_UNIT, name);
}

static size_t count(enum account_kind kind)
{
	size_t n = 0;

	while (accounts_at(accounts, kind, n))
		n++;
	return n;
}

static void test_one_name_is_one_account(void **state)
{
	struct accounts_group *a = enter(1), *b = enter(1);

	(void)state;
	assert_ptr_equal(a, b);
	assert_int_equal(a->processes, 2);
	assert_ptr_not_equal(a, enter(2));
	assert_ptr_not_equal(a, accounts_enter(accounts, ACCOUNT_GUEST,
					       "unit-1.service"));
	assert_int_equal(count(ACCOUNT_UNIT), 2);
	assert_int_equal(count(ACCOUNT_GUEST), 1);
	assert_int_equal(count(ACCOUNT_TARGET), 0);
}

/* Two names that nobody can tell apart would be two rows, or two series, of
 * the same name. */
static void test_names_are_clean(void **state)
{
	struct accounts_group *a = accounts_enter(accounts, ACCOUNT_GUEST,
						  "a\x1b[2J\n\xff");
	char rubbish[5000];

	(void)state;
	assert_string_equal(a->name, "a?[2J??");
	assert_ptr_equal(a, accounts_enter(accounts, ACCOUNT_GUEST,
					   "a\n[2J\x80\x80"));
	memset(rubbish, 'x', sizeof(rubbish));
	rubbish[sizeof(rubbish) - 1] = '\0';
	a = accounts_enter(accounts, ACCOUNT_GUEST, rubbish);
	assert_int_equal(strlen(a->name), ACCOUNT_NAME_SIZE - 1);
	rubbish[4000] = 'y';
	assert_ptr_equal(a, accounts_enter(accounts, ACCOUNT_GUEST, rubbish));
}

/* What ended processes have cost stays in the accounts. */
static void test_costs_outlive_processes(void **state)
{
	struct accounts_group *a = enter(1);

	(void)state;
	a->book.figures.daemon_usec = 7;
	accounts_leave(a, SEC);
	accounts_begin(accounts);
	accounts_end(accounts, 2 * SEC);
	assert_ptr_equal(accounts_at(accounts, ACCOUNT_UNIT, 0), a);
	assert_int_equal(a->processes, 0);
	assert_int_equal(a->book.figures.daemon_usec, 7);
	assert_int_equal(a->book.figures.saved, 0);
	assert_ptr_equal(enter(1), a);
}

static void test_there_is_a_bound(void **state)
{
	struct accounts_group *groups[ACCOUNT_GROUPS_MAX], *other;

	(void)state;
	for (unsigned int i = 0; i < ACCOUNT_GROUPS_MAX - 1; i++) {
		groups[i] = enter(i);
		groups[i]->book.figures.daemon_usec = i + 1;
		groups[i]->book.figures.broken = 3;
	}
	assert_int_equal(count(ACCOUNT_UNIT), ACCOUNT_GROUPS_MAX - 1);
	other = enter(9999);
	assert_string_equal(other->name, ACCOUNT_OTHERS);
	assert_ptr_equal(enter(9998), other);
	assert_ptr_equal(enter(5), groups[5]);
	assert_int_equal(count(ACCOUNT_UNIT), ACCOUNT_GROUPS_MAX);
	/* the one without processes for the longest time gives way */
	accounts_leave(groups[7], 10 * SEC);
	accounts_leave(groups[8], 9 * SEC);
	assert_ptr_equal(enter(7777), groups[8]);
	assert_string_equal(groups[8]->name, "unit-7777.service");
	assert_int_equal(groups[8]->book.figures.daemon_usec, 0);
	assert_int_equal(other->book.figures.daemon_usec, 9);
	assert_int_equal(other->book.figures.broken, 3);
	assert_int_equal(count(ACCOUNT_UNIT), ACCOUNT_GROUPS_MAX);
	/* a stranger may call himself so: it is one name all the same */
	assert_ptr_equal(accounts_enter(accounts, ACCOUNT_UNIT, "(others)"),
			 other);
}

static void test_a_look_takes_sums_in(void **state)
{
	struct accounts_group *a = enter(1);

	(void)state;
	for (uint64_t sec = 1; sec <= 121; sec += 60) {
		accounts_begin(accounts);
		assert_int_equal(a->saved, 0);
		a->saved = 1000;
		a->profit = -5;
		a->flow = (struct worth_flow){ 1000, 2000, 10 };
		accounts_end(accounts, sec * SEC);
	}
	assert_int_equal(a->book.figures.saved, 1000);
	assert_int_equal(a->book.figures.settled, 750);
	assert_true(a->book.figures.profit == -5);
	assert_true(a->worth.broken > 10 && a->worth.won > 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_one_name_is_one_account), T(test_names_are_clean),
		T(test_costs_outlive_processes), T(test_there_is_a_bound),
		T(test_a_look_takes_sums_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
