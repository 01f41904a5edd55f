/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine on the model: each rung, each way to fail, one at a time.
 */
#include "bringup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MSEC 1000000ULL

static const struct device_config usual = {
	.shared = true,
	.batch_by_write = true,
	.size = 16,
	.max_batch = 64,
	.max_transfer = 2U << 20,
	.n_engines = 2,
	.seed = 1,
};

/* Long enough that nothing is lost by a slow machine. */
static const struct engine_dsa_options patient = {
	.find = bringup_find,
	.rung = DSA_RUNG_ANY,
	.timeout_nsec = 20000 * MSEC,
	.backoff_nsec = MSEC,
};

static struct device *devices[INSIDE_MAX];
static const struct checksum_engine *engine;
static struct checksum_lane *lane;

static void start(const struct device_config *config,
		  const struct engine_dsa_options *options)
{
	size_t i = bringup_n;

	devices[i] = bringup_device(config);
	assert_int_equal(engine_dsa_new(options, &engine), 0);
	assert_int_equal(engine->lane_new(engine, &lane), 0);
}

static int end(void **state)
{
	struct device_counts counts;
	int r = 0;

	(void)state;
	inside_close_hangs = false;
	if (lane)
		engine->lane_free(lane);
	engine_dsa_free(engine);
	for (size_t i = 0; i < bringup_n; i++) {
		device_counts(devices[i], &counts);
		if (counts.touched || counts.overrun)
			r = -1;
	}
	bringup_end(devices);
	lane = NULL;
	engine = NULL;
	inside_portal = true;
	inside_open_error = 0;
	return r;
}

static struct engine_dsa_state now(void)
{
	struct engine_dsa_state s;

	engine_dsa_state(engine, &s);
	return s;
}

/* @n pages through the lane, each with the CPU's checksum. */
static void pages_are_right(unsigned int n)
{
	static uint32_t crc[REGION_PAGES], right[REGION_PAGES];
	static struct checksum_item items[REGION_PAGES];
	static unsigned int turn;

	turn++;
	for (unsigned int i = 0; i < n; i++) {
		uint32_t *page = (uint32_t *)(lane->area + i * PAGE_BYTES);

		page[i % 1024] = turn * 2654435761U + i;
		page[0] ^= i;
		right[i] = checksum_page(page);
		crc[i] = 0;
		items[i] = (struct checksum_item){ page, &crc[i] };
	}
	engine->submit(lane, items, n);
	engine->reap(lane);
	assert_memory_equal(crc, right, n * sizeof(*crc));
}

/* Go on until @n_queues are in use. */
static void wait_for_queues(unsigned int n_queues)
{
	for (unsigned int i = 0; now().n_queues != n_queues; i++) {
		pages_are_right(16);
		usleep(1000);
		assert_true(i < 60000);
	}
}

static void set_mishaps(struct mishaps once_in)
{
	device_set_mishaps(devices[0], &once_in);
}

/* --- the ladder ------------------------------------------------------------- */

static void rung_works(enum dsa_rung rung, unsigned int trial)
{
	struct engine_dsa_state s;

	assert_int_equal(now().rung, rung);
	pages_are_right(REGION_PAGES);
	pages_are_right(96);
	s = now();
	assert_int_equal(s.pages, trial + REGION_PAGES + 96);
	assert_true(s.batches > 2);
}

static void test_the_portal_comes_first(void **state)
{
	(void)state;
	start(&usual, &patient);
	rung_works(DSA_RUNG_PORTAL, 16);
}

static void test_without_the_portal_batches_are_written(void **state)
{
	(void)state;
	inside_portal = false;
	start(&usual, &patient);
	rung_works(DSA_RUNG_BATCH, 16);
}

static void test_without_batches_vectors_are_written(void **state)
{
	struct device_config config = usual;

	(void)state;
	inside_portal = false;
	config.batch_by_write = false;
	start(&config, &patient);
	rung_works(DSA_RUNG_VECTOR, 8);
}

/* sysfs promises BATCH and the driver answers EINVAL: some kernels do. */
static void test_a_batch_that_is_refused_is_a_vector(void **state)
{
	struct device_config config = usual;

	(void)state;
	inside_portal = false;
	config.batch_by_write = false;
	devices[0] = bringup_device(&config);
	bringup_nodes[0].queue.can_batch = true;
	assert_int_equal(engine_dsa_new(&patient, &engine), 0);
	assert_int_equal(engine->lane_new(engine, &lane), 0);
	rung_works(DSA_RUNG_VECTOR, 8);
}

