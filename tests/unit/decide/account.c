/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SEC 1000000ULL
#define AT  (1000 * SEC)

static struct account look(struct account_book *book, uint64_t sec,
			   uint64_t saved)
{
	account_look(book, saved, (int64_t)saved - 10, AT + sec * SEC);
	return book->figures;
}

/* Rows of looks: when, what is saved, and what is settled and the peak then. */
static void test_follows_the_table(void **state)
{
	static const struct {
		uint64_t sec, saved, settled, peak;
	} rows[] = {
		{ 0, 1000, 0, 1000 }, /* it begins with nothing */
		{ 60, 1000, 500, 1000 }, /* half the way in each minute */
		{ 120, 1000, 750, 1000 },
		{ 121, 200, 200, 1000 }, /* it falls at once */
		{ 181, 1000, 600, 1000 },
		{ 181, 1000, 600, 1000 }, /* no time, no rise */
		{ 781, 1000, 999, 1000 },
		{ 782, 0, 0, 1000 },
		{ 783, 4000, 45, 4000 }, /* 4000 * (1 - 2^(-1/60)) = 45.9 */
		{ 783 + 4000, 4000, 4000, 4000 },
	};
	struct account_book book = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct account a = look(&book, rows[i].sec, rows[i].saved);

		assert_int_equal(a.saved, rows[i].saved);
		assert_int_equal(a.settled, rows[i].settled);
		assert_int_equal(a.peak, rows[i].peak);
		assert_true(a.profit == (int64_t)rows[i].saved - 10);
	}
}

/* However often one looks, the envelope is the same; and never above. */
static void test_does_not_depend_on_how_often_one_looks(void **state)
{
	struct account_book often = { 0 }, once = { 0 };

	(void)state;
	look(&often, 0, 100000);
	look(&once, 0, 100000);
	for (uint64_t ms = 0; ms <= 300000; ms += 250) {
		account_look(&often, 100000, 0, AT + ms * 1000);
		assert_true(often.figures.settled <= often.figures.saved);
	}
	look(&once, 300, 100000);
	assert_in_range(often.figures.settled, once.figures.settled - 100,
			once.figures.settled + 100);
	assert_int_equal(once.figures.settled, 100000 - 100000 / 32);
}

static void test_decays_by_half(void **state)
{
	uint64_t at = 0;

	(void)state;
	assert_true(account_decay(8, 60, &at, AT) == 8);
	assert_true(at == AT);
	assert_true(account_decay(8, 60, &at, AT + 60 * SEC + 999999) == 4);
	assert_true(at == AT + 60 * SEC);
	assert_true(account_decay(8, 60, &at, AT) == 8); /* a clock jumps */
	assert_true(at == AT + 60 * SEC);
	assert_true(account_decay(8, 1, &at, UINT64_MAX) == 0);
}

static void test_shares_without_overflow(void **state)
{
	(void)state;
	assert_int_equal(account_share(10, 1, 0), 0);
	assert_int_equal(account_share(10, 1, 3), 3);
	assert_true(account_share(UINT64_MAX, UINT64_MAX, UINT64_MAX) ==
		    UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_follows_the_table),
		cmocka_unit_test(test_does_not_depend_on_how_often_one_looks),
		cmocka_unit_test(test_decays_by_half),
		cmocka_unit_test(test_shares_without_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
