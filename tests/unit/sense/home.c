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

static const uint64_t nothing[64];

static int dir_open(void)
{
	int dir = openat(root.proc, "7", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	return dir;
}

static int look(struct home_look *ret)
{
	int dir = dir_open();
	int r;

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
	/* ticks of its own stat: threads that have ended count, too */
	assert_int_equal(l.cpu_usec,
			 5 * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK));
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
	home_step(&h, topology, &l, nothing);
	assert_int_equal(h.nodes, 2); /* wherever it ran before */
	thread(7, 10, 0, "0", "0-1");
	assert_int_equal(look(&l), 0);
	home_step(&h, topology, &l, nothing);
	assert_int_equal(h.nodes, 1); /* at once */
	/* all its memory has to be on node 1: its cpuset says so */
	thread(7, 10, 0, "0", "1");
	assert_int_equal(look(&l), 0);
	home_step(&h, topology, &l, nothing);
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
	home_step(h, topology, &l, nothing);
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

/* Of a process that runs on both nodes alike. */
static uint64_t home_with(struct home *h, uint64_t first, uint64_t second)
{
	const struct home_look l = { .may_run = 3,
				     .may_use = 3,
				     .ran = { 50, 50 } };
	const uint64_t own[64] = { first, second };

	home_step(h, topology, &l, own);
	return h->nodes;
}

static void test_homes_by_their_own_pages(void **state)
{
	struct home h = { 0 };

	(void)state;
	assert_int_equal(home_with(&h, 0, 200), 3); /* too few to tell */
	assert_int_equal(home_with(&h, 300, 250), 3);
	assert_int_equal(home_with(&h, 250, 1000), 2);
	assert_int_equal(home_with(&h, 0, 0), 2); /* until it has another */
	assert_int_equal(home_with(&h, 1000, 250), 1);
	/* where it runs is worth more, and stays so */
	ran(&h, 0, 100);
	ran(&h, 0, 100);
	ran(&h, 0, 100);
	assert_int_equal(h.nodes, 2);
	assert_int_equal(home_with(&h, 1000, 250), 2);
}

/* As numactl starts programs: "--membind" and "--preferred". */
static void test_homes_by_policy(void **state)
{
	struct home bound = { .policy.bound = 2 };
	struct home preferred = { .policy.preferred = 2 };
	struct home_look pinned = { .may_run = 1, .may_use = 3 };

	(void)state;
	assert_int_equal(home_with(&bound, 1000, 0), 2);
	assert_int_equal(home_with(&preferred, 1000, 0), 2);
	/* it runs on the other node: its memory is where it has to be */
	home_step(&bound, topology, &pinned, nothing);
	assert_int_equal(bound.nodes, 2);
	home_step(&preferred, topology, &pinned, nothing);
	assert_int_equal(preferred.nodes, 1);
	/* a cpuset without that node wins: the kernel has it so */
	pinned.may_use = 1;
	home_step(&bound, topology, &pinned, nothing);
	assert_int_equal(bound.nodes, 1);
}

static void policy_write(const char *policy)
{
	faketree_file("proc/7/maps", "400000-401000 r--p 00000000 00:00 0\n");
	faketree_file("proc/7/numa_maps",
		      "00400000 %s file=/bin/x mapped=1 N0=1\n", policy);
}

static void test_policies_are_read_ever_more_rarely(void **state)
{
	struct home h = { 0 };
	int dir;

	(void)state;
	stat_write("proc/7", 0, 5, 0);
	policy_write("bind:0");
	dir = dir_open();
	home_policy(&h, dir);
	assert_int_equal(h.policy.bound, 1);
	policy_write("bind:1");
	home_policy(&h, dir);
	assert_int_equal(h.policy.bound, 1);
	home_policy(&h, dir);
	assert_int_equal(h.policy.bound, 2);
	for (unsigned int i = 0; i < 1000; i++)
		home_policy(&h, dir);
	assert_int_equal(h.policy_rest, 64);
	policy_write("default");
	for (unsigned int i = 0; i < 65; i++)
		home_policy(&h, dir);
	assert_int_equal(h.policy.bound, 0);
	close(dir);
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
		cmocka_unit_test_setup_teardown(test_homes_by_their_own_pages,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_homes_by_policy, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_policies_are_read_ever_more_rarely, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
