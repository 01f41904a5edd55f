/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vmread.h promises, on the running kernel: a round of reading changes
 * nothing for the process that is read, where process_vm_readv(2) would.
 */
#include "vmread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "ksmlock.h"
#include "pagemap.h"
#include "process.h"

#define FORK_BYTES (256ULL << 20)
#define N_FORKS	   11

static struct root root;
static unsigned char *buf;
static char *memory; /* a region, aligned */
static int lock = -1, taken;

static int setup(void **state)
{
	char *p = mmap(NULL, 2 * REGION_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	memory = (char *)(((uintptr_t)p + REGION_BYTES - 1) &
			  ~(REGION_BYTES - 1));
	madvise(memory, REGION_BYTES, MADV_NOHUGEPAGE);
	buf = aligned_alloc(PAGE_BYTES, REGION_BYTES);
	if (p == MAP_FAILED || !buf || root_open("", &root))
		return -1;
	taken = ksmlock_take(&lock);
	return taken < 0;
}

static int teardown(void **state)
{
	(void)state;
	if (lock >= 0)
		ksmlock_give(lock);
	free(buf);
	root_close(&root);
	return 0;
}

static void need_frames(void)
{
	if (geteuid() != 0) {
		print_message("frame numbers are shown to root only\n");
		skip();
	}
}

/* Each page another content, unlike anybody else's. */
static void fill(uint64_t seed)
{
	uint64_t *words = (uint64_t *)memory;

	for (size_t i = 0; i < REGION_BYTES / sizeof(*words); i++)
		words[i] = seed = seed * 6364136223846793005ULL +
				  1442695040888963407ULL;
}

static pid_t child_begin(struct process *ret, void (*before)(void))
{
	struct process_stat st;
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (before)
			before();
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
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

static unsigned int n_shared(const struct process *process)
{
	uint64_t entries[REGION_PAGES];
	unsigned int n = 0;

	assert_int_equal(pagemap_read(process, (uintptr_t)memory, entries), 0);
	for (unsigned int i = 0; i < REGION_PAGES; i++)
		n += pagemap_is_anon(entries[i]) &&
		     !pagemap_is_exclusive(entries[i]);
	return n;
}

static void read_all(const struct process *process)
{
	struct pagemask mask = { 0 };

	pagemask_set_range(&mask, 0, REGION_PAGES);
	assert_int_equal(vmread_region(process, (uintptr_t)memory, &mask, buf),
			 0);
	assert_int_equal(pagemask_count(&mask), REGION_PAGES);
}

static void read_pinned(const struct process *process, unsigned int n_pages)
{
	struct iovec to = { buf, n_pages * PAGE_BYTES };
	struct iovec from = { memory, n_pages * PAGE_BYTES };

	assert_int_equal(process_vm_readv(process->id.pid, &to, 1, &from, 1, 0),
			 n_pages * PAGE_BYTES);
}

static uint64_t vmstat(const char *name)
{
	_cleanup_free_ char *text = NULL;
	char want[64], *at;
	size_t len;

	assert_int_equal(file_read_all(root.proc, "vmstat", &text, &len), 0);
	snprintf(want, sizeof(want), "\n%s ", name);
	at = strstr(text, want);
	return at ? strtoull(at + strlen(want), NULL, 10) : 0;
}

static void test_forked_pages_stay_shared(void **state)
{
	uint64_t before[REGION_PAGES], after[REGION_PAGES];
	struct process child = PROCESS_NONE;
	pid_t pid;

	(void)state;
	need_frames();
	fill(1);
	pid = child_begin(&child, NULL);
	assert_int_equal(pagemap_read(&child, (uintptr_t)memory, before), 0);
	assert_int_equal(n_shared(&child), REGION_PAGES);
	for (int i = 0; i < 3; i++)
		read_all(&child);
	assert_memory_equal(buf, memory, REGION_BYTES);
	assert_int_equal(pagemap_read(&child, (uintptr_t)memory, after), 0);
	for (unsigned int i = 0; i < REGION_PAGES; i++)
		assert_int_equal(pagemap_pfn(after[i]), pagemap_pfn(before[i]));
	assert_int_equal(n_shared(&child), REGION_PAGES);
	/* the other way to read is why there is this one */
	read_pinned(&child, 8);
	print_message("# process_vm_readv of 8 pages: %u of %u still shared\n",
		      n_shared(&child), REGION_PAGES);
	assert_int_equal(n_shared(&child), REGION_PAGES - 8);
	child_end(pid, &child);
}

static void mark_mergeable(void)
{
	/* a copy of its own, so that merging is all that shares it */
	for (unsigned int i = 0; i < REGION_PAGES; i++)
		((volatile char *)memory)[i * PAGE_BYTES] =
			((volatile char *)memory)[i * PAGE_BYTES];
	madvise(memory, REGION_BYTES, MADV_MERGEABLE);
}

static void test_merged_pages_stay_merged(void **state)
{
	uint64_t before[REGION_PAGES], after[REGION_PAGES], cow_ksm, until;
	struct process one = PROCESS_NONE, two = PROCESS_NONE;
	pid_t a, b;

	(void)state;
	ksmlock_need(taken);
	need_frames();
	assert_int_equal(getrandom(before, sizeof(before[0]), 0),
			 sizeof(before[0]));
	fill(before[0]);
	a = child_begin(&one, mark_mergeable);
	b = child_begin(&two, mark_mergeable);
	madvise(memory, REGION_BYTES, MADV_DONTNEED);
	ksmlock_put("advisor_mode", "none");
	ksmlock_put("smart_scan", "0");
	ksmlock_set("pages_to_scan", 100000);
	ksmlock_set("sleep_millisecs", 20);
	ksmlock_set("run", 1);
	until = clock_usec(CLOCK_MONOTONIC) + 30 * USEC_PER_SEC;
	while (n_shared(&one) < REGION_PAGES || n_shared(&two) < REGION_PAGES) {
		assert_true(clock_usec(CLOCK_MONOTONIC) < until);
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
	}
	/* it must be reading that breaks or keeps, not merging anew */
	ksmlock_set("run", 0);
	cow_ksm = vmstat("cow_ksm");
	assert_int_equal(pagemap_read(&one, (uintptr_t)memory, before), 0);
	for (int i = 0; i < 3; i++)
		read_all(&one);
	assert_int_equal(pagemap_read(&one, (uintptr_t)memory, after), 0);
	for (unsigned int i = 0; i < REGION_PAGES; i++)
		assert_int_equal(pagemap_pfn(after[i]), pagemap_pfn(before[i]));
	assert_int_equal(n_shared(&one), REGION_PAGES);
	assert_int_equal(vmstat("cow_ksm"), cow_ksm);
	read_pinned(&one, 8);
	assert_int_equal(n_shared(&one), REGION_PAGES - 8);
	/* cow_ksm is there since 5.19 */
	if (cow_ksm || vmstat("cow_ksm"))
		assert_true(vmstat("cow_ksm") >= cow_ksm + 8);
	child_end(a, &one);
	child_end(b, &two);
}

static uint64_t status_kib(pid_t pid, const char *name)
{
	char path[32], text[4096], *at;

	snprintf(path, sizeof(path), "%d/status", pid);
	assert_true(file_read(root.proc, path, text, sizeof(text)) > 0);
	at = strstr(text, name);
	assert_non_null(at);
	return strtoull(at + strlen(name), NULL, 10);
}

/* With pagemap asked first, nothing is faulted in; without, it would be. */
static void test_absent_pages_stay_absent(void **state)
{
	const size_t size = 64 << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t base, rss, pte, entries[REGION_PAGES];
	struct process child = PROCESS_NONE;
	pid_t pid;

	(void)state;
	madvise(p, size, MADV_NOHUGEPAGE);
	pid = child_begin(&child, NULL);
	rss = status_kib(pid, "VmRSS:");
	pte = status_kib(pid, "VmPTE:");
	base = ((uintptr_t)p + REGION_BYTES - 1) & ~(REGION_BYTES - 1);
	for (; base + REGION_BYTES <= (uintptr_t)p + size;
	     base += REGION_BYTES) {
		struct pagemask mask = { 0 };

		assert_int_equal(pagemap_read(&child, base, entries), 0);
		for (unsigned int i = 0; i < REGION_PAGES; i++)
			if (pagemap_is_anon(entries[i]))
				pagemask_set(&mask, i);
		assert_int_equal(pagemask_count(&mask), 0);
		assert_int_equal(vmread_region(&child, base, &mask, buf), 0);
	}
	assert_int_equal(status_kib(pid, "VmPTE:"), pte);
	assert_int_equal(status_kib(pid, "VmRSS:"), rss);
	child_end(pid, &child);
	munmap(p, size);
}

/* A hole in what is asked for is left out, and what is behind it comes. */
static void test_unmapped_pages_are_left_out(void **state)
{
	struct process child = PROCESS_NONE;
	struct pagemask mask = { 0 };
	char *hole = memory + 5 * PAGE_BYTES;
	pid_t pid;

	(void)state;
	fill(2);
	assert_int_equal(munmap(hole, 2 * PAGE_BYTES), 0);
	pid = child_begin(&child, NULL);
	pagemask_set_range(&mask, 0, REGION_PAGES);
	assert_int_equal(vmread_region(&child, (uintptr_t)memory, &mask, buf),
			 0);
	assert_int_equal(pagemask_count(&mask), REGION_PAGES - 2);
	assert_false(pagemask_test(&mask, 5) || pagemask_test(&mask, 6));
	assert_memory_equal(buf, memory, 5 * PAGE_BYTES);
	assert_memory_equal(buf + 7 * PAGE_BYTES, memory + 7 * PAGE_BYTES,
			    REGION_BYTES - 7 * PAGE_BYTES);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	pagemask_set_range(&mask, 0, REGION_PAGES);
	assert_int_equal(vmread_region(&child, (uintptr_t)memory, &mask, buf),
			 VMREAD_GONE);
	process_close(&child);
	assert_ptr_equal(mmap(hole, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 hole);
}

static int u64_compare(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/*
 * The median of some forks, in microseconds. Each page is written before: only
 * one that is exclusive to the process is asked whether it is pinned.
 */
static double fork_usec(char *p)
{
	uint64_t times[N_FORKS];

	for (int i = 0; i < N_FORKS; i++) {
		uint64_t from;
		pid_t pid;

		for (size_t at = 0; at < FORK_BYTES; at += PAGE_BYTES)
			p[at]++;
		from = clock_nsec(CLOCK_MONOTONIC);
		pid = fork();

		times[i] = clock_nsec(CLOCK_MONOTONIC) - from;
		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	qsort(times, N_FORKS, sizeof(times[0]), u64_compare);
	return (double)times[N_FORKS / 2] / 1000;
}

/*
 * What a fork costs a process of 256 MiB before and after one page of it was
 * read in each way. Figures, no verdict.
 */
static void measure(int said)
{
	char *p = mmap(NULL, FORK_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char text[256], page[PAGE_BYTES];
	double first, mem, pinned;
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	struct iovec to = { page, sizeof(page) }, from = { p, sizeof(page) };

	madvise(p, FORK_BYTES, MADV_NOHUGEPAGE);
	memset(p, 1, FORK_BYTES);
	fork_usec(p); /* warm up */
	first = fork_usec(p);
	if (pread(fd, page, sizeof(page), (off_t)(uintptr_t)p) < 0)
		_exit(1);
	mem = fork_usec(p);
	if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) < 0)
		_exit(1);
	pinned = fork_usec(p);
	snprintf(text, sizeof(text),
		 "fork of 256 MiB: %.0f us; after /proc/PID/mem x%.2f, "
		 "after process_vm_readv x%.2f",
		 first, mem / first, pinned / first);
	_exit(write(said, text, strlen(text)) < 0);
}

static void test_what_pinning_makes_of_fork(void **state)
{
	char text[256] = "";
	int said[2], status;
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		measure(said[1]);
	close(said[1]);
	n = read(said[0], text, sizeof(text) - 1);
	close(said[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(n > 0);
	print_message("# %s\n", text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forked_pages_stay_shared),
		cmocka_unit_test(test_merged_pages_stay_merged),
		cmocka_unit_test(test_absent_pages_stay_absent),
		cmocka_unit_test(test_unmapped_pages_are_left_out),
		cmocka_unit_test(test_what_pinning_makes_of_fork),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
