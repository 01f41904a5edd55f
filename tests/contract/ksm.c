/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What pulses rely on in the kernel: how many scans a merge takes, what wakes
 * ksmd, and that it can be stopped and paced by the files that we write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#include <ksmd-plus/types.h>

#include "clock.h"
#include "ksmlock.h"

#define N_PAGES 64
/* No verdict hangs on how long anything takes: only on what comes first. */
#define PATIENCE_USEC (30 * USEC_PER_SEC)
#define LONG_SLEEP    600000

static int lock = -1, taken;

static int setup(void **state)
{
	(void)state;
	taken = ksmlock_take(&lock);
	return taken < 0;
}

static int teardown(void **state)
{
	(void)state;
	if (lock >= 0)
		ksmlock_give(lock);
	return 0;
}

static void has_advisor_off(void)
{
	/* absent before Linux 6.8 */
	ksmlock_put("advisor_mode", "none");
}

/* Pages with a content that nobody else has, the same for equal seeds. */
static char *pages_make(uint64_t seed)
{
	char *p = mmap(NULL, N_PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *words = (uint64_t *)p;

	assert_true(p != MAP_FAILED);
	madvise(p, N_PAGES * PAGE_BYTES, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < N_PAGES * PAGE_BYTES / sizeof(*words); i++)
		words[i] = seed = seed * 6364136223846793005ULL +
				  1442695040888963407ULL;
	return p;
}

static uint64_t fresh_seed(void)
{
	uint64_t seed;

	assert_int_equal(getrandom(&seed, sizeof(seed), 0), sizeof(seed));
	return seed;
}

static uint64_t merging_pages(void)
{
	char text[32] = "";
	int fd = open("/proc/self/ksm_merging_pages", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		ssize_t n = read(fd, text, sizeof(text) - 1);

		text[n > 0 ? n : 0] = '\0';
		close(fd);
	}
	return strtoull(text, NULL, 10);
}

static void nap(void)
{
	nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
}

/* Wait until @n more scans have been completed; false when time is over. */
static bool scans_pass(uint64_t n)
{
	uint64_t until = clock_usec(CLOCK_MONOTONIC) + PATIENCE_USEC;
	uint64_t from = ksmlock_get("full_scans");

	while (ksmlock_get("full_scans") < from + n) {
		if (clock_usec(CLOCK_MONOTONIC) > until)
			return false;
		nap();
	}
	return true;
}

/* Facts 1.3: two equal pages, new to ksmd, with the list in motion. */
static void test_a_merge_takes_at_most_three_scans(void **state)
{
	uint64_t seed = fresh_seed(), before;
	char *a, *b, *other;
	bool merged = false;
	int scans = 0;

	(void)state;
	ksmlock_need(taken);
	has_advisor_off();
	ksmlock_put("smart_scan", "0");
	ksmlock_set("pages_to_scan", 100000);
	ksmlock_set("sleep_millisecs", 20);
	/* somebody is there already, so that ksmd goes round */
	other = pages_make(fresh_seed());
	assert_int_equal(madvise(other, N_PAGES * PAGE_BYTES, MADV_MERGEABLE),
			 0);
	ksmlock_set("run", 1);
	assert_true(scans_pass(2));
	before = merging_pages();
	a = pages_make(seed);
	b = pages_make(seed);
	assert_int_equal(madvise(a, N_PAGES * PAGE_BYTES, MADV_MERGEABLE), 0);
	assert_int_equal(madvise(b, N_PAGES * PAGE_BYTES, MADV_MERGEABLE), 0);
	/* the scan in progress may have passed them: it does not count */
	assert_true(scans_pass(1));
	for (; scans < 3 && !merged; scans++) {
		assert_true(scans_pass(1));
		merged = merging_pages() >= before + 2 * N_PAGES;
	}
	print_message("# merged after %d whole scans\n", scans);
	assert_true(merged);
	munmap(a, N_PAGES * PAGE_BYTES);
	munmap(b, N_PAGES * PAGE_BYTES);
	munmap(other, N_PAGES * PAGE_BYTES);
}

/* While @write has been done and half a second has passed: did ksmd scan? */
static bool wakes(const char *name, const char *value)
{
	uint64_t from, until;

	/* into its sleep, for sure */
	ksmlock_set("sleep_millisecs", LONG_SLEEP);
	until = clock_usec(CLOCK_MONOTONIC) + USEC_PER_SEC;
	from = ksmlock_get("full_scans");
	for (uint64_t quiet = 0; quiet < 200; quiet++) {
		nap();
		if (ksmlock_get("full_scans") != from) {
			from = ksmlock_get("full_scans");
			quiet = 0;
		}
		if (clock_usec(CLOCK_MONOTONIC) > until + PATIENCE_USEC)
			return false;
	}
	assert_true(ksmlock_put(name, value));
	until = clock_usec(CLOCK_MONOTONIC) + USEC_PER_SEC;
	while (clock_usec(CLOCK_MONOTONIC) < until) {
		if (ksmlock_get("full_scans") != from)
			return true;
		nap();
	}
	return false;
}

/* Facts 1.8. */
static void test_only_another_sleep_wakes_ksmd(void **state)
{
	char *p, same[16];

	(void)state;
	ksmlock_need(taken);
	has_advisor_off();
	p = pages_make(fresh_seed());
	assert_int_equal(madvise(p, N_PAGES * PAGE_BYTES, MADV_MERGEABLE), 0);
	ksmlock_set("pages_to_scan", 1000000);
	ksmlock_set("sleep_millisecs", 20);
	ksmlock_set("run", 1);
	assert_true(scans_pass(2));
	snprintf(same, sizeof(same), "%d", LONG_SLEEP);
	assert_false(wakes("run", "1"));
	assert_false(wakes("pages_to_scan", "999999"));
	assert_false(wakes("sleep_millisecs", same));
	assert_true(wakes("sleep_millisecs", "20"));
	munmap(p, N_PAGES * PAGE_BYTES);
}

/* run=0 stops it where it is, and what is merged stays merged. */
static void test_stopped_it_keeps_what_is_merged(void **state)
{
	uint64_t seed = fresh_seed(), scans;
	char *a = pages_make(seed), *b = pages_make(seed);

	(void)state;
	ksmlock_need(taken);
	has_advisor_off();
	ksmlock_put("smart_scan", "0");
	ksmlock_set("pages_to_scan", 100000);
	ksmlock_set("sleep_millisecs", 20);
	assert_int_equal(madvise(a, N_PAGES * PAGE_BYTES, MADV_MERGEABLE), 0);
	assert_int_equal(madvise(b, N_PAGES * PAGE_BYTES, MADV_MERGEABLE), 0);
	ksmlock_set("run", 1);
	assert_true(scans_pass(4));
	assert_true(merging_pages() >= 2 * N_PAGES);
	ksmlock_set("run", 0);
	/* the write returns when the batch has ended: nothing moves now */
	scans = ksmlock_get("full_scans");
	for (int i = 0; i < 200; i++)
		nap();
	assert_int_equal(ksmlock_get("full_scans"), scans);
	assert_true(merging_pages() >= 2 * N_PAGES);
	assert_memory_equal(a, b, N_PAGES * PAGE_BYTES);
	munmap(a, N_PAGES * PAGE_BYTES);
	munmap(b, N_PAGES * PAGE_BYTES);
}

/* A batch is never longer than one full scan (facts 1.1). */
static void test_a_batch_is_at_most_one_scan(void **state)
{
	uint64_t scans;
	char *p;

	(void)state;
	ksmlock_need(taken);
	has_advisor_off();
	p = pages_make(fresh_seed());
	assert_int_equal(madvise(p, N_PAGES * PAGE_BYTES, MADV_MERGEABLE), 0);
	ksmlock_set("pages_to_scan", 100000000);
	ksmlock_set("sleep_millisecs", 20);
	ksmlock_set("run", 1);
	assert_true(scans_pass(2));
	ksmlock_set("sleep_millisecs", LONG_SLEEP);
	for (int i = 0; i < 300; i++)
		nap();
	scans = ksmlock_get("full_scans");
	/* woken once, it does one batch and sleeps again */
	ksmlock_set("sleep_millisecs", LONG_SLEEP + 1);
	for (int i = 0; i < 300; i++)
		nap();
	assert_int_equal(ksmlock_get("full_scans"), scans + 1);
	munmap(p, N_PAGES * PAGE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_merge_takes_at_most_three_scans),
		cmocka_unit_test(test_only_another_sleep_wakes_ksmd),
		cmocka_unit_test(test_stopped_it_keeps_what_is_merged),
		cmocka_unit_test(test_a_batch_is_at_most_one_scan),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
