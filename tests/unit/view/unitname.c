/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unitname.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cleanup.h"

static void names_are_completed_and_judged(void **state)
{
	static const struct {
		const char *text;
		int result;
		const char *name;
		const char *section;
		bool template;
	} rows[] = {
		{ "web", 0, "web.service", "Service", false },
		{ "web.service", 0, "web.service", "Service", false },
		{ "web@.service", 0, "web@.service", "Service", true },
		{ "web@", 0, "web@.service", "Service", true },
		{ "web@1", 0, "web@1.service", "Service", false },
		{ "web@a.b", 0, "web@a.b.service", "Service", false },
		{ "a.b", 0, "a.b.service", "Service", false },
		{ "dbus.socket", 0, "dbus.socket", "Socket", false },
		{ "srv-www.mount", 0, "srv-www.mount", "Mount", false },
		{ "dev-sda2.swap", 0, "dev-sda2.swap", "Swap", false },
		{ "dev-disk\\x2d1.swap", 0, "dev-disk\\x2d1.swap", "Swap",
		  false },
		{ "x.target", UNIT_NAME_OTHER, NULL, NULL, false },
		{ "x.timer", UNIT_NAME_OTHER, NULL, NULL, false },
		{ "user.slice", UNIT_NAME_OTHER, NULL, NULL, false },
		{ "session-1.scope", UNIT_NAME_OTHER, NULL, NULL, false },
		{ "", UNIT_NAME_BAD, NULL, NULL, false },
		{ ".service", UNIT_NAME_BAD, NULL, NULL, false },
		{ "@.service", UNIT_NAME_BAD, NULL, NULL, false },
		{ "../x.service", UNIT_NAME_BAD, NULL, NULL, false },
		{ "a/b.service", UNIT_NAME_BAD, NULL, NULL, false },
		{ "a b.service", UNIT_NAME_BAD, NULL, NULL, false },
		{ "a\nb", UNIT_NAME_BAD, NULL, NULL, false },
		{ "caf\xc3\xa9", UNIT_NAME_BAD, NULL, NULL, false },
		{ "*.service", UNIT_NAME_BAD, NULL, NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct unit_name unit = { .name = "untouched" };

		assert_int_equal(unit_name_parse(rows[i].text, &unit),
				 rows[i].result);
		if (rows[i].result) {
			assert_string_equal(unit.name, "untouched");
			continue;
		}
		assert_string_equal(unit.name, rows[i].name);
		assert_string_equal(unit.section, rows[i].section);
		assert_int_equal(unit.template, rows[i].template);
	}
}

static void names_have_a_length(void **state)
{
	char text[400];
	struct unit_name unit;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[247] = '\0';
	assert_int_equal(unit_name_parse(text, &unit), 0);
	assert_int_equal(strlen(unit.name), 255);
	text[247] = 'x';
	text[248] = '\0';
	assert_int_equal(unit_name_parse(text, &unit), UNIT_NAME_BAD);
	text[248] = 'x';
	text[399] = '\0';
	assert_int_equal(unit_name_parse(text, &unit), UNIT_NAME_BAD);
}

static void instances_have_a_template(void **state)
{
	char template[UNIT_NAME_MAX];

	(void)state;
	assert_true(unit_name_template("web@1.service", template));
	assert_string_equal(template, "web@.service");
	assert_true(unit_name_template("a@b@c.d.socket", template));
	assert_string_equal(template, "a@.socket");
	assert_false(unit_name_template("web@.service", template));
	assert_false(unit_name_template("web.service", template));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_completed_and_judged),
		cmocka_unit_test(names_have_a_length),
		cmocka_unit_test(instances_have_a_template),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
