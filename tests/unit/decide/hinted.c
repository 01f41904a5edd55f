/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hinted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cleanup.h"

#define BASE (1ULL << 40)

static struct hinted *h;

static int setup(void **state)
{
	(void)state;
	return hinted_new(&h);
}

static int teardown(void **state)
{
	(void)state;
	h = hinted_free(h);
	return 0;
}

/* A read by @owner of @inode from @offset on into @address. */
static void add_from(uint32_t owner, uint64_t address, uint64_t bytes,
		     uint64_t inode, uint64_t offset)
{
	hinted_add(h, &(struct hint){ .address = address,
				      .bytes = (uint32_t)bytes,
				      .inode = inode,
				      .offset = offset,
				      .device = 7,
				      .number = owner });
}

/* ... of a place that nobody else reads. */
static void add(uint32_t owner, uint64_t address, uint64_t bytes)
{
	static uint64_t inode = 1000;

	add_from(owner, address, bytes, inode++, 0);
}

static uint64_t pages_of(const struct pagemask *mask)
{
	return mask->words[0];
}

static void expect(uint32_t owner, uint64_t base, uint64_t pages,
		   uint64_t paired)
{
	struct hinted_region region;

	assert_true(hinted_take(h, &region));
	assert_int_equal(region.owner, owner);
	assert_int_equal(region.base, base);
	assert_int_equal(pages_of(&region.pages), pages);
	assert_int_equal(pages_of(&region.paired), paired);
}

static void expect_nothing(void)
{
	struct hinted_region region;

	assert_false(hinted_take(h, &region));
}

static void turns(int n)
{
	while (n--)
		hinted_turn(h);
}

