/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "home.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "faketree.h"
#include "topology.h"

#define NODES "sys/devices/system/node"

static struct root root;
static struct topology *topology;

/* Two nodes of two CPUs each. */
static int setup(void **state)
{
	(void)state;
	faketree_begin();
	faketree_file("proc/stat", "\n");
	faketree_file("sys/devices/system/memory/block_size_bytes",
		      "8000000\n");
	faketree_file(NODES "/has_memory", "0-1\n");
	faketree_file(NODES "/node0/cpulist", "0-1\n");
	faketree_file(NODES "/node1/cpulist", "2-3\n");
	faketree_link(NODES "/node0/memory0", "x");
	faketree_link(NODES "/node1/memory1", "x");
	assert_int_equal(root_open(faketree_top, &root), 0);
	assert_int_equal(topology_read(&root, &topology), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	topology_free(topology);
	root_close(&root);
	faketree_end();
	return 0;
}

static void stat_write(const char *dir, int nice, int ticks, int cpu)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/stat", dir);
	faketree_file(path,
		      "7 (a ) b) S 1 7 7 0 -1 4194304 1 0 0 0 %d 1 0 0 20 %d "
		      "2 0 99 0 0 0 1 1 0 0 0 0 0 0 0 0 0 0 17 %d 0 0 0 0 0\n",
		      ticks - 1, nice, cpu);
}

static void thread(int tid, int ticks, int cpu, const char *cpus,
		   const char *mems)
{
	char path[128];

	snprintf(path, sizeof(path), "proc/7/task/%d", tid);
	stat_write(path, 0, ticks, cpu);
	snprintf(path, sizeof(path), "proc/7/task/%d/status", tid);
	faketree_file(path,
		      "Name:\ta\nCpus_allowed:\tf\nCpus_allowed_list:\t%s\n"
		      "Mems_allowed:\t3\nMems_allowed_list:\t%s\n",
		      cpus, mems);
}

static int look(struct home_look *ret)
{
	int dir = openat(root.proc, "7", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	assert_true(dir >= 0);
	r = home_look(topology, dir, ret);
	close(dir);
	return r;
}

static void test_a_look(void **state)
{
	struct home_look l;

	(void)state;
	stat_write("proc/7", -11, 5, 0);
	thread(7, 10, 0, "0-3", "0-1");
	thread(8, 30, 3, "2-3", "0-1");
	assert_int_equal(look(&l), 0);
	assert_int_equal(l.nice, -11);
	assert_int_equal(l.may_run, 3);
	assert_int_equal(l.may_use, 3);
	assert_in_range(l.ran[0], 24, 27);
	assert_in_range(l.ran[1], 72, 75);
}

static void test_a_pinned_process(void **state)
{
	struct home_look l;
	struct home h = { 0 };

	(void)state;
	stat_write("proc/7", 0, 5, 0);
	thread(7, 10, 0, "2-3", "0-1");
	assert_int_equal(look(&l), 0);
	home_step(&h, topology, &l);
	assert_int_equal(h.nodes, 2); /* wherever it ran before */
	thread(7, 10, 0, "0", "0-1");
	assert_int_equal(look(&l), 0);
	home_step(&h, topology, &l);
	assert_int_equal(h.nodes, 1); /* at once */
	/* all its memory has to be on node 1: its cpuset says so */
	thread(7, 10, 0, "0", "1");
	assert_int_equal(look(&l), 0);
	home_step(&h, topology, &l);
	assert_int_equal(h.nodes, 2);
}

static void test_a_process_that_is_gone(void **state)
{
	struct home_look l;

	(void)state;
	faketree_file("proc/7/comm", "x\n");
	assert_int_equal(look(&l), 1);
}

static void ran(struct home *h, uint8_t first, uint8_t second)
{
	struct home_look l = { .may_run = 3, .may_use = 3 };

	l.ran[0] = first;
	l.ran[1] = second;
	home_step(h, topology, &l);
}

static void test_homes_by_where_threads_ran(void **state)
{
	struct home h = { 0 };

	(void)state;
	ran(&h, 50, 50);
	assert_int_equal(h.nodes, 3); /* everywhere */
	ran(&h, 100, 0);
	ran(&h, 100, 0);
	assert_int_equal(h.nodes, 1);
	/* once elsewhere is no move, */
	ran(&h, 0, 100);
	assert_int_equal(h.nodes, 1);
	ran(&h, 100, 0);
	assert_int_equal(h.nodes, 1);
	/* to and fro for ever neither, */
	for (int i = 0; i < 100; i++) {
		ran(&h, i % 2 ? 100 : 0, i % 2 ? 0 : 100);
		assert_int_equal(h.nodes, 1);
	}
	/* but twice is */
	ran(&h, 0, 100);
	ran(&h, 0, 100);
	assert_int_equal(h.nodes, 2);
	/* a process that does nothing stays */
	ran(&h, 0, 0);
	assert_int_equal(h.nodes, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_look, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_pinned_process, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_process_that_is_gone,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_homes_by_where_threads_ran,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
