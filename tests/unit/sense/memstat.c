/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memstat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cleanup.h"
#include "faketree.h"

#define V2	"sys/fs/cgroup/"
#define V1	"sys/fs/cgroup/memory/"
#define UNIFIED "sys/fs/cgroup/unified/"

static struct root root;

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	faketree_file("proc/meminfo", "MemTotal:       1000 kB\n"
				      "MemFree:           5 kB\n"
				      "MemAvailable:    200 kB\n");
	faketree_file(V2 "README", "\n");
	return root_open(faketree_top, &root);
}

static int teardown(void **state)
{
	(void)state;
	root_close(&root);
	faketree_end();
	return 0;
}

static void test_meminfo(void **state)
{
	uint64_t total = 1, available = 2;

	(void)state;
	assert_int_equal(memstat_read(&root, &total, &available), 0);
	assert_int_equal(total, 1000 << 10);
	assert_int_equal(available, 200 << 10);
}

static void test_meminfo_that_is_none(void **state)
{
	static const char *const texts[] = { "", "MemTotal:\n",
					     "MemTotal: x kB",
					     "MemTotal: 5 kB\nMemAvail", "\n" };
	uint64_t total = 1, available = 2;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		faketree_file("proc/meminfo", "%s", texts[i]);
		assert_int_equal(memstat_read(&root, &total, &available),
				 -EINVAL);
		assert_int_equal(total, 1);
		assert_int_equal(available, 2);
	}
	faketree_drop("proc/meminfo");
	assert_int_equal(memstat_read(&root, &total, &available), -ENOENT);
}

static uint64_t headroom(const char *cgroup)
{
	uint64_t room = 0;

	faketree_file("proc/42/cgroup", "%s", cgroup);
	assert_int_equal(memstat_headroom(&root, 42, &room), 0);
	return room;
}

static void test_no_limit_anywhere(void **state)
{
	(void)state;
	assert_int_equal(headroom("0::/\n"), UINT64_MAX);
	assert_int_equal(headroom("0::/a/b\n"), UINT64_MAX);
	faketree_file(V2 "a/memory.max", "max\n");
	faketree_file(V2 "a/memory.current", "4096\n");
	assert_int_equal(headroom("0::/a\n"), UINT64_MAX);
}

static void test_the_nearest_limit_of_all_above_counts(void **state)
{
	(void)state;
	faketree_file(V2 "a/memory.max", "1000000\n");
	faketree_file(V2 "a/memory.current", "900000\n");
	faketree_file(V2 "a/b/memory.max", "500000\n");
	faketree_file(V2 "a/b/memory.current", "100000\n");
	assert_int_equal(headroom("0::/a/b\n"), 100000);
	assert_int_equal(headroom("0::/a/b/c/d\n"), 100000);
	assert_int_equal(headroom("0::/a\n"), 100000);
	assert_int_equal(headroom("0::/other\n"), UINT64_MAX);
	faketree_file(V2 "a/b/memory.current", "450000\n");
	assert_int_equal(headroom("0::/a/b\n"), 50000);
	/* above its limit (it may be lowered): nothing is left */
	faketree_file(V2 "a/memory.current", "1000001\n");
	assert_int_equal(headroom("0::/a/b\n"), 0);
}

static void test_the_older_hierarchy(void **state)
{
	(void)state;
	faketree_file(V1 "a/memory.limit_in_bytes", "8192\n");
	faketree_file(V1 "a/memory.usage_in_bytes", "4096\n");
	assert_int_equal(headroom("12:cpu,cpuacct:/a\n"
				  "5:memory:/a/b\n"
				  "1:name=systemd:/c\n"
				  "0::/c\n"),
			 4096);
	assert_int_equal(headroom("5:cpuset,memory,hugetlb:/a\n"), 4096);
	assert_int_equal(headroom("5:cpu:/a\n"), UINT64_MAX);
	/* what v1 calls unlimited */
	faketree_file(V1 "a/memory.limit_in_bytes", "9223372036854771712\n");
	assert_true(headroom("5:memory:/a\n") > 1ULL << 62);
}

/* Hybrid systems mount v2 beside v1. */
static void test_the_unified_hierarchy_of_hybrid_systems(void **state)
{
	(void)state;
	faketree_file(UNIFIED "a/memory.max", "8192\n");
	faketree_file(UNIFIED "a/memory.current", "4096\n");
	assert_int_equal(headroom("0::/a\n"), 4096);
}

static void test_names_that_are_strange(void **state)
{
	(void)state;
	faketree_file(V2 "a:b c/memory.max", "8192\n");
	faketree_file(V2 "a:b c/memory.current", "4096\n");
	assert_int_equal(headroom("0::/a:b c\n"), 4096);
	/* from outside its cgroup namespace; nothing is found, or refused */
	headroom("0::/../x\n");
	headroom("garbage\n:\n::\n0::\n0::x\n\n");
}

static void test_what_cannot_be_told(void **state)
{
	uint64_t room = 5;

	(void)state;
	assert_int_equal(memstat_headroom(&root, 43, &room), 1);
	assert_int_equal(room, 5);
	/* empty: no hierarchy is mounted, so nothing limits it */
	assert_int_equal(headroom(""), UINT64_MAX);
}

static void test_resident(void **state)
{
	(void)state;
	assert_int_equal(memstat_resident(&root), 0);
	faketree_file("proc/self/statm", "1000 20 3 4 0 5 0\n");
	assert_int_equal(memstat_resident(&root), 20 << 12);
	faketree_file("proc/self/statm", "nothing\n");
	assert_int_equal(memstat_resident(&root), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_meminfo),
		TEST(test_meminfo_that_is_none),
		TEST(test_no_limit_anywhere),
		TEST(test_the_nearest_limit_of_all_above_counts),
		TEST(test_the_older_hierarchy),
		TEST(test_the_unified_hierarchy_of_hybrid_systems),
		TEST(test_names_that_are_strange),
		TEST(test_what_cannot_be_told),
		TEST(test_resident),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
