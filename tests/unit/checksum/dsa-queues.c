/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dsa-queues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dsa-wq.h"

#define BACKOFF_NSEC 3600000000000ULL

static struct dsa_queues *queues;
static int32_t here; /* the node of the only CPU that we may use */

static int setup(void **state)
{
	unsigned int cpu, node;
	cpu_set_t one;

	(void)state;
	if (getcpu(&cpu, &node))
		return -1;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) || getcpu(&cpu, &node))
		return -1;
	here = (int32_t)node;
	return dsa_queues_new(BACKOFF_NSEC, &queues);
}

static int teardown(void **state)
{
	(void)state;
	queues = dsa_queues_free(queues);
	return 0;
}

/* One that is in use, and whose device lies at @node. */
static struct dsa_wq *add(const char *name, int32_t node)
{
	struct dsa_wq *wq = calloc(1, sizeof(*wq));

	assert_non_null(wq);
	strcpy(wq->node.queue.device, "dsa0");
	strcpy(wq->node.queue.name, name);
	wq->node.queue.numa_node = node;
	wq->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	dsa_queues_add(queues, wq);
	dsa_queues_admit(queues, wq);
	return wq;
}

/* How often @wq comes in @turns turns. */
static unsigned int picked(const struct dsa_wq *wq, unsigned int turns)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < turns; i++) {
		struct dsa_wq *got = dsa_queues_pick(queues);

		assert_non_null(got);
		n += got == wq;
		dsa_queues_drop(queues, got);
	}
	return n;
}

static void test_none(void **state)
{
	(void)state;
	assert_null(dsa_queues_pick(queues));
}

/* The near ones take turns; those of other nodes are not touched. */
static void test_near_queues_go_first(void **state)
{
	struct dsa_wq *far = add("wq0.0", here + 1), *one = add("wq0.1", here),
		      *unknown = add("wq0.2", -1), *two = add("wq0.3", here);

	(void)state;
	assert_int_equal(picked(one, 8), 4);
	assert_int_equal(picked(two, 8), 4);
	assert_int_equal(picked(far, 8), 0);
	assert_int_equal(picked(unknown, 8), 0);
}

/* Better far away than not at all. */
static void test_far_queues_where_there_is_no_near_one(void **state)
{
	struct dsa_wq *near = add("wq0.0", here), *far = add("wq0.1", here + 1),
		      *unknown = add("wq0.2", -1);

	(void)state;
	assert_int_equal(picked(near, 3), 3);
	dsa_queues_retire(queues, near, DSA_CAUSE_REFUSED);
	assert_int_equal(picked(far, 8), 4);
	assert_int_equal(picked(unknown, 8), 4);
}

/* Whoever has it may keep it; it is closed when the last one gives it back. */
static void test_a_retired_queue_lives_while_it_is_used(void **state)
{
	struct dsa_wq *wq = add("wq0.0", here);
	struct dsa_queue queue = wq->node.queue;

	(void)state;
	assert_int_equal(dsa_queues_find(queues, &queue), DSA_QUEUES_OPEN);
	assert_ptr_equal(dsa_queues_pick(queues), wq);
	dsa_queues_retire(queues, wq, DSA_CAUSE_REFUSED);
	assert_null(dsa_queues_pick(queues));
	assert_int_equal(dsa_queues_find(queues, &queue), DSA_QUEUES_LEAVING);
	dsa_queues_drop(queues, wq);
	while (dsa_queues_find(queues, &queue))
		usleep(1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_none),
		TEST(test_near_queues_go_first),
		TEST(test_far_queues_where_there_is_no_near_one),
		TEST(test_a_retired_queue_lives_while_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
