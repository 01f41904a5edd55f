/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cutting ranges into pieces, with a file for pagemap.
 */
#include "pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "kernel-api.h"

#define MERGED	  KAPI_PM_PRESENT
#define EXCLUSIVE (KAPI_PM_PRESENT | KAPI_PM_EXCLUSIVE)

/* A pagemap of @n_pages pages from address 0, each @entry. */
static int make_pagemap(uint64_t entry, size_t n_pages)
{
	int fd = memfd_create("pagemap", MFD_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < n_pages; i++)
		assert_int_equal(write(fd, &entry, sizeof(entry)),
				 sizeof(entry));
	return fd;
}

static struct inject_request make_request(uint32_t op, uint32_t n,
					  uint64_t pages)
{
	struct inject_request q = { .op = op, .n_ranges = n };

	for (uint32_t i = 0; i < n; i++)
		q.ranges[i] =
			(struct range){ i * 2 * pages * PAGE_BYTES,
					(i * 2 + 1) * pages * PAGE_BYTES };
	return q;
}

/*
 * Do all of @q in steps of @step pieces; asserts that the pieces cover each
 * range without a gap and none is too heavy. The number of pieces.
 */
static size_t walk(const struct inject_request *q, int pagemap, size_t step)
{
	struct pieces_cursor cursor = { 0 };
	struct pieces pieces;
	size_t n_pieces = 0;

	while (cursor.n_done < q->n_ranges) {
		const struct range *range = &q->ranges[cursor.n_done];
		uint64_t at = cursor.next ? cursor.next : range->start;

		pieces_cut(q, &cursor, pagemap, &pieces);
		assert_true(pieces.n > 0);
		for (size_t i = 0; i < MIN(step, pieces.n); i++) {
			const struct piece *p = &pieces.v[i];

			assert_int_equal(p->range.start, at);
			assert_true(p->range.end > at);
			assert_true(p->range.end <= range->end);
			assert_true(p->n_pages <= PIECES_MAX_PAGES);
			assert_int_equal(p->ends_range,
					 p->range.end == range->end);
			at = p->range.end;
			if (p->ends_range)
				at = (++range)->start;
			n_pieces++;
		}
		pieces_advance(&pieces, MIN(step, pieces.n), &cursor);
	}
	assert_int_equal(cursor.next, 0);
	return n_pieces;
}

static void test_marking_is_not_cut(void **state)
{
	struct inject_request q = make_request(INJECT_MERGEABLE, 255, 1 << 20);

	(void)state;
	assert_int_equal(walk(&q, -1, 1000), 255);
	assert_int_equal(walk(&q, -1, 7), 255);
}

static void test_merged_pages_are_cut(void **state)
{
	struct inject_request q = make_request(INJECT_UNMERGEABLE, 2, 1000);
	_cleanup_close_ int pagemap = make_pagemap(MERGED, 4000);

	(void)state;
	/* 128 seven times and 104, of each range. */
	assert_int_equal(walk(&q, pagemap, 1000), 16);
	assert_int_equal(walk(&q, pagemap, 1), 16);
	assert_int_equal(walk(&q, pagemap, 3), 16);
}

static void test_other_pages_are_not(void **state)
{
	struct inject_request q = make_request(INJECT_UNMERGEABLE, 3, 1000);
	_cleanup_close_ int exclusive = make_pagemap(EXCLUSIVE, 6000);
	_cleanup_close_ int absent = make_pagemap(0, 6000);
	_cleanup_close_ int file = make_pagemap(KAPI_PM_PRESENT | KAPI_PM_FILE,
						6000);

	(void)state;
	assert_int_equal(walk(&q, exclusive, 1000), 3);
	assert_int_equal(walk(&q, absent, 1000), 3);
	assert_int_equal(walk(&q, file, 1000), 3);
}

static void test_exactly_full(void **state)
{
	struct inject_request q = make_request(INJECT_UNMERGEABLE, 1, 128);
	_cleanup_close_ int pagemap = make_pagemap(MERGED, 128);

	(void)state;
	assert_int_equal(walk(&q, pagemap, 1000), 1);
}

static void test_without_pagemap(void **state)
{
	struct inject_request q = make_request(INJECT_UNMERGEABLE, 1, 600);
	_cleanup_close_ int pagemap = make_pagemap(EXCLUSIVE, 300);

	(void)state;
	assert_int_equal(walk(&q, -1, 1000), 5);
	/* It ends in the midst: what follows is taken for merged. */
	assert_int_equal(walk(&q, pagemap, 1000), 3);
}

static void test_huge(void **state)
{
	struct inject_request q = make_request(INJECT_UNMERGEABLE, 1, 1 << 18);
	_cleanup_close_ int pagemap = make_pagemap(EXCLUSIVE, 1 << 18);

	(void)state;
	assert_int_equal(walk(&q, pagemap, 1000),
			 (1ULL << 30) / PIECES_MAX_BYTES);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marking_is_not_cut),
		cmocka_unit_test(test_merged_pages_are_cut),
		cmocka_unit_test(test_other_pages_are_not),
		cmocka_unit_test(test_exactly_full),
		cmocka_unit_test(test_without_pagemap),
		cmocka_unit_test(test_huge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
