/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client-numa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void nodes_are_named(void **state)
{
	static const struct {
		uint64_t bits;
		const char *text;
	} cases[] = {
		{ 0, "" },
		{ 1, "0" },
		{ 3, "0-1" },
		{ 0xd, "0,2-3" },
		{ 1ULL << 63, "63" },
		{ UINT64_MAX, "0-63" },
		{ 0x8000000000000001, "0,63" },
	};
	char buf[CLIENT_NUMA_NODES];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(client_numa_nodes(cases[i].bits, buf),
				    cases[i].text);
	/* the longest text there is */
	assert_string_not_equal(client_numa_nodes(0x5555555555555555, buf), "");
	assert_string_equal(buf + strlen(buf) - 3, ",62");
}

static void processes_are_found(void **state)
{
	const struct numa_process_status rows[] = { { .pid = 7 },
						    { .pid = 9 } };
	const struct numa_status s = { .processes = rows, .n_processes = 2 };

	(void)state;
	assert_ptr_equal(client_numa_find(&s, 9), &rows[1]);
	assert_null(client_numa_find(&s, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_are_named),
		cmocka_unit_test(processes_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