static void test_each_rung_can_be_forced(void **state)
{
	(void)state;
	for (int r = DSA_RUNG_CPU; r < DSA_RUNG_MAX_; r++) {
		struct engine_dsa_options options = patient;

		options.rung = (enum dsa_rung)r;
		start(&usual, &options);
		assert_int_equal(now().rung, r);
		pages_are_right(REGION_PAGES);
		assert_int_equal(now().pages != 0, r != DSA_RUNG_CPU);
		assert_int_equal(end(NULL), 0);
	}
}

/* A queue of batches of one, as if BATCH were not there. */
static void test_the_smallest_queue(void **state)
{
	struct device_config config = usual;

	(void)state;
	config.size = 8;
	config.max_batch = 1;
	start(&config, &patient);
	rung_works(DSA_RUNG_PORTAL, 8);
}

/* Dedicated queues drop what is too much: it is never too much. */
static void test_a_dedicated_queue_is_never_overrun(void **state)
{
	struct device_config config = usual;
	struct device_counts counts;

	(void)state;
	config.shared = false;
	for (int r = DSA_RUNG_VECTOR; r < DSA_RUNG_MAX_; r++) {
		struct engine_dsa_options options = patient;

		options.rung = (enum dsa_rung)r;
		start(&config, &options);
		for (unsigned int i = 0; i < 20; i++)
			pages_are_right(REGION_PAGES);
		device_counts(devices[0], &counts);
		assert_int_equal(counts.overrun, 0);
		assert_true(now().pages > 19 * REGION_PAGES);
		assert_int_equal(end(NULL), 0);
	}
}

static void test_shared_queues_are_preferred(void **state)
{
	struct device_config config = usual;

	(void)state;
	config.shared = false;
	devices[0] = bringup_device(&config);
	start(&usual, &patient);
	assert_int_equal(now().n_queues, 1);
	pages_are_right(REGION_PAGES);
}

static void test_several_queues_share_the_work(void **state)
{
	struct device_counts one, other;

	(void)state;
	devices[0] = bringup_device(&usual);
	start(&usual, &patient);
	assert_int_equal(now().n_queues, 2);
	for (unsigned int i = 0; i < 8; i++)
		pages_are_right(REGION_PAGES);
	device_counts(devices[0], &one);
	device_counts(devices[1], &other);
	assert_int_equal(one.done, other.done);
}

/* --- what comes back -------------------------------------------------------- */

static void test_short_runs_stay_on_the_cpu(void **state)
{
	(void)state;
	start(&usual, &patient);
	pages_are_right(7);
	assert_int_equal(now().pages, 16);
	assert_int_equal(now().fallbacks[DSA_CAUSE_SHORT], 7);
	pages_are_right(8);
	assert_int_equal(now().pages, 24);
}

static void test_engines_agree_page_by_page(void **state)
{
	struct checksum_lane *cpu;
	uint32_t by_cpu[REGION_PAGES], by_dsa[REGION_PAGES];
	struct checksum_item one[REGION_PAGES], other[REGION_PAGES];

	(void)state;
	start(&usual, &patient);
	assert_int_equal(checksum_cpu.lane_new(&checksum_cpu, &cpu), 0);
	for (unsigned int i = 0; i < REGION_PAGES; i++) {
		unsigned char *page = lane->area + i * PAGE_BYTES;

		memset(page, (int)i, i * 8);
		one[i] = (struct checksum_item){ page, &by_cpu[i] };
		other[i] = (struct checksum_item){ page, &by_dsa[i] };
	}
	for (unsigned int i = 0; i < REGION_PAGES; i += 32) {
		engine->submit(lane, &other[i], 32);
		checksum_cpu.submit(cpu, &one[i], 32);
	}
	engine->reap(lane);
	checksum_cpu.lane_free(cpu);
	assert_memory_equal(by_cpu, by_dsa, sizeof(by_cpu));
	assert_int_equal(now().pages, 16 + REGION_PAGES);
}

static void test_page_faults_are_finished_by_the_cpu(void **state)
{
	(void)state;
	start(&usual, &patient);
	set_mishaps((struct mishaps){ .fault = 2, .request = 7 });
	for (unsigned int i = 0; i < 8; i++)
		pages_are_right(REGION_PAGES);
	assert_true(now().fallbacks[DSA_CAUSE_FAULT] > REGION_PAGES);
	assert_int_equal(now().n_queues, 1);
}

