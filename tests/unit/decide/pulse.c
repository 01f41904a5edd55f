/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pulse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"

#define POLL_NSEC 20000000ULL

/*
 * A ksmd made of numbers, after facts 1.1 and 1.3: batches with a sleep
 * between them, one full scan at most per batch, and pages that merge in
 * their second scan (third, if they entered behind the cursor).
 */
struct ksmd {
	uint64_t pages; /* in mergeable mappings */
	uint64_t will_merge; /* of them */
	uint64_t merge_scan; /* in which scan they do, counted from 1 */
	uint64_t scan_nsec, merge_nsec; /* what a page costs */
	bool counts_scanned; /* the kernel has pages_scanned */
	uint64_t now_nsec, cpu_nsec, cursor, scanned, full_scans, merged;
};

/* One batch; the sleep behind it is the caller's. */
static void ksmd_batch(struct ksmd *k, const struct pulse_pace *pace)
{
	uint64_t n = MIN((uint64_t)pace->pages_to_scan, k->pages - k->cursor);
	uint64_t nsec = n * k->scan_nsec;

	if (k->full_scans + 1 >= k->merge_scan) {
		/* evenly spread over the pages */
		uint64_t due = k->will_merge * (k->cursor + n) / k->pages;

		if (due > k->merged) {
			nsec += (due - k->merged) * k->merge_nsec;
			k->merged = due;
		}
	}
	k->cursor += n;
	k->scanned += n;
	if (k->cursor == k->pages) {
		k->cursor = 0;
		k->full_scans++;
	}
	k->cpu_nsec += nsec;
	k->now_nsec += nsec;
}

static struct pulse_sample sample_of(const struct ksmd *k)
{
	return (struct pulse_sample){
		.now_usec = k->now_nsec / 1000 + 5000000,
		.saved = 1000 + k->merged,
		.full_scans = 7 + k->full_scans,
		.scanned = k->counts_scanned ? 123 + k->scanned : 0,
		.ksmd_nsec = 456 + k->cpu_nsec,
	};
}

/* What is seen at @nsec, in the batch from @a to @b or the sleep behind it. */
static struct pulse_sample sample_at(const struct ksmd *a, const struct ksmd *b,
				     uint64_t nsec)
{
	struct ksmd k = *b;
	uint64_t all = b->now_nsec - a->now_nsec, part = nsec - a->now_nsec;

	if (part < all) {
		k.full_scans = a->full_scans;
		k.merged = a->merged + (b->merged - a->merged) * part / all;
		k.scanned = a->scanned + (b->scanned - a->scanned) * part / all;
		k.cpu_nsec = a->cpu_nsec + part;
	}
	k.now_nsec = nsec;
	return sample_of(&k);
}

struct outcome {
	enum pulse_verdict verdict;
	uint64_t scans, usec, cpu_nsec, merged;
};

/* Run a pulse, looked at about every 20 ms, until it has its verdict. */
static struct outcome run(struct ksmd *k, uint64_t promised, uint32_t permyriad)
{
	uint64_t next = POLL_NSEC, sleep_until;
	struct pulse_sample now = sample_of(k);
	struct outcome o = { 0 };
	struct pulse pulse = { 0 };
	struct ksmd before;

	pulse_begin(&pulse, &now, promised, k->pages, permyriad);
	while (o.verdict == PULSE_GO_ON) {
		assert_true(pulse.pace.sleep_msec > 0);
		assert_in_range(pulse.pace.pages_to_scan, PULSE_MIN_PAGES,
				PULSE_MAX_PAGES);
		before = *k;
		ksmd_batch(k, &pulse.pace);
		sleep_until = k->now_nsec + pulse.pace.sleep_msec * 1000000ULL;
		for (; o.verdict == PULSE_GO_ON && next <= sleep_until;
		     next += POLL_NSEC) {
			now = sample_at(&before, k, next);
			o.verdict = pulse_step(&pulse, &now);
		}
		k->now_nsec = sleep_until;
	}
	o.scans = k->full_scans;
	o.usec = k->now_nsec / 1000;
	o.cpu_nsec = k->cpu_nsec;
	o.merged = k->merged;
	return o;
}

static struct ksmd usual(void)
{
	return (struct ksmd){
		.pages = 40000,
		.will_merge = 30000,
		.merge_scan = 2,
		.scan_nsec = 300,
		.merge_nsec = 6000,
		.counts_scanned = true,
	};
}

