/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frames.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fakeframes.h"
#include "faketree.h"
#include "need.h"

static void test_only_merged_pages_of_known_mappers(void **state)
{
	struct frames f = fakeframes_new(8);

	(void)state;
	fakeframes_set(&f, 1, 2, FAKEFRAMES_MERGED);
	assert_true(frames_is_merged(&f, 1, 2));
	assert_false(frames_is_merged(&f, 1, 1)); /* somebody else maps it */
	assert_false(frames_is_merged(&f, 1, 3));
	fakeframes_set(&f, 2, 2, KAPI_KPF_ANON);
	assert_false(frames_is_merged(&f, 2, 2)); /* of a fork */
	fakeframes_set(&f, 3, 2, KAPI_KPF_KSM);
	assert_false(frames_is_merged(&f, 3, 2));
	for (uint64_t bit = 15; bit <= 16; bit++) {
		fakeframes_set(&f, 4, 2, FAKEFRAMES_MERGED | 1ULL << bit);
		assert_false(frames_is_merged(&f, 4, 2)); /* head or tail */
	}
	assert_false(frames_is_merged(&f, 8, 0)); /* beyond all memory */
	frames_close(&f);
	assert_false(frames_is_merged(&f, 1, 2));
}

/* Kernels that do not tell merged pages from others. */
static void test_without_the_flag_any_anonymous_page_will_do(void **state)
{
	struct frames f = fakeframes_new(8);

	(void)state;
	f.ksm_flag = false;
	fakeframes_set(&f, 1, 2, KAPI_KPF_ANON);
	assert_true(frames_is_merged(&f, 1, 2));
	fakeframes_set(&f, 1, 2, 0);
	assert_false(frames_is_merged(&f, 1, 2));
	frames_close(&f);
}

static void test_files_that_are_not_there(void **state)
{
	struct frames f = FRAMES_NONE;
	struct root root;

	(void)state;
	faketree_begin();
	faketree_file("proc/stat", "\n");
	faketree_file("sys/x", "\n");
	assert_int_equal(root_open(faketree_top, &root), 0);
	assert_int_equal(frames_open(&root, true, &f), -ENOENT);
	faketree_file("proc/kpagecount", "\n");
	assert_int_equal(frames_open(&root, true, &f), -ENOENT);
	assert_int_equal(f.counts, -1);
	frames_close(&f);
	assert_int_equal(frames_zero_pfn(&root), 0);
	faketree_file("proc/kpageflags", "\n");
	assert_int_equal(frames_open(&root, true, &f), 0);
	assert_true(f.counts >= 0 && f.flags >= 0 && f.ksm_flag);
	frames_close(&f);
	frames_close(&f);
	root_close(&root);
	faketree_end();
}

static void test_the_zero_page_of_this_kernel(void **state)
{
	uint64_t pfn, flags;
	struct frames f;
	struct root root;

	(void)state;
	need_frames();
	assert_int_equal(root_open("", &root), 0);
	pfn = frames_zero_pfn(&root);
	assert_true(pfn != 0);
	assert_int_equal(frames_open(&root, true, &f), 0);
	assert_int_equal(pread(f.flags, &flags, 8, (off_t)(pfn * 8)), 8);
	assert_true(flags & KAPI_KPF_ZERO_PAGE);
	assert_false(frames_is_merged(&f, pfn, 1));
	frames_close(&f);
	root_close(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_merged_pages_of_known_mappers),
		cmocka_unit_test(
			test_without_the_flag_any_anonymous_page_will_do),
		cmocka_unit_test(test_files_that_are_not_there),
		cmocka_unit_test(test_the_zero_page_of_this_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