static void test_what_a_batch_leaves_out_is_done(void **state)
{
	(void)state;
	start(&usual, &patient);
	set_mishaps((struct mishaps){ .list_fault = 2 });
	for (unsigned int i = 0; i < 8; i++)
		pages_are_right(REGION_PAGES);
	assert_true(now().fallbacks[DSA_CAUSE_SKIPPED] > 0);
	assert_int_equal(now().n_queues, 1);
}

/* Sooner or later the queue is left alone; when all is well it comes back. */
static void breaks_and_recovers(struct mishaps once_in, enum dsa_cause cause)
{
	for (int r = DSA_RUNG_VECTOR; r < DSA_RUNG_MAX_; r++) {
		struct engine_dsa_options options = patient;

		options.rung = (enum dsa_rung)r;
		start(&usual, &options);
		set_mishaps(once_in);
		for (unsigned int i = 0; !now().retired; i++) {
			pages_are_right(REGION_PAGES);
			assert_true(i < 1000);
		}
		assert_int_equal(now().last, cause);
		assert_true(now().fallbacks[cause] > 0);
		set_mishaps((struct mishaps){ 0 });
		wait_for_queues(1);
		pages_are_right(REGION_PAGES);
		assert_int_equal(end(NULL), 0);
	}
}

static void test_a_queue_that_refuses_is_left(void **state)
{
	(void)state;
	breaks_and_recovers((struct mishaps){ .refused = 100 },
			    DSA_CAUSE_REFUSED);
}

static void test_a_queue_with_hardware_errors_is_left(void **state)
{
	(void)state;
	/* of the members; of a batch as a whole it would count as lost */
	breaks_and_recovers((struct mishaps){ .hardware = 1 },
			    DSA_CAUSE_HARDWARE);
}

static void test_a_queue_that_is_always_full_is_left(void **state)
{
	(void)state;
	breaks_and_recovers((struct mishaps){ .retry = 1 }, DSA_CAUSE_BUSY);
}

static void test_a_device_that_is_disabled_is_left(void **state)
{
	(void)state;
	start(&usual, &patient);
	device_enable(devices[0], false);
	for (unsigned int i = 0; now().n_queues; i++) {
		pages_are_right(REGION_PAGES);
		assert_true(i < 100);
	}
	assert_int_equal(now().last, DSA_CAUSE_BUSY);
	device_enable(devices[0], true);
	wait_for_queues(1);
}

/* --- silence ---------------------------------------------------------------- */

static const struct engine_dsa_options impatient = {
	.find = bringup_find,
	.rung = DSA_RUNG_ANY,
	.timeout_nsec = 20 * MSEC,
	.backoff_nsec = MSEC,
};

static void test_memory_of_a_silent_device_is_put_aside(void **state)
{
	const unsigned char *area;

	(void)state;
	start(&usual, &impatient);
	wait_for_queues(1);
	area = lane->area;
	inside_close_hangs = true;
	set_mishaps((struct mishaps){ .lost = 1 });
	pages_are_right(REGION_PAGES);
	assert_ptr_not_equal(lane->area, area);
	assert_int_equal(now().n_put_aside, 1);
	assert_int_equal(now().n_queues, 0);
	assert_int_equal(now().last, DSA_CAUSE_LOST);
	assert_true(now().fallbacks[DSA_CAUSE_LOST] > 0);
	/* it is there, and nobody but the device has it */
	assert_int_equal(*(volatile const unsigned char *)(area + 64),
			 area[64]);
	set_mishaps((struct mishaps){ 0 });
	for (unsigned int i = 0; i < 20; i++)
		pages_are_right(16);
	assert_int_equal(now().n_queues, 0); /* not before it is closed */
	inside_close_hangs = false;
	wait_for_queues(1);
	assert_int_equal(now().n_put_aside, 0);
}

static void test_late_answers_find_their_memory(void **state)
{
	struct device_config config = usual;

	(void)state;
	config.late_usec = 60000;
	for (int r = DSA_RUNG_VECTOR; r < DSA_RUNG_MAX_; r++) {
		struct engine_dsa_options options = impatient;

		options.rung = (enum dsa_rung)r;
		start(&config, &options);
		wait_for_queues(1);
		set_mishaps((struct mishaps){ .late = 40 });
		for (unsigned int i = 0; now().n_queues; i++) {
			pages_are_right(REGION_PAGES);
			assert_true(i < 1000);
		}
		set_mishaps((struct mishaps){ 0 });
		wait_for_queues(1);
		assert_int_equal(end(NULL), 0); /* nothing was touched */
	}
}

