/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frameset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdint.h>

#include "cleanup.h"

static void knows_each_frame_once(void **state)
{
	static const uint64_t pfns[] = { 1, 2, 63, 64, 1ULL << 18, 5ULL << 30 };
	struct frameset *set;

	(void)state;
	assert_int_equal(frameset_new(&set), 0);
	for (size_t i = 0; i < ARRAY_SIZE(pfns); i++)
		assert_true(frameset_first(set, pfns[i]));
	for (size_t i = 0; i < ARRAY_SIZE(pfns); i++)
		assert_false(frameset_first(set, pfns[i]));
	assert_true(frameset_first(set, 3));
	/* beyond what can be remembered */
	assert_false(frameset_first(set, UINT64_MAX));
	assert_null(frameset_free(set));
	assert_null(frameset_free(NULL));
}

#define N_FRAMES  100000U
#define N_THREADS 4U

static void *count_first(void *arg)
{
	uintptr_t n = 0;

	for (uint64_t pfn = 0; pfn < N_FRAMES; pfn++)
		n += frameset_first(arg, pfn * 7);
	return (void *)n;
}

static void one_thread_is_first(void **state)
{
	pthread_t threads[N_THREADS];
	struct frameset *set;
	uintptr_t sum = 0;

	(void)state;
	assert_int_equal(frameset_new(&set), 0);
	for (unsigned int i = 0; i < N_THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, count_first, set), 0);
	for (unsigned int i = 0; i < N_THREADS; i++) {
		void *n;

		assert_int_equal(pthread_join(threads[i], &n), 0);
		sum += (uintptr_t)n;
	}
	assert_int_equal(sum, N_FRAMES);
	frameset_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_each_frame_once),
		cmocka_unit_test(one_thread_is_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
