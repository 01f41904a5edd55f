/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "shed.h"
#include "track.h"
#include "watch.h"

#define WHOLE	  (sizeof(struct region) + REGION_PAGES * sizeof(uint32_t))
#define N_REGIONS 4U

static struct track *track;
static struct watched processes[3];
static struct watched *const list[] = { &processes[0], NULL, &processes[1],
					&processes[2] };
#define N_LIST (sizeof(list) / sizeof(list[0]))
static const struct watched newcomer = { .found_usec = 9 };

/* Region @i of a process has been at rest for @cold[i]. */
static void fill(struct watched *w, const uint8_t cold[N_REGIONS])
{
	for (unsigned int i = 0; i < N_REGIONS; i++) {
		struct watched_region wr = {
			.base = i * REGION_BYTES,
			.heat = { .state = HEAT_KNOWN, .cold = cold[i] },
		};

		assert_int_equal(
			track_region_add(track, wr.base, 0, 0, &wr.number), 0);
		assert_int_equal(vec_push(&w->regions, wr), 0);
	}
}

static int setup(void **state)
{
	static const uint8_t cold[][N_REGIONS] = { { 0, 1, 1, 2 },
						   { 6, 0, 4, 4 } };

	(void)state;
	/* a third of it is for regions; room for nine */
	assert_int_equal(track_new(3 * 9 * WHOLE, 1, false, &track), 0);
	fill(&processes[0], cold[0]);
	fill(&processes[1], cold[1]);
	assert_int_equal(track_room(track), 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		vec_free(&processes[i].regions);
		processes[i] = (struct watched){ 0 };
	}
	track = track_free(track);
	return 0;
}

/* The bases that are left, in regions. */
static void check_left(const struct watched *w, const unsigned int *want,
		       size_t n)
{
	assert_int_equal(w->regions.n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(w->regions.v[i].base, want[i] * REGION_BYTES);
}

static void test_nothing_goes_while_there_is_room(void **state)
{
	(void)state;
	assert_int_equal(shed(list, N_LIST, track, &newcomer, 1), 0);
	assert_int_equal(track_room(track), 1);
}

static void test_the_longest_at_rest_goes_first(void **state)
{
	(void)state;
	assert_int_equal(shed(list, N_LIST, track, &newcomer, 2), 1);
	check_left(&processes[1], (const unsigned int[]){ 1, 2, 3 }, 3);
	assert_int_equal(shed(list, N_LIST, track, &newcomer, 3), 1);
	check_left(&processes[1], (const unsigned int[]){ 1, 3 }, 2);
	check_left(&processes[0], (const unsigned int[]){ 0, 1, 2, 3 }, 4);
	assert_int_equal(processes[1].regions_lost, 2);
	assert_int_equal(track_room(track), 3);
}

static void test_what_is_not_at_rest_stays(void **state)
{
	(void)state;
	assert_int_equal(shed(list, N_LIST, track, &newcomer, 100), 4);
	check_left(&processes[0], (const unsigned int[]){ 0, 1, 2 }, 3);
	check_left(&processes[1], (const unsigned int[]){ 1 }, 1);
	assert_int_equal(shed(list, N_LIST, track, &newcomer, 100), 0);
}

/* Two regions of equal pages, which become candidates. */
static void test_what_may_merge_stays(void **state)
{
	struct look look = { 0 };

	(void)state;
	pagemask_set_range(&look.present, 0, 1);
	pagemask_set_range(&look.checked, 0, 1);
	look.crc[0] = 4711;
	for (unsigned int i = 2; i < 4; i++)
		assert_int_equal(track_look(track,
					    processes[1].regions.v[i].number,
					    &look, NULL),
				 0);
	assert_int_equal(shed(list, N_LIST, track, &newcomer, 100), 2);
	check_left(&processes[1], (const unsigned int[]){ 1, 2, 3 }, 3);
}

/* Who was displaced does not displace in turn, and nobody does himself. */
static void test_only_newcomers_displace(void **state)
{
	(void)state;
	processes[0].found_usec = 1;
	processes[1].found_usec = 2;
	assert_int_equal(shed(list, N_LIST, track, &processes[0], 100), 0);
	assert_int_equal(shed(list, N_LIST, track, &processes[1], 100), 1);
	check_left(&processes[0], (const unsigned int[]){ 0, 1, 2 }, 3);
	check_left(&processes[1], (const unsigned int[]){ 0, 1, 2, 3 }, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_nothing_goes_while_there_is_room, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_longest_at_rest_goes_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_at_rest_stays,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_may_merge_stays,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_newcomers_displace,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