static void test_ends_when_the_promise_is_kept(void **state)
{
	struct ksmd k = usual();
	struct outcome o = run(&k, k.will_merge, 7000);

	(void)state;
	assert_int_equal(o.verdict, PULSE_MERGED);
	assert_int_equal(o.merged, k.will_merge);
	/* not a fourth scan for what is done after two */
	assert_in_range(o.scans, 2, 6);
}

/* More may come than was promised: it is waited for while it comes. */
static void test_more_than_promised_is_not_cut_off(void **state)
{
	struct ksmd k = usual();
	struct outcome o = run(&k, 100, 7000);

	(void)state;
	assert_int_equal(o.verdict, PULSE_MERGED);
	assert_int_equal(o.merged, k.will_merge);
	/* nor where ksmd sleeps most of the time */
	k = usual();
	k.pages *= 10;
	k.will_merge *= 10;
	o = run(&k, 100, 300);
	assert_int_equal(o.verdict, PULSE_MERGED);
	assert_int_equal(o.merged, k.will_merge);
}

static void test_stalls_when_a_scan_brings_nothing_more(void **state)
{
	struct ksmd k = usual();
	struct outcome o = run(&k, k.will_merge + 500, 7000);

	(void)state;
	assert_int_equal(o.verdict, PULSE_STALLED);
	assert_int_equal(o.merged, k.will_merge);
	assert_in_range(o.scans, 4, 5);
}

/* Facts 1.3: a merge may take until the third scan; never judge sooner. */
static void test_three_scans_are_waited_for(void **state)
{
	struct ksmd k = usual();
	struct outcome o;

	(void)state;
	k.merge_scan = 3;
	o = run(&k, k.will_merge, 7000);
	assert_int_equal(o.verdict, PULSE_MERGED);
	k = usual();
	k.will_merge = 0;
	o = run(&k, 500, 7000);
	assert_int_equal(o.verdict, PULSE_STALLED);
	assert_in_range(o.scans, 4, 5);
	/* begun in the middle of a scan, that one does not count */
	k = usual();
	k.cursor = k.pages - 1;
	k.merge_scan = 4;
	o = run(&k, k.will_merge, 7000);
	assert_int_equal(o.verdict, PULSE_MERGED);
}

/* When a pulse ends in which ksmd does not move. */
static enum pulse_verdict stands_still(bool runnable, bool blocked,
				       uint64_t *ret_usec)
{
	struct pulse_sample now = { .now_usec = 1000000,
				    .saved = 5,
				    .runnable = runnable,
				    .blocked = blocked };
	uint64_t begun = now.now_usec;
	enum pulse_verdict verdict;
	struct pulse pulse = { 0 };

	pulse_begin(&pulse, &now, 100, 1000000, 5000);
	do {
		now.now_usec += 20000;
		verdict = pulse_step(&pulse, &now);
	} while (verdict == PULSE_GO_ON);
	*ret_usec = now.now_usec - begun;
	return verdict;
}

/* It waits for a CPU: four scans of the dearest pages at half a CPU, and not
 * for ever. */
static void test_a_ksmd_that_starves_ends_by_time(void **state)
{
	uint64_t usec;

	(void)state;
	assert_int_equal(stands_still(true, false, &usec), PULSE_TIMEOUT);
	assert_in_range(usec, 112000000, 180000000);
}

/* It was stopped by somebody, or its list is empty. */
static void test_a_ksmd_that_sleeps_is_not_waited_for(void **state)
{
	uint64_t usec;

	(void)state;
	assert_int_equal(stands_still(false, false, &usec), PULSE_STALLED);
	assert_in_range(usec, 3000000, 4000000);
}

/* That is not to say that there is nothing to merge. */
static void test_a_ksmd_that_waits_for_a_lock_is_stuck(void **state)
{
	uint64_t usec;

	(void)state;
	assert_int_equal(stands_still(false, true, &usec), PULSE_STUCK);
	assert_in_range(usec, 3000000, 4000000);
}

static void test_nothing_promised_ends_at_once(void **state)
{
	struct pulse_sample now = { .now_usec = 1000000 };
	struct pulse pulse = { 0 };

	(void)state;
	pulse_begin(&pulse, &now, 0, 0, 7000);
	now.now_usec += 100000;
	assert_int_equal(pulse_step(&pulse, &now), PULSE_MERGED);
}

/* What others held falls while ours grows: a pulse counts what has come, also
 * where the kernel's count is below zero. */
