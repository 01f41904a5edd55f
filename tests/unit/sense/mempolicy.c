/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mempolicy.h"

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "cleanup.h"
#include "faketree.h"

static void test_lines(void **state)
{
	static const struct {
		const char *line;
		struct mempolicy policy;
	} cases[] = {
		{ "", { 0, 0 } },
		{ "7f00", { 0, 0 } },
		{ "7f00 default anon=1 dirty=1 N0=1", { 0, 0 } },
		{ "7f00 default file=/a:0 mapped=1", { 0, 0 } },
		{ "7f00 bind:0 file=/a:3", { 1, 0 } },
		{ "7f00 bind:0-1,4 heap", { 0x13, 0 } },
		{ "7f00 bind=static:1 anon=1", { 2, 0 } },
		{ "7f00 bind=relative|balancing:1 anon=1", { 2, 0 } },
		{ "7f00 bind:63-65 anon=1", { 1ULL << 63, 0 } },
		{ "7f00 prefer:1 stack", { 0, 2 } },
		{ "7f00 prefer (many):0,2 stack", { 0, 5 } },
		{ "7f00 prefer=static:1 stack", { 0, 2 } },
		{ "7f00 local stack:0 anon=1", { 0, 0 } },
		{ "7f00 interleave:0-1 anon=1", { 0, 0 } },
		{ "7f00 weighted interleave:0-1 anon=1", { 0, 0 } },
		/* cut off: there may be more nodes, or another number */
		{ "7f00 bind:0,2,1", { 0, 0 } },
		{ "7f00 bind:", { 0, 0 } },
		{ "7f00 bind", { 0, 0 } },
	};
	struct mempolicy policy;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		mempolicy_parse(cases[i].line, &policy);
		if (policy.bound != cases[i].policy.bound ||
		    policy.preferred != cases[i].policy.preferred)
			fail_msg("%s: %llx %llx", cases[i].line,
				 (unsigned long long)policy.bound,
				 (unsigned long long)policy.preferred);
	}
}

static uint64_t bound_in(const char *path)
{
	struct mempolicy policy;
	int dir = open(path, O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	mempolicy_read(dir, &policy);
	close(dir);
	return policy.bound;
}

/* A walk through a large mapping is not worth it. */
static void test_only_a_small_mapping_is_walked(void **state)
{
	(void)state;
	faketree_begin();
	faketree_file("numa_maps", "80000000 bind:1 anon=1\n");
	assert_int_equal(bound_in(faketree_top), 0); /* no maps at all */
	faketree_file("maps", "80000000-80400000 rw-p 0 00:00 0\n");
	assert_int_equal(bound_in(faketree_top), 2);
	faketree_file("maps", "80000000-80401000 rw-p 0 00:00 0\n");
	assert_int_equal(bound_in(faketree_top), 0);
	faketree_end();
}

static void policy_set(int mode, unsigned long nodes)
{
	assert_int_equal(syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL,
				 nodes ? 64UL : 0UL),
			 0);
}

static uint64_t first_mapping(void)
{
	unsigned long long start = 0, end = 0;
	FILE *f = fopen("/proc/self/maps", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%llx-%llx", &start, &end), 2);
	fclose(f);
	return end - start;
}

/* As this kernel writes it. Every machine has a node 0. */
static void test_our_own(void **state)
{
	(void)state;
	if (access("/proc/self/numa_maps", R_OK)) {
		print_message("this kernel knows no memory nodes\n");
		skip();
	}
	assert_int_equal(bound_in("/proc/self"), 0);
	if (first_mapping() > 4ULL << 20) {
		print_message("our first mapping is large: a sanitizer's\n");
		skip();
	}
	policy_set(MPOL_BIND, 1);
	assert_int_equal(bound_in("/proc/self"), 1);
	policy_set(MPOL_DEFAULT, 0);
	assert_int_equal(bound_in("/proc/self"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_only_a_small_mapping_is_walked),
		cmocka_unit_test(test_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
