/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "openmetrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const struct openmetrics_family spent = { "x_cpu_seconds",
						 OPENMETRICS_COUNTER, "seconds",
						 "CPU time." };
static const struct openmetrics_family build = { "x_build", OPENMETRICS_INFO,
						 NULL, "The version." };

/* One sample of each, whose label holds @value. Free it. */
static char *written(bool textfile, const char *value)
{
	struct openmetrics_label label = { "who", value };
	struct openmetrics om = { .textfile = textfile };
	char *text = NULL;
	size_t size;

	om.out = open_memstream(&text, &size);
	assert_non_null(om.out);
	openmetrics_begin(&om, &spent);
	openmetrics_ratio(&om, NULL, 0, 1234567, 1000000);
	openmetrics_begin(&om, &build);
	openmetrics_count(&om, &label, 1, UINT64_MAX);
	openmetrics_end(&om);
	fclose(om.out);
	return text;
}

static void test_both_forms(void **state)
{
	char *text = written(false, "me");

	(void)state;
	assert_string_equal(text, "# TYPE x_cpu_seconds counter\n"
				  "# UNIT x_cpu_seconds seconds\n"
				  "# HELP x_cpu_seconds CPU time.\n"
				  "x_cpu_seconds_total 1.234567\n"
				  "# TYPE x_build info\n"
				  "# HELP x_build The version.\n"
				  "x_build_info{who=\"me\"} "
				  "18446744073709551615\n"
				  "# EOF\n");
	free(text);
	text = written(true, "me");
	assert_string_equal(text, "# TYPE x_cpu_seconds_total counter\n"
				  "# HELP x_cpu_seconds_total CPU time.\n"
				  "x_cpu_seconds_total 1.234567\n"
				  "# TYPE x_build_info gauge\n"
				  "# HELP x_build_info The version.\n"
				  "x_build_info{who=\"me\"} "
				  "18446744073709551615\n");
	free(text);
}

static void test_labels(void **state)
{
	static const struct {
		const char *value, *label;
	} table[] = {
		{ "", "" },
		{ NULL, "" },
		{ "a\"b\\c", "a\\\"b\\\\c" },
		{ "two\nlines\r\t", "two?lines??" },
		{ "\033[31mred\x7f", "?[31mred?" },
		{ "\xff\xc3", "??" },
		{ "\xe4\xb8\xad", "\xe4\xb8\xad" },
		{ "} 1 # EOF", "} 1 # EOF" },
	};
	char expected[128];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *text = written(false, table[i].value);

		snprintf(expected, sizeof(expected), "{who=\"%s\"} 1844",
			 table[i].label);
		if (!strstr(text, expected))
			fail_msg("no %s in %s", expected, text);
		free(text);
	}
}

/* 4 KiB of quotes: cut, and no half of an escape is left. */
static void test_long_label(void **state)
{
	char value[4097], *text, *open, *close;

	(void)state;
	memset(value, '"', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	text = written(false, value);
	open = strstr(text, "{who=\"");
	close = strstr(text, "\"} 1844");
	assert_non_null(open);
	assert_non_null(close);
	assert_int_equal(close - open - 6, 2 * 255);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_forms),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_long_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
