/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

static void bytes_have_three_digits(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *want;
	} cases[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.00 KiB" },
		{ 4096, "4.00 KiB" },
		{ 10234, "9.99 KiB" },
		{ 10239, "10.0 KiB" },
		{ 102399, "100 KiB" },
		{ 1022976, "999 KiB" },
		{ 1023999, "0.98 MiB" },
		{ 1048576, "1.00 MiB" },
		{ 1564676096, "1.46 GiB" },
		{ 1ULL << 40, "1.00 TiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char buf[SCREEN_NUMBER];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(screen_bytes(cases[i].bytes, buf),
				    cases[i].want);
}

static void times_have_two_units(void **state)
{
	static const struct {
		uint64_t usec;
		const char *want;
	} cases[] = {
		{ 0, "0 ms" },
		{ 350000, "350 ms" },
		{ 1000000, "1.0 s" },
		{ 59400000, "59.4 s" },
		{ 59600000, "1 min 0 s" },
		{ 321000000, "5 min 21 s" },
		{ 3599400000, "59 min 59 s" },
		{ 3599600000, "1 h 0 min" },
		{ 7500000000, "2 h 5 min" },
		{ UINT64_MAX / 2, "2562047788 h 1 min" },
	};
	char buf[SCREEN_NUMBER];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(screen_usec(cases[i].usec, buf),
				    cases[i].want);
}

static void counts_are_grouped(void **state)
{
	char buf[SCREEN_NUMBER];

	(void)state;
	assert_string_equal(screen_count(0, buf), "0");
	assert_string_equal(screen_count(999, buf), "999");
	assert_string_equal(screen_count(1000, buf), "1,000");
	assert_string_equal(screen_count(1234567, buf), "1,234,567");
	assert_string_equal(screen_count(UINT64_MAX, buf),
			    "18,446,744,073,709,551,615");
}

static void check_wrap(size_t width, size_t indent, const char *text,
		       const char *want)
{
	_cleanup_free_ char *got = NULL;
	size_t len;
	struct screen screen = { .width = width };

	screen.out = open_memstream(&got, &len);
	assert_non_null(screen.out);
	screen_wrap(&screen, indent, text);
	fclose(screen.out);
	assert_string_equal(got, want);
}

static void lines_break_between_words(void **state)
{
	(void)state;
	check_wrap(10, 0, "aaa bbb ccc", "aaa bbb\nccc\n");
	check_wrap(11, 0, "aaa bbb ccc", "aaa bbb ccc\n");
	check_wrap(10, 2, "aaa bbb ccc", "aaa bbb\n  ccc\n");
	check_wrap(9, 2, "aaa bbb ccc", "aaa bbb\n  ccc\n");
	check_wrap(8, 2, "aaa bbb", "aaa\n  bbb\n");
	check_wrap(5, 0, "longer than five", "longer\nthan\nfive\n");
	check_wrap(4, 8, "a b", "a\n        b\n");
	check_wrap(SIZE_MAX, 0, "never broken here", "never broken here\n");
	check_wrap(80, 0, "", "\n");
	check_wrap(80, 0, "no\x1b[31m red", "no?[31m red\n");
	check_wrap(5, 0, "äää äää", "äää\näää\n");
}

static void no_colour_into_a_file(void **state)
{
	_cleanup_fclose_ FILE *f = tmpfile();
	struct screen screen;

	(void)state;
	assert_non_null(f);
	setenv("TERM", "xterm", 1);
	screen = screen_open(f);
	assert_false(screen.terminal);
	assert_false(screen.colour);
	assert_true(screen.width == SIZE_MAX);
	assert_string_equal(screen_on(&screen, SCREEN_RED), "");
	assert_string_equal(screen_off(&screen), "");
}

static void colour_has_an_end(void **state)
{
	struct screen screen = { .colour = true };

	(void)state;
	for (int i = 0; i < SCREEN_STYLE_MAX_; i++)
		assert_int_equal(screen_on(&screen, i)[0], '\033');
	assert_string_equal(screen_off(&screen), "\033[0m");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_have_three_digits),
		cmocka_unit_test(times_have_two_units),
		cmocka_unit_test(counts_are_grouped),
		cmocka_unit_test(lines_break_between_words),
		cmocka_unit_test(no_colour_into_a_file),
		cmocka_unit_test(colour_has_an_end),
	};

	return cmocka_run_group_tests_name("screen", tests, NULL, NULL);
}
