/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cleanup.h"

/* A string literal with its nulls, as /proc/PID/cmdline has them. */
#define LINE(s) s, sizeof(s)

static void test_finds_the_name(void **state)
{
	static const struct {
		const char *line;
		size_t size;
		const char *name; /* NULL: none */
	} rows[] = {
		{ LINE("qemu\0-name\0guest=web,debug-threads=on\0-m\0001G"),
		  "web" },
		{ LINE("qemu\0-name\0debug-threads=on,guest=web"), "web" },
		{ LINE("kvm\0-id\000100\0-name\0vm100,debug-threads=on"),
		  "vm100" },
		{ LINE("qemu\0--name\0db"), "db" },
		/* a comma is written twice */
		{ LINE("qemu\0-name\0guest=a,,b,process=c"), "a,b" },
		{ LINE("qemu\0-name\0a,,,,b,,"), "a,,b," },
		{ LINE("qemu\0-name\0guest=\x1b[2J\n\xff\"\\"), "?[2J??\"\\" },
		{ LINE("qemu\0-name\0process=x"), NULL },
		{ LINE("qemu\0-name\0guest="), NULL },
		{ LINE("qemu\0-name\0"), NULL },
		{ LINE("qemu\0-name\0,,,"), "," },
		{ LINE("qemu\0-name"), NULL },
		{ LINE("-name\0guest=argv0"), NULL },
		{ LINE("qemu\0-nam\0e\0-names\0x"), NULL },
		{ LINE(""), NULL },
		{ "qemu\0-name\0guest=cut-off", 20, "cut" },
	};
	char name[GUEST_NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *found = guest_parse(rows[i].line, rows[i].size,
						name);

		if (!rows[i].name || !*rows[i].name)
			assert_null(found);
		else
			assert_string_equal(found, rows[i].name);
	}
}

static void test_cuts_rubbish(void **state)
{
	static char line[20000];
	char name[GUEST_NAME_SIZE];

	(void)state;
	memcpy(line, "qemu\0-name\0guest=", 17);
	for (size_t i = 17; i < sizeof(line); i++)
		line[i] = (char)(i * 37 % 255 + 1);
	assert_non_null(guest_parse(line, sizeof(line), name));
	assert_true(strlen(name) < sizeof(name));
	for (const char *c = name; *c; c++)
		assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
}

static void test_knows_qemu(void **state)
{
	(void)state;
	assert_true(guest_is_qemu("/usr/bin/qemu-system-x86_64"));
	assert_true(guest_is_qemu("/usr/libexec/qemu-kvm"));
	assert_true(guest_is_qemu("/usr/bin/kvm"));
	assert_true(guest_is_qemu("qemu"));
	assert_false(guest_is_qemu("/opt/qemu/bash"));
	assert_false(guest_is_qemu(""));
	assert_false(guest_is_qemu(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_the_name),
		cmocka_unit_test(test_cuts_rubbish),
		cmocka_unit_test(test_knows_qemu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
