/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often ksmd would run, and for how long, over hours and with a terabyte:
 * duplicates come, some never merge, processes exit meanwhile. What ksmd does
 * and what it costs is after facts 1.3 and 1.6.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "pulse.h"

#define SEC	    1000000ULL
#define HOUR	    (3600 * SEC)
#define POLL_USEC   20000ULL
#define SHARE	    7000U
#define PASS_NSEC   300U /* a page that is merged */
#define UNIQUE_NSEC 7000U /* one that finds no twin */
#define MERGE_NSEC  7000U
/* Pages that no pulse could merge are promised again after so long. */
#define AGAIN_USEC (256 * SEC)

/* Duplicates that were found together. */
struct cohort {
	uint64_t n;
	uint64_t found_usec;
	uint64_t scan; /* full_scans when they were registered */
	uint64_t again_usec; /* not promised before */
	bool stubborn; /* pinned: they never merge */
	bool merged;
};

#define MAX_COHORTS 20000

struct world {
	struct cohort cohorts[MAX_COHORTS];
	size_t n_cohorts;
	uint64_t now_usec;
	uint64_t registered;
	uint64_t unique; /* of them */
	uint64_t cursor;
	uint64_t due; /* pages that merge in this scan */
	uint64_t due_done;
	uint64_t busy_nsec; /* until the batch in progress and its sleep end */
	struct pulse_sample sample;
	struct pulse pulse;
	struct pulse_credit credit;
	bool pulsing;
	uint64_t come; /* and not found yet */
	uint64_t promised;
	uint64_t promise_usec;
	uint64_t n_pulses;
	uint64_t merged;
	uint64_t waited_max_usec;
};

static struct world w;

static void world_init(uint64_t registered, uint64_t unique)
{
	memset(&w, 0, sizeof(w));
	w.now_usec = 1000 * SEC;
	w.registered = registered;
	w.unique = unique;
	pulse_credit_init(&w.credit, w.now_usec);
}

static void promise(uint64_t n)
{
	if (!w.promised)
		w.promise_usec = w.now_usec;
	w.promised += n;
}

static void found(uint64_t n, bool stubborn)
{
	assert_true(w.n_cohorts < MAX_COHORTS);
	w.cohorts[w.n_cohorts++] = (struct cohort){
		.n = n,
		.found_usec = w.now_usec,
		.scan = w.sample.full_scans + (w.cursor > 0),
		.stubborn = stubborn,
	};
	w.registered += n;
	promise(n);
}

/* What has been passed over once since it came, merges in the next scan. */
static bool is_due(const struct cohort *c)
{
	return !c->merged && !c->stubborn && w.sample.full_scans > c->scan;
}

static void scan_begins(void)
{
	w.due = 0;
	for (size_t i = 0; i < w.n_cohorts; i++)
		if (is_due(&w.cohorts[i]))
			w.due += w.cohorts[i].n;
	w.due_done = 0;
}

static void scan_ends(void)
{
	for (size_t i = 0; i < w.n_cohorts; i++) {
		struct cohort *c = &w.cohorts[i];

		if (!is_due(c))
			continue;
		c->merged = true;
		w.waited_max_usec = MAX(w.waited_max_usec,
					w.now_usec - c->found_usec);
	}
	w.cursor = 0;
	w.sample.full_scans++;
}

/* What is due merges spread over the scan. */
static uint64_t merge_some(void)
{
	uint64_t n = w.due * w.cursor / w.registered - w.due_done;

	w.due_done += n;
	w.merged += n;
	w.sample.saved += n;
	return n;
}

static void batch(void)
{
	uint64_t pages, cost;

	if (!w.cursor)
		scan_begins();
	pages = MIN((uint64_t)w.pulse.pace.pages_to_scan,
		    w.registered - w.cursor);
	w.cursor += pages;
	cost = pages *
	       (w.unique * UNIQUE_NSEC +
		(w.registered - w.unique) * PASS_NSEC) /
	       w.registered;
	cost += merge_some() * MERGE_NSEC;
	w.sample.ksmd_nsec += cost;
	w.sample.scanned += pages;
	w.busy_nsec = cost + w.pulse.pace.sleep_msec * 1000000ULL;
	if (w.cursor >= w.registered)
		scan_ends();
}

/* ksmd at the pulse's pace for one poll. */
static void ksmd_runs(void)
{
	uint64_t left = POLL_USEC * 1000;

	for (; w.busy_nsec < left; batch())
		left -= w.busy_nsec;
	w.busy_nsec -= left;
}

/* What was promised before it began has had its chance. */
static void pulse_ends(void)
{
	w.pulsing = false;
	w.promised -= w.pulse.promised;
	w.n_pulses++;
	pulse_credit_pay(&w.credit, &w.pulse);
	for (size_t i = 0; i < w.n_cohorts; i++)
		if (!w.cohorts[i].merged)
			w.cohorts[i].again_usec = w.now_usec + AGAIN_USEC;
}

static void promise_again(void)
{
	for (size_t i = 0; i < w.n_cohorts; i++) {
		struct cohort *c = &w.cohorts[i];

		if (c->merged || !c->again_usec || w.now_usec < c->again_usec)
			continue;
		c->again_usec = 0;
		promise(c->n);
	}
}

