/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accounts as metrics: signed profit, no series of a process, and a bound on
 * all of them however many names strangers think up.
 */
#include "figures-accounts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"

/* What is printed of @figures; to be freed. */
static char *printed(const struct figures_accounts *figures)
{
	struct openmetrics om = { 0 };
	char *text = NULL;
	size_t size;

	om.out = open_memstream(&text, &size);
	assert_non_null(om.out);
	figures_accounts_print(&om, figures);
	fclose(om.out);
	return text;
}

static void has(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no \"%s\" in:\n%s", line, text);
}

static void one_of_each_kind(void **state)
{
	struct account_row machine = { .name = "",
				       .account = { .settled = 2,
						    .peak = 3,
						    .broken = 4,
						    .profit = -12345 } };
	struct account_row target = {
		.name = "w\"e\\b",
		.processes = 7,
		.account = { .saved = 1,
			     .daemon_usec = 1500000,
			     .profit = -64 },
		.reason = REASON_KEEPS_BREAKING,
	};
	struct figures_accounts figures = {
		.kinds = { [ACCOUNT_MACHINE] = { .v = &machine, .n = 1 },
			   [ACCOUNT_TARGET] = { .v = &target, .n = 1 } },
	};
	char *text = printed(&figures);

	(void)state;
	has(text, "\nksmd_plus_profit_bytes -12345\n");
	has(text, "\nksmd_plus_settled_bytes 8192\n");
	has(text, "\nksmd_plus_peak_bytes 12288\n");
	has(text, "\nksmd_plus_broken_pages_total 4\n");
	has(text, "{target=\"w\\\"e\\\\b\"} -64\n");
	has(text, "\nksmd_plus_target_held{target=\"w\\\"e\\\\b\"} 1\n");
	has(text, "\nksmd_plus_target_cpu_seconds_total{target=\"w\\\"e\\\\b\","
		  "consumer=\"daemon\"} 1.500000\n");
	/* told elsewhere: the machine's CPU time and what is saved now, and
	 * the processes of a target */
	assert_null(strstr(text, "\nksmd_plus_cpu_seconds"));
	assert_null(strstr(text, "\nksmd_plus_saved_bytes"));
	assert_null(strstr(text, "ksmd_plus_target_processes"));
	free(text);
}

/* All families are there without any account, and with no sample. */
static void none(void **state)
{
	struct figures_accounts figures = { 0 };
	char *text = printed(&figures);

	(void)state;
	assert_null(strchr(text, '{'));
	has(text, "# TYPE ksmd_plus_guest_profit_bytes gauge\n");
	free(text);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lines, each another one, without anything that is not to be seen. */
static size_t series(char *text)
{
	static char *lines[20000];
	char *next = text;
	size_t n = 0;

	for (char *line; (line = strsep(&next, "\n")) && *line;) {
		if (*line == '#')
			continue;
		assert_true(n < 20000);
		for (const char *p = line; *p; p++)
			assert_true((unsigned char)*p >= ' ' && *p != 0x7f);
		*strrchr(line, ' ') = '\0';
		lines[n++] = line;
	}
	qsort(lines, n, sizeof(*lines), compare);
	for (size_t i = 1; i < n; i++)
		assert_string_not_equal(lines[i - 1], lines[i]);
	return n;
}

/* Names of ten thousand guests, some of which look the same when cleaned. */
static void ten_thousand_names(void **state)
{
	static struct account_row rows[ACCOUNT_GROUPS_MAX];
	struct figures_accounts figures = { 0 };
	struct client_accounts *guests = &figures.kinds[ACCOUNT_GUEST];
	struct accounts *accounts;
	struct accounts_group *g;
	char name[4096], *text;

	(void)state;
	assert_int_equal(accounts_new(&accounts), 0);
	for (unsigned int i = 0; i < 10000; i++) {
		size_t more = i % 2 ? 3000 : 1;
		int len = snprintf(name, sizeof(name) - more,
				   "%c\"\\\n%u\xff\x1b[%um", (int)(1 + i % 255),
				   i / 3, i);

		memset(name + len, 'x', more);
		name[(size_t)len + more] = '\0';
		accounts_enter(accounts, ACCOUNT_GUEST, name);
	}
	while ((g = accounts_at(accounts, ACCOUNT_GUEST, guests->n))) {
		assert_true(guests->n < ACCOUNT_GROUPS_MAX);
		rows[guests->n++].name = g->name;
	}
	guests->v = rows;
	text = printed(&figures);
	/* of seven families, CPU time for two */
	assert_int_equal(series(text), 8 * ACCOUNT_GROUPS_MAX);
	free(text);
	accounts_free(accounts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_of_each_kind),
		cmocka_unit_test(none),
		cmocka_unit_test(ten_thousand_names),
	};

	return cmocka_run_group_tests_name("figures-accounts", tests, NULL,
					   NULL);
}
