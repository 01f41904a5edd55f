/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ksmd-plus/reasons.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ctype.h>
#include <string.h>

/* Names are for scripts: lower case, digits and hyphens, each once. */
static void each_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < REASON_MAX_; i++) {
		const char *name = reason_text((enum reason)i)->name;

		assert_non_null(name);
		assert_true(strlen(name) < 20);
		for (const char *p = name; *p; p++)
			assert_true(islower(*p) || isdigit(*p) || *p == '-');
		assert_int_equal(reason_from_name(name), i);
	}
}

/* A sentence fits the bus and one line of a terminal's wrapping. */
static void each_has_a_sentence(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < REASON_MAX_; i++) {
		const struct reason_text *t = reason_text((enum reason)i);
		size_t len = strlen(t->sentence);

		assert_in_range(len, 5, 255);
		assert_int_equal(t->sentence[len - 1], '.');
		assert_non_null(t->remedy);
		assert_true(strlen(t->remedy) < 256);
	}
}

static void what_is_none_is_harmless(void **state)
{
	(void)state;
	assert_string_equal(reason_text(REASON_MAX_)->name, "none");
	assert_string_equal(reason_text((enum reason) - 1)->sentence, "");
	assert_int_equal(reason_from_name("no such"), REASON_NONE);
	assert_int_equal(reason_from_name(""), REASON_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_has_a_name_of_its_own),
		cmocka_unit_test(each_has_a_sentence),
		cmocka_unit_test(what_is_none_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