static void tick(void)
{
	w.now_usec += POLL_USEC;
	w.sample.now_usec = w.now_usec;
	w.sample.runnable = w.pulsing;
	if (w.pulsing) {
		ksmd_runs();
		if (pulse_step(&w.pulse, &w.sample) != PULSE_GO_ON)
			pulse_ends();
		return;
	}
	if (w.now_usec % SEC < POLL_USEC)
		promise_again();
	if (pulse_is_worth(&w.credit, w.now_usec, w.promised, w.registered,
			   w.now_usec - w.promise_usec)) {
		pulse_begin(&w.pulse, &w.sample, w.promised, w.registered,
			    SHARE);
		w.pulsing = true;
	}
}

/* @n pages come every @every_usec, for @usec; nothing is found in a pulse. */
static void live(uint64_t usec, uint64_t n, uint64_t every_usec)
{
	uint64_t end = w.now_usec + usec, next = w.now_usec;

	for (; w.now_usec < end; tick()) {
		if (every_usec && w.now_usec >= next) {
			w.come += n;
			next = w.now_usec + every_usec;
		}
		if (w.come && !w.pulsing) {
			found(w.come, false);
			w.come = 0;
		}
	}
}

static double cpu_percent(uint64_t nsec_before, uint64_t usec)
{
	return (double)(w.sample.ksmd_nsec - nsec_before) / 10.0 / (double)usec;
}

/* 256 GiB of duplicates on a machine of a terabyte: one pulse, at its share. */
static void test_a_terabyte_is_merged_in_one_pulse(void **state)
{
	uint64_t n = 1ULL << 26, begun;

	(void)state;
	world_init(0, 0);
	begun = w.now_usec;
	found(n, false);
	while (w.merged < n || w.pulsing)
		tick();
	printf("# %u s for 256 GiB, %.1f %% of a CPU\n",
	       (unsigned int)((w.now_usec - begun) / SEC),
	       cpu_percent(0, w.now_usec - begun));
	assert_int_equal(w.n_pulses, 1);
	assert_true(cpu_percent(0, w.now_usec - begun) <= SHARE / 100.0 + 2);
	/* and then there is peace */
	live(HOUR, 0, 0);
	assert_int_equal(w.n_pulses, 1);
}

/* 20 new pages a second: the more is registered, the longer they wait, and
 * the rest costs no more than its hundredth. */
static void test_what_trickles_goes_together(void **state)
{
	static const uint64_t registered[] = { 1ULL << 14, 1ULL << 18,
					       1ULL << 22, 1ULL << 26 };

	(void)state;
	for (size_t i = 0; i < sizeof(registered) / sizeof(registered[0]);
	     i++) {
		uint64_t merges_nsec, before;
		double percent;

		world_init(registered[i], 0);
		live(HOUR, 20, SEC);
		before = w.sample.ksmd_nsec;
		merges_nsec = w.merged * MERGE_NSEC;
		live(4 * HOUR, 20, SEC);
		merges_nsec = w.merged * MERGE_NSEC - merges_nsec;
		percent = cpu_percent(before + merges_nsec, 4 * HOUR);
		printf("# %u MiB merged, 20 pages/s more: %u pulses in 5 h, %.2f %% of a CPU beside merging, %u s at most until merged\n",
		       (unsigned int)(registered[i] >> 8),
		       (unsigned int)w.n_pulses, percent,
		       (unsigned int)(w.waited_max_usec / SEC));
		/* and one pulse, which may lie in these hours as a whole */
		assert_true(percent <= 1.01 + (double)w.registered * PASS_NSEC *
						       4 / 10.0 /
						       (double)(4 * HOUR));
		assert_true(w.merged > 0);
	}
}

/* What is found once in a while does not wait for others that never come. */
static void test_what_is_rare_is_merged_soon(void **state)
{
	(void)state;
	world_init(1ULL << 18, 0);
	live(4 * HOUR, 3, 600 * SEC);
	printf("# three pages every ten minutes, 1 GiB registered: merged after %.1f s at most\n",
	       (double)w.waited_max_usec / SEC);
	assert_true(w.waited_max_usec <= 3 * SEC);
}

/* A guest with a device passed through: ksmd tries, and tries ever again, but
 * not all the time. */
static void test_what_never_merges_is_not_hunted(void **state)
{
	double percent;
	uint64_t before;

	(void)state;
	world_init(1ULL << 20, 1ULL << 20);
	found(1ULL << 18, true);
	live(HOUR, 0, 0);
	before = w.sample.ksmd_nsec;
	live(4 * HOUR, 0, 0);
	percent = cpu_percent(before, 4 * HOUR);
	printf("# 1 GiB that never merges among 4 GiB: %u pulses in 5 h, %.1f %% of a CPU\n",
	       (unsigned int)w.n_pulses, percent);
	assert_true(w.n_pulses <= 5 * HOUR / AGAIN_USEC + 1);
	assert_true(percent <= 15);
}

/* As much goes as comes: pulses end as merged all the same. */
static void test_exits_do_not_make_it_run_for_ever(void **state)
{
	uint64_t begun;

	(void)state;
	world_init(1ULL << 18, 0);
	w.sample.saved = 1ULL << 40;
	begun = w.sample.full_scans;
	for (int i = 0; i < 600; i++) {
		live(SEC, 1 << 14, SEC);
		w.sample.saved -= 1 << 15;
	}
	live(HOUR, 0, 0);
	assert_int_equal(w.merged, 600ULL << 14);
	/* two scans for each, and not many more */
	assert_true(w.sample.full_scans - begun <= 600ULL * 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_terabyte_is_merged_in_one_pulse),
		cmocka_unit_test(test_what_trickles_goes_together),
		cmocka_unit_test(test_what_is_rare_is_merged_soon),
		cmocka_unit_test(test_what_never_merges_is_not_hunted),
		cmocka_unit_test(test_exits_do_not_make_it_run_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
