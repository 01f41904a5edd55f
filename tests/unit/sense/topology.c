/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "topology.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "faketree.h"

#define NODES "sys/devices/system/node"

static struct root root;

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	faketree_file("proc/stat", "\n");
	faketree_file("sys/devices/system/memory/block_size_bytes",
		      "8000000\n"); /* 128 MiB */
	assert_int_equal(root_open(faketree_top, &root), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	root_close(&root);
	faketree_end();
	return 0;
}

static void node_add(int node, const char *cpus, int first, int last)
{
	char path[128];

	snprintf(path, sizeof(path), NODES "/node%d/cpulist", node);
	faketree_file(path, "%s\n", cpus);
	for (int block = first; block <= last; block++) {
		snprintf(path, sizeof(path), NODES "/node%d/memory%d", node,
			 block);
		faketree_link(path, "../../memory/memory");
	}
}

static void test_frames_and_cpus(void **state)
{
	struct topology *t;

	(void)state;
	faketree_file(NODES "/has_memory", "0,2-3\n");
	node_add(0, "0-1,8", 0, 3);
	node_add(1, "2", 0, -1); /* without memory: nobody can live there */
	node_add(2, "4-5", 32, 33);
	node_add(3, "", 33, 34); /* shares a block with node 2; no CPUs */
	node_add(0, "0-1,8", 33, 33); /* and with node 0 */
	assert_int_equal(topology_read(&root, &t), 0);
	assert_int_equal(topology_nodes(t), 0xd);
	assert_int_equal(topology_count(t), 3);

	assert_int_equal(topology_frame_node(t, 0), 0);
	assert_int_equal(topology_frame_node(t, 4 * 32768 - 1), 0);
	assert_int_equal(topology_frame_node(t, 4 * 32768), -1);
	assert_int_equal(topology_frame_node(t, 32 * 32768), 2);
	assert_int_equal(topology_frame_node(t, 33 * 32768), -2);
	assert_int_equal(topology_frame_node(t, 34 * 32768), 3);
	assert_int_equal(topology_frame_node(t, 34 * 32768 - 1), -2);
	assert_int_equal(topology_frame_node(t, 35 * 32768), -1);
	assert_int_equal(topology_frame_node(t, UINT64_MAX), -1);

	assert_int_equal(topology_cpu_node(t, 1), 0);
	assert_int_equal(topology_cpu_node(t, 2), -1);
	assert_int_equal(topology_cpu_node(t, 5), 2);
	assert_int_equal(topology_cpu_node(t, 8), 0);
	assert_int_equal(topology_cpu_node(t, 9), -1);
	assert_int_equal(topology_cpus_nodes(t, "0-8"), 5);
	assert_int_equal(topology_cpus_nodes(t, "2-4"), 4);
	assert_int_equal(topology_cpus_nodes(t, "7,9-4000000000"), 0);
	topology_free(t);
}

static void test_without_nodes_or_blocks(void **state)
{
	struct topology *t = NULL;

	(void)state;
	assert_int_equal(topology_read(&root, &t), -ENODATA);
	faketree_file(NODES "/has_memory", "0-1\n");
	node_add(0, "0", 0, -1);
	node_add(1, "1", 0, -1);
	assert_int_equal(topology_read(&root, &t), -ENODATA);
	node_add(1, "1", 7, 7);
	faketree_drop("sys/devices/system/memory/block_size_bytes");
	assert_int_equal(topology_read(&root, &t), -ENODATA);
	assert_null(t);
	assert_null(topology_free(NULL));
}

static void test_lists(void **state)
{
	(void)state;
	assert_int_equal(topology_list_bits("0"), 1);
	assert_int_equal(topology_list_bits("0-1,3\n"), 0xb);
	assert_true(topology_list_bits("0-63") == UINT64_MAX);
	assert_true(topology_list_bits("63-1000") == 1ULL << 63);
	assert_int_equal(topology_list_bits(""), 0);
	assert_int_equal(topology_list_bits("\n"), 0);
	assert_int_equal(topology_list_bits("x1"), 0);
}

static void test_room(void **state)
{
	(void)state;
	assert_false(topology_has_room(&root, 1));
	faketree_file(NODES "/node1/meminfo",
		      "Node 1 MemTotal:       1000000 kB\n"
		      "Node 1 MemFree:          20000 kB\n"
		      "Node 1 Inactive(anon):  900000 kB\n"
		      "Node 1 Inactive(file):   29000 kB\n");
	assert_false(topology_has_room(&root, 1));
	faketree_file(NODES "/node1/meminfo",
		      "Node 1 MemTotal:       1000000 kB\n"
		      "Node 1 MemFree:          20000 kB\n"
		      "Node 1 Inactive(file):   31000 kB\n");
	assert_true(topology_has_room(&root, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frames_and_cpus, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_without_nodes_or_blocks,
						setup, teardown),
		cmocka_unit_test(test_lists),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
