/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "placing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>

#include "config.h"
#include "faketree.h"
#include "kfeat.h"

#define NODES "sys/devices/system/node"

static struct {
	struct root root;
	struct kfeat kfeat;
	struct config config;
	sd_event *event;
	struct placing_env env;
} m;

static int setup(void **state)
{
	(void)state;
	memset(&m, 0, sizeof(m));
	faketree_begin();
	faketree_file("proc/kpagecount", "\n");
	faketree_file("proc/kpageflags", "\n");
	faketree_file("sys/devices/system/memory/block_size_bytes",
		      "8000000\n");
	faketree_file(NODES "/has_memory", "0\n");
	faketree_file(NODES "/node0/cpulist", "0\n");
	faketree_link(NODES "/node0/memory0", "x");
	assert_int_equal(root_open(faketree_top, &m.root), 0);
	assert_true(sd_event_new(&m.event) >= 0);
	m.kfeat = (struct kfeat){ .n_nodes = 1, .pagemap_pfn = true };
	m.config.memory_limit = 1ULL << 30;
	m.config.numa_rest_usec = 1000000;
	m.env = (struct placing_env){
		.event = m.event,
		.root = &m.root,
		.kfeat = &m.kfeat,
		.config = &m.config,
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sd_event_unref(m.event);
	root_close(&m.root);
	faketree_end();
	return 0;
}

static size_t n_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Nothing is opened (a timer would be), nothing is kept. */
static void assert_nothing(void)
{
	struct placing *p = (struct placing *)&m;
	struct numa_status status;
	size_t fds = n_fds();

	assert_int_equal(placing_new(&m.env, &p), 0);
	assert_null(p);
	assert_int_equal(n_fds(), fds);
	assert_int_equal(placing_memory(p), 0);
	placing_soon(p);
	placing_pause(p, true);
	placing_pause(p, false);
	placing_status(p, &status);
	assert_string_equal(status.policy, "");
	assert_int_equal(status.rounds + status.cpu_usec + status.n_nodes, 0);
	assert_null(placing_free(p));
}

static void node_add(void)
{
	m.kfeat.n_nodes = 2;
	faketree_file(NODES "/has_memory", "0-1\n");
	faketree_file(NODES "/node1/cpulist", "1\n");
	faketree_link(NODES "/node1/memory1", "x");
}

static void test_one_node_costs_nothing(void **state)
{
	(void)state;
	assert_nothing();
}

/* Nor does a second node that has only CPUs, */
static void test_one_node_with_memory_costs_nothing(void **state)
{
	(void)state;
	m.kfeat.n_nodes = 2;
	faketree_file(NODES "/node1/cpulist", "1\n");
	assert_nothing();
}

/* ... or a kernel that hides frames. */
static void test_without_frames_nothing_is_spent(void **state)
{
	(void)state;
	node_add();
	m.kfeat.pagemap_pfn = false;
	assert_nothing();
}

/* What the tests above look for is there with two nodes. */
static void test_two_nodes_are_placed_on(void **state)
{
	struct placing *p = NULL;
	struct numa_status status;
	size_t fds;

	(void)state;
	node_add();
	fds = n_fds();
	assert_int_equal(placing_new(&m.env, &p), 0);
	assert_non_null(p);
	assert_true(n_fds() > fds);
	assert_true(placing_memory(p) > 0);
	placing_status(p, &status);
	assert_string_equal(status.policy, "fair");
	assert_null(placing_free(p));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_one_node_costs_nothing),
		T(test_one_node_with_memory_costs_nothing),
		T(test_without_frames_nothing_is_spent),
		T(test_two_nodes_are_placed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