static void test_whole_pages_alone(void **state)
{
	static const struct {
		uint64_t from, bytes, pages;
	} cases[] = {
		{ 0, 4096, 1 },	    { 0, 4095, 0 },	{ 1, 4096, 0 },
		{ 1, 8191, 2 },	    { 4095, 4096, 0 },	{ 4095, 4097, 2 },
		{ 8192, 8192, 12 }, { 8191, 8194, 12 }, { 0, 0, 0 },
		{ 5000, 100, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		add(1, BASE + cases[i].from, cases[i].bytes);
		turns(2);
		if (cases[i].pages)
			expect(1, BASE, cases[i].pages, 0);
		expect_nothing();
		assert_true(hinted_is_empty(h));
	}
}

/* A read across the border of two regions is in both. */
static void test_regions(void **state)
{
	struct hinted_region region;
	unsigned int n = 0;

	(void)state;
	add(1, BASE + REGION_BYTES - 4096, 4096 + REGION_BYTES + 8192);
	turns(2);
	for (; hinted_take(h, &region); n++) {
		unsigned int expected = region.base == BASE ? 1
					: region.base == BASE + REGION_BYTES
						? REGION_PAGES
						: 2;

		assert_int_equal(pagemask_count(&region.pages), expected);
	}
	assert_int_equal(n, 3);
}

/* Not before a turn without it has passed, however often it was hinted. */
static void test_what_is_left_alone(void **state)
{
	(void)state;
	add(1, BASE, 4096);
	expect_nothing();
	turns(1);
	expect_nothing();
	for (int i = 0; i < 10; i++) {
		add(1, BASE, 4096);
		turns(1);
		expect_nothing();
	}
	add(1, BASE + 8192, 4096);
	turns(1);
	expect(1, BASE, 1, 0);
	turns(1);
	expect(1, BASE, 4, 0);
	turns(3);
	expect_nothing();
	assert_true(hinted_is_empty(h));
}

/* What is due and filled once more waits again. */
static void test_due_and_filled_again(void **state)
{
	(void)state;
	add(1, BASE, 8192);
	turns(2);
	add(1, BASE, 4096);
	expect(1, BASE, 2, 0);
	expect_nothing();
	turns(2);
	expect(1, BASE, 1, 0);
	expect_nothing();
}

static void test_pairs(void **state)
{
	struct hinted_counters c;

	(void)state;
	add_from(1, BASE, 8192, 5, 4096);
	turns(2);
	expect(1, BASE, 3, 0);
	/* the first reader's page comes along */
	add_from(2, 3 * BASE, 4096, 5, 8192);
	turns(2);
	for (int i = 0; i < 2; i++) {
		struct hinted_region r;

		assert_true(hinted_take(h, &r));
		assert_int_equal(r.base, r.owner == 1 ? BASE : 3 * BASE);
		assert_int_equal(pages_of(&r.pages), r.owner == 1 ? 2 : 1);
		assert_int_equal(pages_of(&r.paired), pages_of(&r.pages));
	}
	expect_nothing();
	hinted_counters(h, &c);
	assert_int_equal(c.pairs, 1);
	assert_int_equal(c.hints, 2);
	assert_int_equal(c.pages, 4);
}

/* The same place again, another file, another offset within the page. */
static void test_no_pairs(void **state)
{
	(void)state;
	add_from(1, BASE, 4096, 5, 0);
	add_from(1, BASE, 4096, 5, 0);
	add_from(2, 3 * BASE, 4096, 6, 0);
	add_from(3, 5 * BASE, 4096, 5, 100);
	add_from(4, 7 * BASE + 1, 8191, 5, 0);
	turns(2);
	for (int i = 0; i < 4; i++) {
		struct hinted_region r;

		assert_true(hinted_take(h, &r));
		assert_int_equal(pages_of(&r.paired), 0);
	}
	expect_nothing();
}

/* Both buffers are off by the same bytes: their pages are equal. */
static void test_pairs_off_by_the_same(void **state)
{
	struct hinted_region r;

	(void)state;
	add_from(1, BASE + 96, 3 * 4096, 5, 0);
	add_from(2, 3 * BASE + 8192 + 96, 3 * 4096, 5, 0);
	turns(2);
	for (int i = 0; i < 2; i++) {
		assert_true(hinted_take(h, &r));
		assert_int_equal(pages_of(&r.paired), r.owner == 1 ? 6 : 24);
	}
}

/* One process may read the same place into two buffers. */
static void test_a_pair_of_one(void **state)
{
	(void)state;
	add_from(1, BASE, 4096, 5, 0);
	add_from(1, BASE + 8192, 4096, 5, 0);
	turns(2);
	expect(1, BASE, 5, 5);
}

/* What was filled with something else is no longer a pair. */
static void test_a_pair_that_is_none_any_more(void **state)
{
	(void)state;
	add_from(1, BASE, 4096, 5, 0);
	add_from(1, BASE + 8192, 4096, 5, 0);
	add(1, BASE, 4096);
	turns(2);
	expect(1, BASE, 5, 4);
}

static void test_put_back(void **state)
{
	struct hinted_region r;

	(void)state;
	add_from(1, BASE, 4096, 5, 0);
	add_from(1, BASE + 8192, 4096, 5, 0);
	turns(2);
	for (uint32_t tries = 0; tries < 5; tries++) {
		assert_true(hinted_take(h, &r));
		assert_int_equal(r.tries, tries);
		assert_int_equal(pages_of(&r.pages), 5);
		assert_int_equal(pages_of(&r.paired), 5);
		hinted_put_back(h, &r);
		expect_nothing();
		turns(1);
	}
	/* new for the caller: it was filled again */
	assert_true(hinted_take(h, &r));
	add(1, BASE, 4096);
	hinted_put_back(h, &r);
	turns(1);
	expect(1, BASE, 4, 4);
	turns(1);
	assert_true(hinted_take(h, &r));
	assert_int_equal(pages_of(&r.pages), 1);
	assert_int_equal(r.tries, 0);
}

static void test_forget(void **state)
{
	(void)state;
	add_from(1, BASE, 4096, 5, 0);
	add_from(2, 3 * BASE, 4096, 6, 0);
	hinted_forget(h, 1);
	add_from(3, 5 * BASE, 4096, 5, 0);
	turns(2);
	for (int i = 0; i < 2; i++) {
		struct hinted_region r;

		assert_true(hinted_take(h, &r));
		assert_int_not_equal(r.owner, 1);
		assert_int_equal(pages_of(&r.paired), 0);
	}
	expect_nothing();
	assert_true(hinted_is_empty(h));
}

/* Where rounding up to a page would begin again at 0. */
static void test_the_end_of_all_addresses(void **state)
{
	(void)state;
	add(1, UINT64_MAX - 100, 50);
	add(1, UINT64_MAX - 100, 3 * PAGE_BYTES);
	add(1, 1ULL << 63, PAGE_BYTES);
	turns(2);
	expect_nothing();
}

/* The newest are kept, and each region comes out once. */
static void test_small_and_lossy(void **state)
{
	const unsigned int n = 20000;
	struct hinted_counters c;
	struct hinted_region r;
	uint64_t out = 0, newest = 0;

	(void)state;
	for (unsigned int i = 0; i < n; i++) {
		add(i % 3, BASE + i * REGION_BYTES, 4096);
		if (i % 100 == 99)
			turns(1);
	}
	turns(2);
	while (hinted_take(h, &r)) {
		assert_int_equal(pages_of(&r.pages), 1);
		out++;
		newest += r.base >= BASE + (n - 200) * REGION_BYTES;
	}
	hinted_counters(h, &c);
	assert_int_equal(out + c.displaced, n);
	assert_in_range(out, 512, 1024);
	assert_in_range(newest, 150, 200);
	assert_true(hinted_is_empty(h));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(whole_pages_alone),
		TEST(regions),
		TEST(what_is_left_alone),
		TEST(due_and_filled_again),
		TEST(pairs),
		TEST(no_pairs),
		TEST(pairs_off_by_the_same),
		TEST(a_pair_of_one),
		TEST(a_pair_that_is_none_any_more),
		TEST(put_back),
		TEST(forget),
		TEST(the_end_of_all_addresses),
		TEST(small_and_lossy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
