/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "need.h"
#include "pfnset.h"

static const struct pagemask none;

static struct root root;
static struct reader reader;
static struct worker worker;
static char *memory; /* one region, aligned */

static int setup(void **state)
{
	char *p = mmap(NULL, 2 * REGION_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	memory = (char *)(((uintptr_t)p + REGION_BYTES - 1) &
			  ~(REGION_BYTES - 1));
	madvise(memory, REGION_BYTES, MADV_NOHUGEPAGE);
	if (p == MAP_FAILED ||
	    checksum_cpu.lane_new(&checksum_cpu, &worker.lane))
		return -1;
	return root_open("", &root) || strong_key_make(&reader.key) ||
	       pfnset_new(1 << 16, &reader.seen);
}

static int teardown(void **state)
{
	(void)state;
	checksum_cpu.lane_free(worker.lane);
	pfnset_free(reader.seen);
	root_close(&root);
	return 0;
}

/* A child with a copy of our memory. */
static pid_t child_begin(struct process *ret)
{
	struct process_stat st;
	pid_t pid;

	need_pidfd();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_int_equal(process_stat_read(&root, pid, &st), 0);
	assert_int_equal(process_open(&root,
				      (struct process_id){ pid, st.start_time },
				      ret),
			 0);
	return pid;
}

static void child_end(pid_t pid, struct process *process)
{
	process_close(process);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static uint64_t own_start(void)
{
	struct process_stat st;

	assert_int_equal(process_stat_read(&root, getpid(), &st), 0);
	return st.start_time;
}

static void look_all(const struct process *p, const struct pagemask *merged,
		     struct look *look)
{
	memset(look, 0, sizeof(*look));
	pagemask_set_range(&look->present, 0, REGION_PAGES);
	assert_int_equal(reader_look(&reader, p, (uintptr_t)memory, merged,
				     &worker, look),
			 0);
}

static char *page(unsigned int i)
{
	return memory + i * PAGE_BYTES;
}

static void test_masks(void **state)
{
	struct vma v[] = {
		{ .start = REGION_BYTES - PAGE_BYTES,
		  .end = REGION_BYTES + 2 * PAGE_BYTES },
		{ .start = REGION_BYTES + 5 * PAGE_BYTES,
		  .end = REGION_BYTES + 6 * PAGE_BYTES,
		  .mergeable = true },
		{ .start = 2 * REGION_BYTES - PAGE_BYTES,
		  .end = 4 * REGION_BYTES },
	};
	struct vmas vmas = { .v = v, .n = ARRAY_SIZE(v) };
	struct pagemask eligible, mergeable;

	(void)state;
	reader_masks(&vmas, REGION_BYTES, &eligible, &mergeable);
	assert_int_equal(pagemask_count(&eligible), 4);
	assert_true(pagemask_test(&eligible, 0));
	assert_true(pagemask_test(&eligible, 1));
	assert_true(pagemask_test(&eligible, 5));
	assert_true(pagemask_test(&eligible, 511));
	assert_int_equal(pagemask_count(&mergeable), 1);
	assert_true(pagemask_test(&mergeable, 5));
	reader_masks(&vmas, 0, &eligible, &mergeable);
	assert_int_equal(pagemask_count(&eligible), 1);
	assert_true(pagemask_test(&eligible, 511));
	reader_masks(&vmas, 3 * REGION_BYTES, &eligible, &mergeable);
	assert_int_equal(pagemask_count(&eligible), REGION_PAGES);
	reader_masks(&vmas, 4 * REGION_BYTES, &eligible, &mergeable);
	assert_int_equal(pagemask_count(&eligible), 0);
	vmas.n = 0;
	reader_masks(&vmas, REGION_BYTES, &eligible, &mergeable);
	assert_int_equal(pagemask_count(&eligible), 0);
}

static void test_mergeable_at_an_address(void **state)
{
	struct vma v[] = {
		{ .start = 0x2000, .end = 0x4000, .mergeable = true },
		{ .start = 0x4000, .end = 0x5000 },
		{ .start = 0x8000, .end = 0x9000, .mergeable = true },
	};
	struct vmas vmas = { .v = v, .n = ARRAY_SIZE(v) };

	(void)state;
	assert_false(reader_is_mergeable(&vmas, 0x1000));
	assert_true(reader_is_mergeable(&vmas, 0x2000));
	assert_true(reader_is_mergeable(&vmas, 0x3000));
	assert_false(reader_is_mergeable(&vmas, 0x4000));
	assert_false(reader_is_mergeable(&vmas, 0x7000));
	assert_true(reader_is_mergeable(&vmas, 0x8000));
	assert_false(reader_is_mergeable(&vmas, 0x9000));
}

static void test_a_look_at_a_child(void **state)
{
	struct process child = PROCESS_NONE;
	struct look look;
	pid_t pid;

	(void)state;
	need_frames();
	madvise(memory, REGION_BYTES, MADV_DONTNEED);
	pfnset_clear(reader.seen);
	memset(page(3), 7, PAGE_BYTES);
	memset(page(500), 8, PAGE_BYTES);
	pid = child_begin(&child);
	memset(page(500), 9, PAGE_BYTES); /* ours alone from now on */
	look_all(&child, &none, &look);
	assert_int_equal(pagemask_count(&look.present), 2);
	assert_int_equal(pagemask_count(&look.checked), 2);
	assert_true(pagemask_test(&look.shared, 3));
	assert_false(pagemask_test(&look.shared, 500));
	assert_int_equal(pagemask_count(&look.alias), 0);
	assert_int_equal(look.crc[3], checksum_page(page(3)));
	memset(page(500), 8, PAGE_BYTES);
	assert_int_equal(look.crc[500], checksum_page(page(500)));
	child_end(pid, &child);
}

static void test_a_shared_frame_is_read_once_a_round(void **state)
{
	struct process one = PROCESS_NONE, two = PROCESS_NONE;
	struct look look;
	pid_t a, b;

	(void)state;
	need_frames();
	madvise(memory, REGION_BYTES, MADV_DONTNEED);
	pfnset_clear(reader.seen);
	memset(page(3), 7, PAGE_BYTES);
	a = child_begin(&one);
	b = child_begin(&two);
	look_all(&one, &none, &look);
	assert_int_equal(pagemask_count(&look.alias), 0);
	look_all(&two, &none, &look);
	assert_true(pagemask_test(&look.alias, 3));
	assert_true(pagemask_test(&look.checked, 3));
	assert_int_equal(look.crc[3], checksum_page(page(3)));
	pfnset_clear(reader.seen);
	look_all(&two, &none, &look);
	assert_int_equal(pagemask_count(&look.alias), 0);
	child_end(a, &one);
	child_end(b, &two);
}

/* Merged when last seen, still shared and mergeable: not even looked up. */
static void test_a_merged_page_is_not_read_again(void **state)
{
	struct process child = PROCESS_NONE;
	struct pagemask merged = { 0 };
	struct look look = { 0 };
	pid_t pid;

	(void)state;
	need_frames();
	madvise(memory, REGION_BYTES, MADV_DONTNEED);
	pfnset_clear(reader.seen);
	memset(page(3), 7, PAGE_BYTES);
	pagemask_set(&merged, 3);
	pagemask_set(&merged, 4);
	pid = child_begin(&child);
	pagemask_set_range(&look.present, 0, REGION_PAGES);
	pagemask_set(&look.mergeable, 3);
	assert_int_equal(reader_look(&reader, &child, (uintptr_t)memory,
				     &merged, &worker, &look),
			 0);
	assert_true(pagemask_test(&look.shared, 3));
	assert_false(pagemask_test(&look.checked, 3));
	/* out of its mapping, or no longer shared, it is */
	look_all(&child, &merged, &look);
	assert_true(pagemask_test(&look.checked, 3));
	child_end(pid, &child);
}

/* What need not be read is seen all the same; but what was merged and is now
 * the process's own has changed, and is read whatever was said. */
static void test_what_is_skipped_is_not_read(void **state)
{
	struct process child = PROCESS_NONE;
	struct pagemask merged = { 0 };
	struct look look = { 0 };
	pid_t pid;

	(void)state;
	need_frames();
	madvise(memory, REGION_BYTES, MADV_DONTNEED);
	pfnset_clear(reader.seen);
	memset(page(3), 7, PAGE_BYTES);
	memset(page(6), 7, PAGE_BYTES);
	pid = child_begin(&child);
	for (unsigned int i = 3; i <= 5; i++)
		memset(page(i), 8, PAGE_BYTES);
	process_close(&child);
	assert_int_equal(process_open(&root,
				      (struct process_id){ getpid(),
							   own_start() },
				      &child),
			 0);
	pagemask_set_range(&look.present, 0, REGION_PAGES);
	pagemask_set_range(&look.skip, 0, REGION_PAGES);
	pagemask_clear(&look.skip, 4);
	pagemask_set(&merged, 5);
	assert_int_equal(reader_look(&reader, &child, (uintptr_t)memory,
				     &merged, &worker, &look),
			 0);
	assert_false(pagemask_test(&look.checked, 3));
	assert_true(pagemask_test(&look.checked, 4));
	assert_true(pagemask_test(&look.checked, 5));
	assert_false(pagemask_test(&look.checked, 6));
	assert_true(pagemask_test(&look.shared, 6));
	assert_true(pagemask_test(&look.present, 3));
	child_end(pid, &child);
}

static void test_only_what_may_be_looked_at_is(void **state)
{
	struct process child = PROCESS_NONE;
	struct look look = { 0 };
	pid_t pid;

	(void)state;
	memset(page(3), 7, PAGE_BYTES);
	memset(page(5), 7, PAGE_BYTES);
	pid = child_begin(&child);
	pagemask_set(&look.present, 5);
	assert_int_equal(reader_look(&reader, &child, (uintptr_t)memory, &none,
				     &worker, &look),
			 0);
	assert_int_equal(pagemask_count(&look.present), 1);
	assert_int_equal(pagemask_count(&look.checked), 1);
	assert_false(pagemask_test(&look.shared, 3));
	child_end(pid, &child);
}

static void test_settle_keeps_what_has_not_changed(void **state)
{
	struct process child = PROCESS_NONE;
	struct reader_settle settle = { 0 };
	pid_t pid;

	(void)state;
	need_frames();
	madvise(memory, REGION_BYTES, MADV_DONTNEED);
	memset(page(1), 7, PAGE_BYTES);
	memset(page(2), 8, PAGE_BYTES);
	memset(page(3), 0, PAGE_BYTES);
	memset(page(4), 7, PAGE_BYTES);
	pid = child_begin(&child);
	pagemask_set_range(&settle.pages, 1, 6);
	for (unsigned int i = 1; i < 5; i++)
		settle.crc[i] = checksum_page(page(i));
	settle.crc[2]++; /* it was another page at the first look */
	memset(page(4), 1, PAGE_BYTES); /* the child's alone */
	assert_int_equal(reader_settle(&reader, &child, (uintptr_t)memory,
				       &worker, &settle),
			 0);
	assert_int_equal(pagemask_count(&settle.pages), 3);
	assert_false(pagemask_test(&settle.pages, 2));
	assert_false(pagemask_test(&settle.pages, 5)); /* not there */
	assert_int_equal(pagemask_count(&settle.changed), 1);
	assert_true(pagemask_test(&settle.changed, 2));
	assert_int_equal(pagemask_count(&settle.zero), 1);
	assert_true(pagemask_test(&settle.zero, 3));
	assert_int_equal(settle.hash[1], strong_hash(&reader.key, page(1)));
	assert_int_equal(settle.hash[1], settle.hash[4]);
	assert_true(settle.pfn[1] && settle.pfn[1] != settle.pfn[4]);
	assert_true(pagemask_test(&settle.shared, 1));
	assert_false(pagemask_test(&settle.shared, 4));
	child_end(pid, &child);
}

static void test_the_map_of_a_child(void **state)
{
	_cleanup_close_ int smaps = -1;
	struct process child = PROCESS_NONE;
	struct reader_map map;
	bool found = false;
	pid_t pid;

	(void)state;
	memset(page(3), 7, PAGE_BYTES);
	pid = child_begin(&child);
	smaps = vmas_open(child.dir);
	assert_true(smaps >= 0);
	assert_int_equal(reader_map(&reader, &child, smaps, false, &map), 0);
	assert_true(map.vmas.n > 0 && map.n_mappings > map.vmas.n);
	for (size_t i = 0; i < map.regions.n; i++) {
		found |= map.regions.v[i].base == (uintptr_t)memory;
		assert_true(i == 0 ||
			    map.regions.v[i - 1].base < map.regions.v[i].base);
	}
	assert_true(found);
	reader_map_clear(&map);
	/* it has registered nothing itself */
	assert_int_equal(lseek(smaps, 0, SEEK_SET), 0);
	assert_int_equal(reader_map(&reader, &child, smaps, true, &map), 0);
	assert_int_equal(map.vmas.n, 0);
	reader_map_clear(&map);
	child_end(pid, &child);
}

static void test_copies_are_wiped(void **state)
{
	struct process child = PROCESS_NONE;
	struct look look = { 0 };
	pid_t pid;

	(void)state;
	memset(page(3), 7, PAGE_BYTES);
	pid = child_begin(&child);
	pagemask_set(&look.present, 3);
	assert_int_equal(reader_look(&reader, &child, (uintptr_t)memory, &none,
				     &worker, &look),
			 0);
	assert_true(pagemask_test(&look.checked, 3));
	assert_int_equal(worker.lane->area[3 * PAGE_BYTES], 7);
	worker_wipe(&worker);
	for (size_t i = 0; i < REGION_BYTES; i++)
		assert_int_equal(worker.lane->area[i], 0);
	child_end(pid, &child);
}

static struct checksum_lane *lane_free_wiped(struct checksum_lane *lane)
{
	for (size_t i = 0; i < REGION_BYTES; i++)
		assert_int_equal(lane->area[i], 0);
	return checksum_cpu.lane_free(lane);
}

static void test_copies_do_not_outlive_their_worker(void **state)
{
	struct checksum_engine engine = checksum_cpu;
	struct worker last;

	(void)state;
	engine.lane_free = lane_free_wiped;
	assert_int_equal(worker_open(&engine, &last), 0);
	memset(last.lane->area, 7, last.lane->n_blocks * CHECKSUM_BLOCK_BYTES);
	last.used = true;
	worker_close(&last);
	assert_null(last.lane);
}

static void test_a_child_that_is_gone(void **state)
{
	struct process child = PROCESS_NONE;
	struct reader_settle settle = { 0 };
	struct look look = { 0 };
	struct reader_map map;
	pid_t pid = child_begin(&child);
	_cleanup_close_ int smaps = vmas_open(child.dir);

	(void)state;
	assert_true(smaps >= 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	pagemask_set(&look.present, 3);
	assert_int_equal(reader_look(&reader, &child, (uintptr_t)memory, &none,
				     &worker, &look),
			 READER_GONE);
	assert_int_equal(reader_settle(&reader, &child, (uintptr_t)memory,
				       &worker, &settle),
			 READER_GONE);
	assert_int_equal(reader_map(&reader, &child, smaps, false, &map),
			 READER_GONE);
	reader_map_clear(&map);
	process_close(&child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_masks),
		cmocka_unit_test(test_mergeable_at_an_address),
		cmocka_unit_test(test_a_look_at_a_child),
		cmocka_unit_test(test_a_shared_frame_is_read_once_a_round),
		cmocka_unit_test(test_a_merged_page_is_not_read_again),
		cmocka_unit_test(test_what_is_skipped_is_not_read),
		cmocka_unit_test(test_only_what_may_be_looked_at_is),
		cmocka_unit_test(test_settle_keeps_what_has_not_changed),
		cmocka_unit_test(test_the_map_of_a_child),
		cmocka_unit_test(test_copies_are_wiped),
		cmocka_unit_test(test_copies_do_not_outlive_their_worker),
		cmocka_unit_test(test_a_child_that_is_gone),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
