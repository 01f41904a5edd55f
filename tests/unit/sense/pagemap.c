/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pagemap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "need.h"
#include "process.h"
#include "vmas.h"

#define RW	(PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static struct root root;
static struct process self = PROCESS_NONE;
static bool has_scan;

static int process_of(pid_t pid, struct process *ret)
{
	struct process_stat st;
	int r = process_stat_read(&root, pid, &st);

	return r ? r
		 : process_open(&root,
				(struct process_id){ pid, st.start_time }, ret);
}

static int setup(void **state)
{
	struct pagemap_regions none = { 0 };
	struct vma nothing = { .start = 0x10000, .end = 0x11000 };

	(void)state;
	if (root_open("", &root))
		return -1;
	has_scan = process_of(getpid(), &self) == 0 &&
		   pagemap_regions(&self, &nothing, true, &none) == 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	process_close(&self);
	root_close(&root);
	return 0;
}

/* @size bytes at an address that is a multiple of a region's size. */
static char *map_aligned(size_t size)
{
	char *p = mmap(NULL, size + REGION_BYTES, RW, PRIVATE, -1, 0);
	char *start;

	assert_true(p != MAP_FAILED);
	start = (char *)(((uintptr_t)p + REGION_BYTES - 1) &
			 ~(REGION_BYTES - 1));
	if (start > p)
		munmap(p, (size_t)(start - p));
	munmap(start + size, (size_t)(p + REGION_BYTES - start));
	madvise(start, size, MADV_NOHUGEPAGE);
	return start;
}

static struct vma vma_of(const char *p, size_t size, uint64_t rss)
{
	return (struct vma){ .start = (uintptr_t)p,
			     .end = (uintptr_t)p + size,
			     .rss = rss };
}

static void test_regions_with_pages(bool scan)
{
	struct pagemap_regions regions = { 0 };
	const size_t size = 6 * REGION_BYTES;
	char *p = map_aligned(size);
	struct vma v = vma_of(p, size, size);

	assert_int_equal(pagemap_regions(&self, &v, scan, &regions), 0);
	assert_int_equal(regions.n, 0);
	p[0] = 1;
	p[REGION_BYTES - 1] = 1;
	memset(p + 2 * REGION_BYTES, 1, REGION_BYTES);
	/* more runs than one call of the kernel's gives back */
	for (size_t i = 0; i < 2 * REGION_PAGES; i += 2)
		p[4 * REGION_BYTES + i * PAGE_BYTES] = 1;
	assert_int_equal(pagemap_regions(&self, &v, scan, &regions), 0);
	assert_int_equal(regions.n, 4);
	assert_int_equal(regions.v[0].base, v.start);
	assert_int_equal(regions.v[0].present, 2);
	assert_int_equal(regions.v[1].base, v.start + 2 * REGION_BYTES);
	assert_int_equal(regions.v[1].present, REGION_PAGES);
	assert_int_equal(regions.v[2].base, v.start + 4 * REGION_BYTES);
	assert_int_equal(regions.v[2].present, REGION_PAGES / 2);
	assert_int_equal(regions.v[3].present, REGION_PAGES / 2);
	vec_free(&regions);
	munmap(p, size);
}

static void test_regions_by_walk(void **state)
{
	(void)state;
	need_pidfd();
	test_regions_with_pages(false);
}

static void test_regions_by_scan(void **state)
{
	(void)state;
	need_pidfd();
	if (!has_scan) {
		print_message("no PAGEMAP_SCAN before Linux 6.7\n");
		skip();
	}
	test_regions_with_pages(true);
}

/* Two mappings that meet in a region make one entry of it. */
static void test_mappings_meet_in_a_region(void **state)
{
	const size_t size = 2 * REGION_BYTES, half = 3 * REGION_BYTES / 2;

	(void)state;
	need_pidfd();
	for (int scan = 0; scan <= has_scan; scan++) {
		struct pagemap_regions regions = { 0 };
		char *p = map_aligned(size);
		struct vma lower = vma_of(p, half, half);
		struct vma upper = vma_of(p + half, size - half, size - half);

		memset(p, 1, size);
		assert_int_equal(pagemap_regions(&self, &lower, scan, &regions),
				 0);
		assert_int_equal(pagemap_regions(&self, &upper, scan, &regions),
				 0);
		assert_int_equal(regions.n, 2);
		assert_int_equal(regions.v[0].present, REGION_PAGES);
		assert_int_equal(regions.v[1].present, REGION_PAGES);
		vec_free(&regions);
		munmap(p, size);
	}
}

