/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "news.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct news base = {
	.state = 1,
	.saved = 100000,
	.zero = 1000,
	.promised = 5000,
	.targets = 3,
	.warnings = 7,
};

static void nothing_new_is_no_news(void **state)
{
	(void)state;
	assert_int_equal(news_since(&base, &base, 0), 0);
	assert_int_equal(news_since(&base, &base, UINT64_MAX), 0);
}

static void state_and_warnings_are_told_at_once(void **state)
{
	struct news now = base;

	(void)state;
	now.state = 2;
	assert_int_equal(news_since(&base, &now, 0), NEWS_STATE);
	now = base;
	now.warnings = 8;
	assert_int_equal(news_since(&base, &now, 0), NEWS_WARNINGS);
	now = base;
	now.targets = 4;
	assert_int_equal(news_since(&base, &now, 0), NEWS_SAVED);
}

static void savings_are_told_by_parts(void **state)
{
	static const struct {
		uint64_t told, now;
		int told_at_once;
	} rows[] = {
		{ 100000, 100001, 0 },
		{ 100000, 100999, 0 },
		{ 100000, 101000, 1 },
		{ 100000, 99001, 0 },
		{ 100000, 99000, 1 },
		{ 1000, 1255, 0 },
		{ 1000, 1256, 1 },
		{ 1000, 744, 1 },
		{ 0, 1, 1 },
		{ 3, 0, 1 },
		{ 0, UINT64_MAX, 1 },
		{ UINT64_MAX, 0, 1 },
		{ UINT64_MAX, 1ULL, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct news told = base, now = base;

		told.saved = rows[i].told;
		now.saved = rows[i].now;
		assert_int_equal(news_since(&told, &now, NEWS_LATE_USEC - 1),
				 rows[i].told_at_once ? NEWS_SAVED : 0);
		assert_int_equal(news_since(&told, &now, NEWS_LATE_USEC),
				 NEWS_SAVED);
		told = now = base;
		told.promised = rows[i].told;
		now.promised = rows[i].now;
		assert_int_equal(news_since(&told, &now, 0),
				 rows[i].told_at_once ? NEWS_PROMISED : 0);
	}
}

/* Those who are woken for one thing get the rest with it. */
static void small_changes_go_along(void **state)
{
	struct news now = base;

	(void)state;
	now.saved++;
	now.promised--;
	assert_int_equal(news_since(&base, &now, 0), 0);
	now.state = 0;
	assert_int_equal(news_since(&base, &now, 0),
			 NEWS_STATE | NEWS_SAVED | NEWS_PROMISED);
	now = base;
	now.zero++;
	now.warnings++;
	assert_int_equal(news_since(&base, &now, 0),
			 NEWS_WARNINGS | NEWS_SAVED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_new_is_no_news),
		cmocka_unit_test(state_and_warnings_are_told_at_once),
		cmocka_unit_test(savings_are_told_by_parts),
		cmocka_unit_test(small_changes_go_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
