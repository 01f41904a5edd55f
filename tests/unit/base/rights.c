/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "rights.h"

/* A field of our status, as hexadecimal. */
static unsigned long long status(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long value = ~0ULL;
	char line[256];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), "%llx", &value);
	fclose(f);
	return value;
}

/* What is given up is gone for good: each test does so in a child. */
static void in_a_child(int (*test)(void))
{
	int wstatus;
	pid_t pid = fork();

	if (pid == 0)
		_exit(test());
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_true(WIFEXITED(wstatus));
	assert_int_equal(WEXITSTATUS(wstatus), 0);
}

static int closed(void)
{
	if (rights_close() || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 1;
	return status("NoNewPrivs:") == 1 ? 0 : 2;
}

static int kept(void)
{
	uint64_t had = status("CapPrm:"), keep = RIGHT(CAP_SYS_PTRACE);

	if (rights_keep(keep))
		return 1;
	if (status("CapPrm:") != (had & keep) ||
	    status("CapEff:") != (had & keep))
		return 2;
	return status("CapInh:") || status("CapAmb:") ? 3 : 0;
}

/* Above the 32 bits of a word of the call. */
static int kept_of_the_upper_half(void)
{
	uint64_t had = status("CapPrm:"), keep = RIGHT(CAP_BPF);

	if (rights_keep(keep))
		return 1;
	return status("CapPrm:") == (had & keep) ? 0 : 2;
}

static int none_kept(void)
{
	if (rights_keep(RIGHTS_NONE))
		return 1;
	return status("CapPrm:") ? 2 : 0;
}

static int bound(void)
{
	bool able = status("CapEff:") >> CAP_SETPCAP & 1;
	uint64_t had = status("CapBnd:"), keep = RIGHT(CAP_SYS_ADMIN);

	if (rights_bound(keep))
		return 1;
	return status("CapBnd:") == (able ? had & keep : had) ? 0 : 2;
}

/* Without the right to, all stays, and that is no fault. */
static int bound_without_right(void)
{
	uint64_t had = status("CapBnd:");

	if (rights_keep(RIGHTS_NONE) || rights_bound(RIGHTS_NONE))
		return 1;
	return status("CapBnd:") == had ? 0 : 2;
}

static void test_closed(void **state)
{
	(void)state;
	in_a_child(closed);
}

static void test_kept(void **state)
{
	(void)state;
	in_a_child(kept);
	in_a_child(kept_of_the_upper_half);
	in_a_child(none_kept);
}

static void test_bound(void **state)
{
	(void)state;
	in_a_child(bound);
	in_a_child(bound_without_right);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