/* A file's pages are not ours; a private copy of one is. */
static void test_only_anonymous_pages_count(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *p = mmap(NULL, 4 * PAGE_BYTES, RW, MAP_PRIVATE, fd, 0);

	(void)state;
	need_pidfd();
	assert_true(p != MAP_FAILED);
	for (int scan = 0; scan <= has_scan; scan++) {
		struct pagemap_regions regions = { 0 };
		struct vma v = vma_of(p, 4 * PAGE_BYTES, 8192);
		volatile char c = p[0] + p[PAGE_BYTES];

		madvise(p, 4 * PAGE_BYTES, MADV_DONTNEED);
		c = p[0] + p[PAGE_BYTES];
		assert_int_equal(pagemap_regions(&self, &v, scan, &regions), 0);
		assert_int_equal(regions.n, 0);
		p[PAGE_BYTES] = c;
		assert_int_equal(pagemap_regions(&self, &v, scan, &regions), 0);
		assert_int_equal(regions.n, 1);
		assert_int_equal(regions.v[0].present, 1);
		vec_free(&regions);
	}
	munmap(p, 4 * PAGE_BYTES);
	close(fd);
}

/* 32 TiB with one page: found at once, or refused at once. */
static void test_huge_and_empty(void **state)
{
	const size_t size = 32ULL << 40;
	char *p = mmap(NULL, size, RW, PRIVATE, -1, 0);
	struct pagemap_regions regions = { 0 };
	struct vma v = vma_of(p, size, PAGE_BYTES);

	(void)state;
	need_pidfd();
	if (p == MAP_FAILED) {
		print_message("no room for 32 TiB of addresses\n");
		skip();
	}
	madvise(p, size, MADV_NOHUGEPAGE);
	p[size / 2] = 1;
	assert_int_equal(pagemap_regions(&self, &v, false, &regions),
			 PAGEMAP_SPARSE);
	assert_int_equal(regions.n, 0);
	if (has_scan) {
		assert_int_equal(pagemap_regions(&self, &v, true, &regions), 0);
		assert_int_equal(regions.n, 1);
		assert_int_equal(regions.v[0].present, 1);
		assert_true(regions.v[0].base <= v.start + size / 2);
		assert_true(regions.v[0].base + REGION_BYTES >
			    v.start + size / 2);
	}
	vec_free(&regions);
	munmap(p, size);
}

static void test_entries_of_a_region(void **state)
{
	uint64_t entries[REGION_PAGES];
	char *p = map_aligned(REGION_BYTES);

	(void)state;
	need_pidfd();
	p[0] = 1;
	p[511 * PAGE_BYTES] = 1;
	assert_int_equal(pagemap_read(&self, (uintptr_t)p, entries), 0);
	for (unsigned int i = 0; i < REGION_PAGES; i++)
		assert_int_equal(pagemap_is_anon(entries[i]),
				 i == 0 || i == 511);
	assert_true(pagemap_is_exclusive(entries[0]));
	if (geteuid() == 0) {
		assert_true(pagemap_pfn(entries[0]) > 0);
		assert_true(pagemap_pfn(entries[0]) !=
			    pagemap_pfn(entries[511]));
	}
	munmap(p, REGION_BYTES);
}

/* The kernel has put all of it on one page, and shows us which. */
static bool is_on_huge_page(const char *p)
{
	uint64_t entries[REGION_PAGES];
	struct vmas vmas = { 0 };
	uint64_t huge = 0;
	size_t n;

	assert_int_equal(pagemap_read(&self, (uintptr_t)p, entries), 0);
	assert_int_equal(vmas_read(self.dir, &vmas, &n), 0);
	for (size_t i = 0; i < vmas.n; i++)
		if (vmas.v[i].start <= (uintptr_t)p &&
		    vmas.v[i].end > (uintptr_t)p)
			huge = vmas.v[i].huge;
	vec_free(&vmas);
	return huge >= REGION_BYTES && pagemap_pfn(entries[0]);
}

