/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vigil.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SEC	 1000000ULL
#define INTERVAL (15 * SEC)
#define PATIENCE (60 * SEC)

struct machine {
	struct vigil vigil;
	uint64_t now;
	struct vigil_sample s[2];
};

static struct machine machine(void)
{
	struct machine m = { .now = 1000 * SEC };

	for (int i = 0; i < 2; i++)
		m.s[i] = (struct vigil_sample){ .busy = true,
						.count = 1,
						.patience_usec = PATIENCE };
	return m;
}

static uint32_t look_after(struct machine *m, uint64_t usec)
{
	m->now += usec;
	return vigil_look(&m->vigil, m->now, INTERVAL, m->s, 2);
}

/* Looks of one interval until a part is found; 0 if it is after @max. */
static unsigned int looks_until(struct machine *m, uint32_t part,
				unsigned int max)
{
	for (unsigned int i = 1; i <= max; i++) {
		uint32_t found = look_after(m, INTERVAL);

		if (found == part)
			return i;
		assert_int_equal(found, VIGIL_NONE);
	}
	return 0;
}

static void who_gets_on_is_well(void **state)
{
	struct machine m = machine();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		m.s[0].count++;
		m.s[1].count--;
		assert_int_equal(look_after(&m, INTERVAL), VIGIL_NONE);
	}
}

static void who_has_nothing_to_do_is_well(void **state)
{
	struct machine m = machine();

	(void)state;
	m.s[0].busy = m.s[1].busy = false;
	assert_int_equal(looks_until(&m, 0, 1000), 0);
}

static void who_stands_still_is_found(void **state)
{
	struct machine m = machine();

	(void)state;
	m.s[0].busy = false;
	/* the first look knows nothing; beyond 60 s is the fifth after it */
	assert_int_equal(looks_until(&m, 1, 100), 6);
	m.s[1].count++;
	assert_int_equal(look_after(&m, INTERVAL), VIGIL_NONE);
	assert_int_equal(looks_until(&m, 1, 100), 5);
	m.s[1].busy = false;
	assert_int_equal(look_after(&m, INTERVAL), VIGIL_NONE);
	m.s[1].busy = true;
	assert_int_equal(looks_until(&m, 1, 100), 5);
}

static void the_worst_is_named(void **state)
{
	struct machine m = machine();

	(void)state;
	m.s[0].patience_usec = 0;
	assert_int_equal(look_after(&m, INTERVAL), VIGIL_NONE);
	assert_int_equal(look_after(&m, INTERVAL), 0);
	m.s[0].patience_usec = 10 * PATIENCE;
	for (int i = 0; i < 10; i++)
		look_after(&m, INTERVAL);
	assert_int_equal(look_after(&m, INTERVAL), 1);
	m.s[0].patience_usec = 0;
	assert_int_equal(look_after(&m, INTERVAL), 0);
}

/* An hour of sleep is one interval of life, and so is a clock that jumps. */
static void sleep_ages_nobody(void **state)
{
	struct machine m = machine();

	(void)state;
	assert_int_equal(look_after(&m, INTERVAL), VIGIL_NONE);
	assert_int_equal(look_after(&m, 3600 * SEC), VIGIL_NONE);
	assert_int_equal(look_after(&m, 3600 * SEC), VIGIL_NONE);
	m.now -= 1000 * SEC;
	assert_int_equal(look_after(&m, 0), VIGIL_NONE);
	assert_int_equal(look_after(&m, 86400 * SEC), VIGIL_NONE);
	assert_int_equal(look_after(&m, 86400 * SEC), VIGIL_NONE);
	assert_int_equal(look_after(&m, INTERVAL), 0);
}

/* Whoever waits for a CPU keeps its age, but does not age. */
static void starving_ages_nobody(void **state)
{
	struct machine m = machine();

	(void)state;
	m.s[1].busy = false;
	assert_int_equal(looks_until(&m, 0, 5), 0);
	m.s[0].starved = true;
	assert_int_equal(looks_until(&m, 0, 1000), 0);
	m.s[0].starved = false;
	assert_int_equal(looks_until(&m, 0, 5), 1);
}

/* A look that is cut short ages by what it was. */
static void frequent_looks_age_as_rare_ones(void **state)
{
	struct machine m = machine();
	unsigned int n = 0;

	(void)state;
	m.s[1].busy = false;
	assert_int_equal(look_after(&m, 1), VIGIL_NONE);
	while (look_after(&m, SEC) == VIGIL_NONE)
		n++;
	assert_int_equal(n, PATIENCE / SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_gets_on_is_well),
		cmocka_unit_test(who_has_nothing_to_do_is_well),
		cmocka_unit_test(who_stands_still_is_found),
		cmocka_unit_test(the_worst_is_named),
		cmocka_unit_test(sleep_ages_nobody),
		cmocka_unit_test(starving_ages_nobody),
		cmocka_unit_test(frequent_looks_age_as_rare_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
