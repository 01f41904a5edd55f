/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ksmd-plus/status.h>

#include "summary.h"

static void test_between(void **state)
{
	const struct target_status targets[] = { { .processes = 3 },
						 { .processes = 4 } };
	struct daemon_status before = { .daemon_cpu_usec = 100,
					.ksmd_cpu_usec = 50 };
	struct daemon_status now = { .pages_saved = 10,
				     .daemon_cpu_usec = 130,
				     .ksmd_cpu_usec = 90,
				     .targets = targets,
				     .n_targets = 2 };
	struct summary_figures f = summary_between(&before, &now, 1000);

	(void)state;
	assert_int_equal(f.bytes_saved, 40960);
	assert_int_equal(f.processes, 7);
	assert_int_equal(f.interval_usec, 1000);
	assert_int_equal(f.daemon_cpu_usec, 30);
	assert_int_equal(f.ksmd_cpu_usec, 40);
}

/* A counter that began anew is no negative time. */
static void test_counter_went_back(void **state)
{
	struct daemon_status before = { .daemon_cpu_usec = 100,
					.ksmd_cpu_usec = 50 };
	struct daemon_status now = { .daemon_cpu_usec = 20,
				     .ksmd_cpu_usec = 5 };
	struct summary_figures f = summary_between(&before, &now, 1000);

	(void)state;
	assert_int_equal(f.daemon_cpu_usec, 20);
	assert_int_equal(f.ksmd_cpu_usec, 5);
	assert_int_equal(f.processes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_between),
		cmocka_unit_test(test_counter_went_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