static void test_exits_meanwhile_do_not_count(void **state)
{
	struct pulse_sample now = { .now_usec = 1000000,
				    .saved = 500,
				    .runnable = true };
	enum pulse_verdict verdict = PULSE_GO_ON;
	struct pulse pulse = { 0 };

	(void)state;
	pulse_begin(&pulse, &now, 1000, 10000, 7000);
	for (unsigned int i = 0; i < 10 && verdict == PULSE_GO_ON; i++) {
		now.now_usec += 20000;
		now.saved -= 300;
		now.full_scans++;
		assert_int_equal(pulse_step(&pulse, &now), PULSE_GO_ON);
		now.now_usec += 20000;
		now.saved += 100;
		verdict = pulse_step(&pulse, &now);
	}
	assert_int_equal(pulse.gained, 1000);
	now.now_usec += 1000000;
	assert_int_equal(pulse_step(&pulse, &now), PULSE_MERGED);
}

/* full_scans begins at 0 again when somebody writes run=2. */
static void test_counters_that_fall_do_no_harm(void **state)
{
	struct pulse_sample now = { .now_usec = 1000000,
				    .saved = 5000,
				    .full_scans = 900,
				    .scanned = 100000,
				    .ksmd_nsec = 1000000 };
	struct pulse pulse = { 0 };
	enum pulse_verdict verdict;

	(void)state;
	pulse_begin(&pulse, &now, 100, 1000, 7000);
	now.full_scans = 0;
	now.saved = 0;
	do {
		now.now_usec += 20000;
		now.full_scans++;
		verdict = pulse_step(&pulse, &now);
		assert_true(pulse.pace.sleep_msec > 0);
	} while (verdict == PULSE_GO_ON && now.now_usec < 3600000000);
	assert_true(verdict == PULSE_TIMEOUT || verdict == PULSE_STALLED);
}

/* Linux 6.1 has no pages_scanned: the first guess has to do. */
static void test_without_pages_scanned_the_pace_stays(void **state)
{
	struct ksmd k = usual();
	struct outcome o;

	(void)state;
	k.counts_scanned = false;
	o = run(&k, k.will_merge, 7000);
	assert_int_equal(o.verdict, PULSE_MERGED);
	assert_int_equal(o.merged, k.will_merge);
}

/*
 * The share is kept by the pace itself: what a batch costs, beside what it
 * sleeps, whatever a page costs and whatever share is allowed.
 */
static void test_the_pace_keeps_to_the_share(void **state)
{
	static const uint64_t costs[] = {
		50, 120, 300, 999, 2000, 7000, 14000
	};
	static const uint32_t shares[] = { 1,	 100,  333,  1000,
					   3000, 5000, 7000, 9000 };

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(costs); c++) {
		for (size_t s = 0; s < ARRAY_SIZE(shares); s++) {
			struct pulse_sample now = { .now_usec = 1 };
			uint64_t batch, total;
			struct pulse pulse = { 0 };

			pulse_begin(&pulse, &now, 1, 1000, shares[s]);
			for (int i = 0; i < 40; i++) {
				now.scanned += 100000;
				now.ksmd_nsec += 100000 * costs[c];
				pulse_step(&pulse, &now);
			}
			batch = pulse.pace.pages_to_scan * costs[c];
			total = batch + pulse.pace.sleep_msec * 1000000ULL;
			assert_true(pulse.pace.sleep_msec > 0);
			/* 2 %: the cost is smoothed in whole nanoseconds */
			assert_true(batch * 10000 <=
				    total * shares[s] * 102 / 100);
			/* and "run" is never held for long */
			assert_true(batch <= 2 * PULSE_BATCH_NSEC);
		}
	}
}

/* A whole pulse, phases of unlike cost included, stays near its share, beside
 * what was left of it before. */
static void test_a_pulse_keeps_to_its_share(void **state)
{
	static const uint32_t shares[] = { 1000, 3000, 7000 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(shares); s++) {
		struct ksmd k = usual();
		struct outcome o;

		k.pages = 400000;
		k.will_merge = 300000;
		o = run(&k, k.will_merge, shares[s]);
		assert_int_equal(o.verdict, PULSE_MERGED);
		printf("# allowed %u, used %.0f permyriad, %.1f s\n", shares[s],
		       (double)o.cpu_nsec * 10 / (double)o.usec,
		       (double)o.usec / 1e6);
		assert_true(o.cpu_nsec * 10 <=
			    (o.usec + PULSE_SPARE_USEC) * shares[s] * 11 / 10);
		assert_true(o.cpu_nsec * 10 >= o.usec * shares[s]);
	}
}

