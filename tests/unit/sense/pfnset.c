/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pfnset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#define SLOTS	  4096
#define N_THREADS 4

static struct pfnset *set;

static int setup(void **state)
{
	(void)state;
	return pfnset_new(SLOTS, &set);
}

static int teardown(void **state)
{
	(void)state;
	set = pfnset_free(set);
	return 0;
}

/* What a frame's checksum would be. */
static uint32_t crc_of(uint64_t pfn)
{
	return (uint32_t)(pfn * 2654435761U) ^ (uint32_t)(pfn >> 32);
}

static void test_what_was_put_is_found(void **state)
{
	uint32_t crc = 42;

	(void)state;
	assert_false(pfnset_get(set, 7, &crc));
	/* all checksums are possible, 0 too */
	pfnset_put(set, 7, 0);
	assert_true(pfnset_get(set, 7, &crc));
	assert_int_equal(crc, 0);
	pfnset_put(set, 8, 0xFFFFFFFFU);
	assert_true(pfnset_get(set, 8, &crc));
	assert_int_equal(crc, 0xFFFFFFFFU);
	/* a frame was reused within the round: the last is right */
	pfnset_put(set, 7, 9);
	assert_true(pfnset_get(set, 7, &crc));
	assert_int_equal(crc, 9);
	assert_false(pfnset_get(set, 7 + SLOTS, &crc));
	assert_false(pfnset_get(set, 7ULL << 32, &crc));
}

static void test_clear_forgets_all(void **state)
{
	uint32_t crc;

	(void)state;
	for (uint64_t pfn = 1; pfn < SLOTS; pfn++)
		pfnset_put(set, pfn, 1);
	pfnset_clear(set);
	for (uint64_t pfn = 1; pfn < SLOTS; pfn++)
		assert_false(pfnset_get(set, pfn, &crc));
	pfnset_put(set, 5, 6);
	assert_true(pfnset_get(set, 5, &crc));
}

/* Half full nearly all is kept; overfull it loses, and never lies. */
static void test_full_it_drops_but_never_lies(void **state)
{
	uint64_t n_found = 0;
	uint32_t crc;

	(void)state;
	for (uint64_t pfn = 1; pfn <= SLOTS / 2; pfn++)
		pfnset_put(set, pfn * 513, crc_of(pfn * 513));
	for (uint64_t pfn = 1; pfn <= SLOTS / 2; pfn++)
		n_found += pfnset_get(set, pfn * 513, &crc);
	assert_true(n_found > SLOTS / 2 - SLOTS / 100);
	for (uint64_t pfn = 1; pfn <= SLOTS * 4; pfn++)
		pfnset_put(set, pfn, crc_of(pfn));
	n_found = 0;
	for (uint64_t pfn = 1; pfn <= SLOTS * 4; pfn++) {
		if (!pfnset_get(set, pfn, &crc))
			continue;
		assert_int_equal(crc, crc_of(pfn));
		n_found++;
	}
	assert_in_range(n_found, SLOTS / 2, SLOTS);
}

/* Frames far up, and in the pattern of huge pages, find room as well. */
static void test_regular_frames_spread(void **state)
{
	uint32_t crc;

	(void)state;
	for (uint64_t i = 0; i < SLOTS / 8; i++)
		pfnset_put(set, (1ULL << 40) + i * 512, (uint32_t)i);
	for (uint64_t i = 0; i < SLOTS / 8; i++) {
		assert_true(pfnset_get(set, (1ULL << 40) + i * 512, &crc));
		assert_int_equal(crc, i);
	}
}

struct part {
	pthread_t thread;
	uint64_t first;
	uint64_t n_wrong;
};

/* All put and get the same frames, each from another one on. */
static void *put_and_get(void *arg)
{
	struct part *part = arg;

	for (uint64_t i = 0; i < 200000; i++) {
		uint64_t pfn = 1 + (part->first + i * 7) % (SLOTS * 2);
		uint32_t crc;

		if (i % 2)
			pfnset_put(set, pfn, crc_of(pfn));
		else if (pfnset_get(set, pfn, &crc))
			part->n_wrong += crc != crc_of(pfn);
	}
	return NULL;
}

static void test_several_threads_at_once(void **state)
{
	struct part parts[N_THREADS] = { 0 };

	(void)state;
	for (unsigned int i = 0; i < N_THREADS; i++) {
		parts[i].first = i * 1000;
		assert_int_equal(pthread_create(&parts[i].thread, NULL,
						put_and_get, &parts[i]),
				 0);
	}
	for (unsigned int i = 0; i < N_THREADS; i++) {
		assert_int_equal(pthread_join(parts[i].thread, NULL), 0);
		assert_int_equal(parts[i].n_wrong, 0);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_was_put_is_found),
		TEST(test_clear_forgets_all),
		TEST(test_full_it_drops_but_never_lies),
		TEST(test_regular_frames_spread),
		TEST(test_several_threads_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