/* A huge page, small ones, and a huge page that is not all there any more. */
static void test_huge_pages(void **state)
{
	const size_t size = 3 * REGION_BYTES;
	char *p = map_aligned(size);

	(void)state;
	need_pidfd();
	memset(p + REGION_BYTES, 1, REGION_BYTES);
	for (size_t at = 0; at < size; at += 2 * REGION_BYTES) {
		madvise(p + at, REGION_BYTES, MADV_HUGEPAGE);
		memset(p + at, 1, REGION_BYTES);
	}
	if (!is_on_huge_page(p) || !is_on_huge_page(p + 2 * REGION_BYTES)) {
		print_message("no huge page, or no right to see its frame\n");
		munmap(p, size);
		skip();
	}
	madvise(p + 2 * REGION_BYTES, PAGE_BYTES, MADV_DONTNEED);
	for (int scan = 0; scan <= has_scan; scan++) {
		struct pagemap_regions regions = { 0 };
		struct vma v = vma_of(p, size, size);

		v.huge = REGION_BYTES;
		assert_int_equal(pagemap_regions(&self, &v, scan, &regions), 0);
		assert_int_equal(regions.n, 3);
		assert_true(regions.v[0].huge);
		assert_false(regions.v[1].huge);
		assert_false(regions.v[2].huge);
		vec_free(&regions);
	}
	munmap(p, size);
}

static pid_t child_begin(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

/* A page that fork shares is on one frame, and not exclusive to anybody. */
static void test_forked_pages_are_shared(void **state)
{
	uint64_t mine[REGION_PAGES], theirs[REGION_PAGES];
	char *p = map_aligned(REGION_BYTES);
	struct process child = PROCESS_NONE;
	pid_t pid;

	(void)state;
	need_pidfd();
	p[0] = 1;
	p[PAGE_BYTES] = 1;
	pid = child_begin();
	assert_int_equal(process_of(pid, &child), 0);
	p[PAGE_BYTES] = 2;
	assert_int_equal(pagemap_read(&self, (uintptr_t)p, mine), 0);
	assert_int_equal(pagemap_read(&child, (uintptr_t)p, theirs), 0);
	assert_false(pagemap_is_exclusive(mine[0]));
	assert_false(pagemap_is_exclusive(theirs[0]));
	assert_int_equal(pagemap_pfn(mine[0]), pagemap_pfn(theirs[0]));
	assert_true(pagemap_is_exclusive(mine[1]));
	process_close(&child);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap(p, REGION_BYTES);
}

static void test_of_a_process_that_is_gone(void **state)
{
	uint64_t entries[REGION_PAGES];
	struct pagemap_regions regions = { 0 };
	struct process child = PROCESS_NONE;
	char *p = map_aligned(REGION_BYTES);
	struct vma v = vma_of(p, REGION_BYTES, REGION_BYTES);
	pid_t pid;

	(void)state;
	need_pidfd();
	memset(p, 1, REGION_BYTES);
	pid = child_begin();
	assert_int_equal(process_of(pid, &child), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(pagemap_read(&child, v.start, entries), PAGEMAP_GONE);
	for (int scan = 0; scan <= has_scan; scan++)
		assert_int_equal(pagemap_regions(&child, &v, scan, &regions),
				 PAGEMAP_GONE);
	assert_int_equal(regions.n, 0);
	process_close(&child);
	munmap(p, REGION_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regions_by_walk),
		cmocka_unit_test(test_regions_by_scan),
		cmocka_unit_test(test_mappings_meet_in_a_region),
		cmocka_unit_test(test_only_anonymous_pages_count),
		cmocka_unit_test(test_huge_and_empty),
		cmocka_unit_test(test_entries_of_a_region),
		cmocka_unit_test(test_huge_pages),
		cmocka_unit_test(test_forked_pages_are_shared),
		cmocka_unit_test(test_of_a_process_that_is_gone),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
