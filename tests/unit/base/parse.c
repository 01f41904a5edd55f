/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>

#include "cleanup.h"

#define UNTOUCHED 0xabcdef

struct number {
	const char *text;
	int result;
	uint64_t value;
};

static void check(const struct number *n, int result, uint64_t value)
{
	if (result != n->result || value != (n->result ? UNTOUCHED : n->value))
		fail_msg("\"%s\": result %d, value %ju", n->text, result,
			 (uintmax_t)value);
}

static void test_u64(void **state)
{
	static const struct number numbers[] = {
		{ "0", 0, 0 },
		{ "007", 0, 7 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "1.0", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "auto", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t value = UNTOUCHED;
		int r = parse_u64(numbers[i].text, &value);

		check(&numbers[i], r, value);
	}
}

static void test_bool(void **state)
{
	static const char *const yes[] = { "yes", "true", "on", "1", "YES" };
	static const char *const no[] = { "no", "false", "off", "0", "Off" };
	static const char *const neither[] = { "", "y", "2", "yess", " yes" };
	bool value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		value = false;
		assert_int_equal(parse_bool(yes[i], &value), 0);
		assert_true(value);
		assert_int_equal(parse_bool(no[i], &value), 0);
		assert_false(value);
		value = true;
		assert_int_equal(parse_bool(neither[i], &value), -EINVAL);
		assert_true(value);
	}
}

static void test_permyriad(void **state)
{
	static const struct number numbers[] = {
		{ "10%", 0, 1000 },
		{ "0.5%", 0, 50 },
		{ "12.25%", 0, 1225 },
		{ "0.01%", 0, 1 },
		{ "100.000000%", 0, 10000 },
		{ "10 %", 0, 1000 },
		{ "0%", 0, 0 },
		{ "0.125%", -EINVAL, 0 },
		{ "0.0000001%", -EINVAL, 0 },
		{ "10", -EINVAL, 0 },
		{ "%", -EINVAL, 0 },
		{ ".5%", -EINVAL, 0 },
		{ "5.%", -EINVAL, 0 },
		{ "-5%", -EINVAL, 0 },
		{ "1e3%", -EINVAL, 0 },
		{ "10%%", -EINVAL, 0 },
		{ "10% ", -EINVAL, 0 },
		{ "10,5%", -EINVAL, 0 },
		{ "184467440737095517%", -ERANGE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t value = UNTOUCHED;
		int r = parse_permyriad(numbers[i].text, &value);

		check(&numbers[i], r, value);
	}
}

static void test_bytes(void **state)
{
	static const struct number numbers[] = {
		{ "4096", 0, 4096 },
		{ "1K", 0, 1024 },
		{ "256M", 0, 256ULL << 20 },
		{ "256m", 0, 256ULL << 20 },
		{ "2 G", 0, 2ULL << 30 },
		{ "1.5G", 0, 3ULL << 29 },
		{ "3T", 0, 3ULL << 40 },
		{ "0.5", 0, 0 },
		{ "1%", 0, 123 },
		{ "0.01%", 0, 1 },
		{ "100%", 0, 12345 },
		{ "16777215T", 0, 16777215ULL << 40 },
		{ "16777216T", -ERANGE, 0 },
		{ "99999999999999999999", -ERANGE, 0 },
		{ "1KB", -EINVAL, 0 },
		{ "1P", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
		{ "1 M M", -EINVAL, 0 },
		{ "-1M", -EINVAL, 0 },
		{ "1.0000000M", -EINVAL, 0 },
		{ "0.001%", -EINVAL, 0 },
		{ "1%x", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t value = UNTOUCHED;
		int r = parse_bytes(numbers[i].text, 12345, &value);

		check(&numbers[i], r, value);
	}
}

static void test_share_of_all_memory(void **state)
{
	uint64_t value = UNTOUCHED;

	(void)state;
	assert_int_equal(parse_bytes("100%", UINT64_MAX, &value), 0);
	assert_true(value == UINT64_MAX);
	value = UNTOUCHED;
	assert_int_equal(parse_bytes("100.01%", UINT64_MAX, &value), -ERANGE);
	assert_int_equal(value, UNTOUCHED);
	assert_int_equal(parse_bytes("50%", 0, &value), 0);
	assert_int_equal(value, 0);
}

static void test_usec(void **state)
{
	static const struct number numbers[] = {
		{ "200s", 0, 200000000 },     { "5min", 0, 300000000 },
		{ "100ms", 0, 100000 },	      { "7us", 0, 7 },
		{ "0.5s", 0, 500000 },	      { "1.5 h", 0, 5400000000 },
		{ "2d", 0, 172800000000 },    { "30", 0, 30000000 },
		{ "0.0000001s", -EINVAL, 0 }, { "1m", -EINVAL, 0 },
		{ "1min 30s", -EINVAL, 0 },   { "1 weeks", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },	      { "", -EINVAL, 0 },
		{ "213503983d", -ERANGE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t value = UNTOUCHED;
		int r = parse_usec(numbers[i].text, &value);

		check(&numbers[i], r, value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_permyriad),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_share_of_all_memory),
		cmocka_unit_test(test_usec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