/* What was not used is there at the next pulse, but no more than that. */
static void test_a_burst_needs_rest(void **state)
{
	struct ksmd k = usual();
	struct pulse_sample now = sample_of(&k);
	struct pulse pulse = { 0 };
	uint64_t used = PULSE_SPARE_USEC * 1000 * 7 / 10;

	(void)state;
	pulse_begin(&pulse, &now, 1, 1000, 7000);
	assert_int_equal(pulse.spare_nsec, used);
	assert_int_equal(pulse.pace.sleep_msec, 2);
	now.now_usec += 1000000;
	now.ksmd_nsec += used + 700000000;
	pulse_step(&pulse, &now);
	assert_int_equal(pulse.spare_nsec, 0);
	assert_int_equal(pulse.pace.sleep_msec, 11);
	/* at once: nothing is there; later: some */
	pulse_begin(&pulse, &now, 1, 1000, 7000);
	assert_int_equal(pulse.pace.sleep_msec, 11);
	now.now_usec += 100000;
	pulse_begin(&pulse, &now, 1, 1000, 7000);
	assert_int_equal(pulse.spare_nsec, 70000000);
	now.now_usec += 3600000000ULL;
	pulse_begin(&pulse, &now, 1, 1000, 7000);
	assert_int_equal(pulse.spare_nsec, used);
}

static void test_a_full_cpu_still_leaves_a_sleep(void **state)
{
	struct pulse_sample now = { .now_usec = 1 };
	struct pulse pulse = { 0 };

	(void)state;
	pulse_begin(&pulse, &now, 1, 1000, 10000);
	assert_int_equal(pulse.pace.sleep_msec, 1);
}

static bool is_worth(uint64_t promised, uint64_t registered,
		     uint64_t waited_usec)
{
	struct pulse_credit credit;

	pulse_credit_init(&credit, 5);
	return pulse_is_worth(&credit, 5, promised, registered, waited_usec);
}

static void test_what_is_worth_a_pulse(void **state)
{
	(void)state;
	assert_false(is_worth(0, 0, 0));
	assert_false(is_worth(0, 0, PULSE_GATHER_USEC));
	/* what pays for itself does not wait */
	assert_true(is_worth(5, 0, 0));
	assert_true(is_worth(100, 100 * PULSE_PAYS, 0));
	assert_true(is_worth(1ULL << 40, 1ULL << 40, 0));
	/* what does not waits for others, if there is credit */
	assert_true(is_worth(100, 100 * PULSE_PAYS + 1, 0));
	assert_true(is_worth(100, 100 * PULSE_OWES, 0));
	assert_false(is_worth(100, 100 * PULSE_OWES + 1, 0));
	assert_false(is_worth(1, 100000, PULSE_GATHER_USEC - 1));
	assert_true(is_worth(1, 100000, PULSE_GATHER_USEC));
	/* or else until there is */
	assert_false(is_worth(1000, 1ULL << 24, PULSE_GATHER_USEC));
	assert_false(is_worth(1000, 1ULL << 24, UINT64_MAX));
}

/* A pulse that gained @gained and took so much of ksmd's time. */
static struct pulse pulse_of(uint64_t promised, uint64_t registered,
			     uint64_t gained, uint64_t ksmd_msec)
{
	return (struct pulse){
		.promised = promised,
		.registered = registered,
		.gained = gained,
		.last = { .ksmd_nsec = ksmd_msec * 1000000,
			  .scanned = registered * 3 },
	};
}

static void test_small_pulses_live_on_credit(void **state)
{
	/* a second of CPU to pass over a million pages three times */
	const struct pulse small = pulse_of(100, 1000000, 100, 1000);
	uint64_t now = 0, spent_msec = 0;
	struct pulse_credit credit;
	unsigned int n = 0;

	(void)state;
	pulse_credit_init(&credit, now);
	for (; now < 3600000000ULL; now += 100000) {
		if (!pulse_is_worth(&credit, now, 100, 1000000,
				    PULSE_GATHER_USEC))
			continue;
		pulse_credit_pay(&credit, &small);
		spent_msec += 1000;
		n++;
	}
	/* the credit at first, and a hundredth of an hour */
	assert_in_range(spent_msec, 30000, 2000 + 36000 + 1000);
	/* without a debt, more than a little goes at once; with one it waits */
	credit.usec = 0;
	assert_true(pulse_is_worth(&credit, now, 10000, 1000000, 0));
	credit.usec = -1000;
	assert_false(pulse_is_worth(&credit, now, 10000, 1000000, 0));
	/* another day has passed: no fortune */
	now += 86400000000ULL;
	for (n = 0;
	     pulse_is_worth(&credit, now, 100, 1000000, PULSE_GATHER_USEC); n++)
		pulse_credit_pay(&credit, &small);
	assert_in_range(n, 1, 3);
}