static void test_rubbish_is_no_answer(void **state)
{
	(void)state;
	start(&usual, &impatient);
	set_mishaps((struct mishaps){ .odd = 50, .list_hardware = 300 });
	for (unsigned int i = 0; i < 40; i++)
		pages_are_right(REGION_PAGES);
	assert_true(now().retired > 0);
	set_mishaps((struct mishaps){ 0 });
	wait_for_queues(1);
}

/* Not even an end waits for a device that never lets go. */
static void test_the_end_does_not_wait_for_ever(void **state)
{
	(void)state;
	start(&usual, &impatient);
	wait_for_queues(1);
	inside_close_hangs = true;
	set_mishaps((struct mishaps){ .lost = 1 });
	pages_are_right(REGION_PAGES);
	engine->lane_free(lane);
	lane = NULL;
	engine = engine_dsa_free(engine);
	inside_close_hangs = false;
	usleep(50000); /* the thread that was left behind ends, too */
}

static void test_lanes_stop_before_memory_is_short(void **state)
{
	struct checksum_lane *first, *lanes[12];

	(void)state;
	start(&usual, &impatient);
	first = lane;
	inside_close_hangs = true;
	for (unsigned int i = 0; i < 12; i++) {
		assert_int_equal(engine->lane_new(engine, &lanes[i]), 0);
		lane = lanes[i];
		set_mishaps((struct mishaps){ .lost = 1 });
		pages_are_right(64);
		set_mishaps((struct mishaps){ 0 });
		usleep(2000);
		bringup_nodes[0].queue.name[2]++; /* as if it were another */
		pages_are_right(8);
	}
	assert_true(now().n_put_aside <= 9);
	inside_close_hangs = false;
	for (unsigned int i = 0; i < 12; i++)
		engine->lane_free(lanes[i]);
	lane = first;
}

/* --- nothing there ---------------------------------------------------------- */

static void test_a_queue_that_is_taken_is_asked_for_again(void **state)
{
	(void)state;
	inside_open_error = -EBUSY;
	start(&usual, &patient);
	assert_int_equal(now().n_queues, 0);
	assert_int_equal(now().rung, DSA_RUNG_CPU);
	pages_are_right(REGION_PAGES);
	inside_open_error = 0;
	wait_for_queues(1);
}

static void test_no_queue_at_all(void **state)
{
	(void)state;
	assert_int_equal(engine_dsa_new(&patient, &engine), 0);
	assert_int_equal(engine->lane_new(engine, &lane), 0);
	pages_are_right(REGION_PAGES);
	assert_int_equal(now().fallbacks[DSA_CAUSE_NO_QUEUE], REGION_PAGES);
}

static void test_both_engines_can_be_measured(void **state)
{
	uint64_t cpu, dsa;

	(void)state;
	start(&usual, &patient);
	assert_int_equal(checksum_measure(&checksum_cpu, &cpu), 0);
	assert_int_equal(checksum_measure(engine, &dsa), 0);
	assert_true(cpu > 0);
	assert_true(dsa > 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_portal_comes_first),
		TEST(test_without_the_portal_batches_are_written),
		TEST(test_without_batches_vectors_are_written),
		TEST(test_a_batch_that_is_refused_is_a_vector),
		TEST(test_each_rung_can_be_forced),
		TEST(test_the_smallest_queue),
		TEST(test_a_dedicated_queue_is_never_overrun),
		TEST(test_shared_queues_are_preferred),
		TEST(test_several_queues_share_the_work),
		TEST(test_short_runs_stay_on_the_cpu),
		TEST(test_engines_agree_page_by_page),
		TEST(test_page_faults_are_finished_by_the_cpu),
		TEST(test_what_a_batch_leaves_out_is_done),
		TEST(test_a_queue_that_refuses_is_left),
		TEST(test_a_queue_with_hardware_errors_is_left),
		TEST(test_a_queue_that_is_always_full_is_left),
		TEST(test_a_device_that_is_disabled_is_left),
		TEST(test_memory_of_a_silent_device_is_put_aside),
		TEST(test_late_answers_find_their_memory),
		TEST(test_rubbish_is_no_answer),
		TEST(test_the_end_does_not_wait_for_ever),
		TEST(test_lanes_stop_before_memory_is_short),
		TEST(test_a_queue_that_is_taken_is_asked_for_again),
		TEST(test_no_queue_at_all),
		TEST(test_both_engines_can_be_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