static void test_what_pays_for_itself_takes_no_credit(void **state)
{
	const struct pulse large = pulse_of(100000, 1000000, 100000, 2000);
	struct pulse_credit credit;

	(void)state;
	pulse_credit_init(&credit, 0);
	for (int i = 0; i < 100; i++)
		pulse_credit_pay(&credit, &large);
	assert_int_equal(credit.usec, PULSE_CREDIT_USEC);
}

/* Pages that are registered and not merged are passed over at a higher price:
 * that is learnt. */
static void test_the_price_of_passing_is_learnt(void **state)
{
	const struct pulse dear = pulse_of(100, 100000, 100, 2400);
	struct pulse_credit credit;

	(void)state;
	pulse_credit_init(&credit, 0);
	assert_true(pulse_is_worth(&credit, 0, 100, 100000, PULSE_GATHER_USEC));
	pulse_credit_pay(&credit, &dear);
	pulse_credit_pay(&credit, &dear);
	assert_in_range(credit.pass_nsec, 5000, 8000);
	/* 1.8 s for one now: credit enough when the debt is paid off */
	assert_false(pulse_is_worth(&credit, 280000000, 100, 100000,
				    PULSE_GATHER_USEC));
	assert_true(pulse_is_worth(&credit, 480000000, 100, 100000,
				   PULSE_GATHER_USEC));
}

static void test_the_baseline_keeps_its_time(void **state)
{
	static const uint64_t pages[] = { 20000, 1000000, 4194304, 5000000 };

	(void)state;
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		struct pulse_pace pace = pulse_rest(pages[i], 200000000);
		uint64_t scan_msec = (pages[i] + pace.pages_to_scan - 1) /
				     pace.pages_to_scan * pace.sleep_msec;

		assert_in_range(scan_msec, 190000, 200000);
	}
}

/* Never less than what buries the dead, and never more than one batch. */
static void test_the_baseline_has_bounds(void **state)
{
	struct pulse_pace pace;

	(void)state;
	for (uint64_t pages = 0; pages <= 10000; pages += 2500) {
		pace = pulse_rest(pages, 200000000);
		assert_int_equal(pace.pages_to_scan, PULSE_REST_PAGES);
		assert_int_equal(pace.sleep_msec, PULSE_REST_MSEC);
	}
	pace = pulse_rest(UINT64_MAX / 2, 1);
	assert_int_equal(pace.pages_to_scan, PULSE_MAX_PAGES);
}

static void test_each_verdict_has_a_name(void **state)
{
	(void)state;
	for (int v = PULSE_GO_ON; v <= PULSE_TIMEOUT; v++)
		assert_true(strlen(pulse_verdict_name((enum pulse_verdict)v)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_when_the_promise_is_kept),
		cmocka_unit_test(test_more_than_promised_is_not_cut_off),
		cmocka_unit_test(test_stalls_when_a_scan_brings_nothing_more),
		cmocka_unit_test(test_three_scans_are_waited_for),
		cmocka_unit_test(test_a_ksmd_that_starves_ends_by_time),
		cmocka_unit_test(test_a_ksmd_that_sleeps_is_not_waited_for),
		cmocka_unit_test(test_a_ksmd_that_waits_for_a_lock_is_stuck),
		cmocka_unit_test(test_nothing_promised_ends_at_once),
		cmocka_unit_test(test_exits_meanwhile_do_not_count),
		cmocka_unit_test(test_counters_that_fall_do_no_harm),
		cmocka_unit_test(test_without_pages_scanned_the_pace_stays),
		cmocka_unit_test(test_the_pace_keeps_to_the_share),
		cmocka_unit_test(test_a_pulse_keeps_to_its_share),
		cmocka_unit_test(test_a_full_cpu_still_leaves_a_sleep),
		cmocka_unit_test(test_what_is_worth_a_pulse),
		cmocka_unit_test(test_a_burst_needs_rest),
		cmocka_unit_test(test_small_pulses_live_on_credit),
		cmocka_unit_test(test_what_pays_for_itself_takes_no_credit),
		cmocka_unit_test(test_the_price_of_passing_is_learnt),
		cmocka_unit_test(test_the_baseline_keeps_its_time),
		cmocka_unit_test(test_the_baseline_has_bounds),
		cmocka_unit_test(test_each_verdict_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
