/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hints - each hook tells of each way to read a file, and tells the truth
 *
 * What a hint says is held against memory: at its address there must be what
 * stands in the file at its offset, and all hints of a read together are the
 * whole pages that were filled, no more and no less. Pages of the file differ
 * from each other in every word.
 */
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "files.h"
#include "hints.h"
#include "reads.h"

#define FILE_PAGES 64U
#define NUMBER	   4711U
#define RING	   1024U
#define WORDS	   (PAGE_BYTES / sizeof(uint64_t))

static struct {
	struct root root;
	char path[64];
	struct stat st;
	unsigned char *memory; /* FILE_PAGES + 1, page-aligned */
} g;

/* What stands at @offset, a multiple of 8, in the file. */
static uint64_t word_at(uint64_t offset)
{
	return (offset / 8 + 1) * 0x9e3779b97f4a7c15ULL;
}

static void fill_file(int fd)
{
	uint64_t page[WORDS];

	for (uint64_t p = 0; p < FILE_PAGES; p++) {
		for (uint64_t i = 0; i < WORDS; i++)
			page[i] = word_at(p * PAGE_BYTES + i * 8);
		if (write(fd, page, sizeof(page)) != sizeof(page))
			err(2, "cannot write %s", g.path);
	}
}

static int setup(void **state)
{
	const char *folder = getenv("TMPDIR");
	int fd;

	(void)state;
	if (geteuid() != 0) {
		puts("1..0 # SKIP needs root");
		exit(77);
	}
	if (root_open("", &g.root))
		errx(2, "no /proc or /sys");
	snprintf(g.path, sizeof(g.path), "%s/ksmd-plus-hints.XXXXXX",
		 folder ? folder : "/var/tmp");
	fd = mkstemp(g.path);
	if (fd < 0)
		err(2, "cannot create %s", g.path);
	fill_file(fd);
	fsync(fd);
	fstat(fd, &g.st);
	close(fd);
	g.memory = mmap(NULL, (FILE_PAGES + 1) * PAGE_BYTES,
			PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	return g.memory == MAP_FAILED;
}

static int teardown(void **state)
{
	(void)state;
	unlink(g.path);
	root_close(&g.root);
	return 0;
}

/* The tracepoints are found by their numbers in tracefs, which is mounted
 * where it is not, for us alone. */
static void tracefs_mount(void)
{
	if (access("/sys/kernel/tracing/events", F_OK) == 0)
		return;
	if (unshare(CLONE_NEWNS) == 0 &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
}

static struct hints *hints_want(enum hints_want want, uint32_t n_slots)
{
	struct hints_state state;
	struct hints *hints = NULL;
	int r = hints_open(&g.root, want, n_slots, &state, &hints);

	if (r == HINTS_ABSENT) {
		print_message("%s\n", state.why);
		skip();
	}
	assert_int_equal(r, 0);
	assert_string_equal(state.why, "");
	assert_true(state.uring);
	assert_int_equal(hints_watch(hints, getpid(), NUMBER), 0);
	return hints;
}

/* Pages that hints tell of, one bit each from g.memory on. */
struct told {
	uint64_t pages;
	size_t n;
	uint64_t lost;
};

static uint64_t mask_of(uint64_t address, uint64_t bytes)
{
	uint64_t base = (uintptr_t)g.memory;
	uint64_t first = (address - base + PAGE_BYTES - 1) / PAGE_BYTES;
	uint64_t end = (address + bytes - base) / PAGE_BYTES;
	uint64_t mask = 0;

	for (uint64_t i = first; i < end; i++)
		mask |= 1ULL << i;
	return mask;
}

/* What it says must be what is there. */
static void hint_verify(const struct hint *h, struct told *told)
{
	const unsigned char *memory = (const void *)(uintptr_t)h->address;
	uint64_t base = (uintptr_t)g.memory;

	assert_int_equal(h->tgid, getpid());
	assert_int_equal(h->number, NUMBER);
	assert_int_equal(h->inode, g.st.st_ino);
	assert_int_equal(h->device,
			 major(g.st.st_dev) << 20 | minor(g.st.st_dev));
	assert_in_range(h->address, base, base + FILE_PAGES * PAGE_BYTES);
	assert_in_range(h->address + h->bytes, h->address + PAGE_BYTES,
			base + (FILE_PAGES + 1) * PAGE_BYTES);
	for (uint64_t at = 0; at + 8 <= h->bytes; at += 8) {
		uint64_t word;

		memcpy(&word, memory + at, sizeof(word));
		assert_int_equal(word, word_at(h->offset + at));
	}
	assert_int_equal(told->pages & mask_of(h->address, h->bytes), 0);
	told->pages |= mask_of(h->address, h->bytes);
	told->n++;
}

static struct told told_by(struct hints *hints)
{
	struct told told = { 0 };
	struct hint list[64];
	size_t n;

	while ((n = hints_take(hints, list, ARRAY_SIZE(list), &told.lost)))
		for (size_t i = 0; i < n; i++)
			hint_verify(&list[i], &told);
	return told;
}

static void memory_clear(void)
{
	memset(g.memory, 0, (FILE_PAGES + 1) * PAGE_BYTES);
}

/* Four pieces, whose places in memory are not in the order of the file. */
static int pieces_make(struct iovec v[4])
{
	static const unsigned int pages[4][2] = {
		{ 9, 4 }, { 2, 1 }, { 30, 16 }, { 20, 3 }
	};

	for (int i = 0; i < 4; i++) {
		v[i].iov_base = g.memory + pages[i][0] * PAGE_BYTES;
		v[i].iov_len = pages[i][1] * PAGE_BYTES;
	}
	return 4;
}

static void method_test(struct hints *hints, size_t method, int flags)
{
	int fd = open(g.path, O_RDONLY | O_CLOEXEC | flags);
	uint64_t expected = 0;
	struct iovec v[4];
	struct told told;
	int n = pieces_make(v), r;

	if (fd < 0 && errno == EINVAL)
		return; /* a file system without O_DIRECT */
	assert_true(fd >= 0);
	memory_clear();
	r = reads_all[method].read(fd, v, n, 5 * PAGE_BYTES);
	close(fd);
	if (r == -ENOSYS || r == -EPERM || r == -EOPNOTSUPP) {
		print_message("no %s here: %s\n", reads_all[method].name,
			      strerror(-r));
		return;
	}
	assert_int_equal(r, 0);
	for (int i = 0; i < n; i++)
		expected |= mask_of((uintptr_t)v[i].iov_base, v[i].iov_len);
	told = told_by(hints);
	if (told.pages != expected)
		print_message("%s%s: told of %#lx, not %#lx\n",
			      reads_all[method].name, flags ? ", direct" : "",
			      told.pages, expected);
	assert_int_equal(told.pages, expected);
	assert_int_equal(told.n, n);
}

static void test_ways(enum hints_want want)
{
	struct hints *hints = hints_want(want, RING);

	for (size_t i = 0; i < ARRAY_SIZE(reads_all); i++) {
		method_test(hints, i, 0);
		method_test(hints, i, O_DIRECT);
	}
	hints_close(hints);
}

static int open_file(void)
{
	int fd = open(g.path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Less than a page, pages in the middle of a buffer that is not aligned, and
 * the end of the file. */
static void test_edges(enum hints_want want)
{
	struct hints *hints = hints_want(want, RING);
	int fd = open_file();
	struct iovec v = { g.memory, 2 * PAGE_BYTES };

	memory_clear();
	assert_int_equal(pread(fd, g.memory, 4000, 0), 4000);
	assert_int_equal(pread(fd, g.memory + 8, 8184, 0), 8184);
	assert_int_equal(told_by(hints).pages, 2);
	assert_int_equal(pread(fd, g.memory + 8, 4096, 0), 4096);
	assert_int_equal(told_by(hints).n, 0);
	assert_int_equal(pread(fd, g.memory, 4 * PAGE_BYTES,
			       (FILE_PAGES - 2) * PAGE_BYTES),
			 2 * PAGE_BYTES);
	assert_int_equal(told_by(hints).pages, 3);
	assert_int_equal(reads_aio(fd, &v, 1, (FILE_PAGES - 1) * PAGE_BYTES),
			 0);
	assert_int_equal(told_by(hints).pages, 1);
	close(fd);
	hints_close(hints);
}

/* Pipes have nothing that others would read, too. */
static void test_files_alone(enum hints_want want)
{
	struct hints *hints = hints_want(want, RING);
	int p[2];

	assert_int_equal(pipe(p), 0);
	memory_clear();
	assert_int_equal(write(p[1], g.memory, PAGE_BYTES), PAGE_BYTES);
	assert_int_equal(read(p[0], g.memory + PAGE_BYTES, PAGE_BYTES),
			 PAGE_BYTES);
	assert_int_equal(told_by(hints).n, 0);
	close(p[0]);
	close(p[1]);
	hints_close(hints);
}

static void child_reads(int fd)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(pread(fd, g.memory, 4 * PAGE_BYTES, 0) < 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_watched_alone(enum hints_want want)
{
	struct hints *hints = hints_want(want, RING);
	int fd = open_file();

	child_reads(fd);
	assert_int_equal(told_by(hints).n, 0);
	hints_unwatch(hints, getpid());
	assert_int_equal(pread(fd, g.memory, 4 * PAGE_BYTES, 0),
			 4 * PAGE_BYTES);
	assert_int_equal(told_by(hints).n, 0);
	assert_int_equal(hints_watch(hints, getpid(), NUMBER), 0);
	assert_int_equal(pread(fd, g.memory, 4 * PAGE_BYTES, 0),
			 4 * PAGE_BYTES);
	assert_int_equal(told_by(hints).n, 1);
	close(fd);
	hints_close(hints);
}

/* The newest are there, and the others are counted. */
static void test_overwriting(enum hints_want want)
{
	struct hints *hints = hints_want(want, 8);
	int fd = open_file();
	struct told told;

	memory_clear();
	for (unsigned int i = 0; i < FILE_PAGES; i++)
		assert_int_equal(pread(fd, g.memory + i * PAGE_BYTES,
				       PAGE_BYTES, i * (off_t)PAGE_BYTES),
				 PAGE_BYTES);
	told = told_by(hints);
	assert_int_equal(told.pages, 0xffULL << (FILE_PAGES - 8));
	assert_int_equal(told.lost, FILE_PAGES - 8);
	close(fd);
	hints_close(hints);
}

/* Neighbours in the table, and what is left of one that has gone. */
static void test_table(enum hints_want want)
{
	struct hints *hints = hints_want(want, 8);
	int fd = open_file();
	pid_t me = getpid();

	hints_unwatch(hints, me);
	for (pid_t i = 0; i < (pid_t)HINT_PROBES - 1; i++)
		assert_int_equal(hints_watch(hints,
					     me + (i + 1) * (pid_t)HINT_SLOTS,
					     (uint32_t)i),
				 0);
	assert_int_equal(hints_watch(hints, me, NUMBER), 0);
	assert_int_equal(hints_watch(hints, me + 9 * (pid_t)HINT_SLOTS, 0),
			 HINTS_FULL);
	hints_unwatch(hints, me + 3 * (pid_t)HINT_SLOTS);
	assert_int_equal(pread(fd, g.memory, PAGE_BYTES, 0), PAGE_BYTES);
	assert_int_equal(told_by(hints).n, 1);
	assert_int_equal(hints_watch(hints, me + 9 * (pid_t)HINT_SLOTS, 0), 0);
	close(fd);
	hints_close(hints);
}

/* Nothing is told while a hook rests, and all afterwards, again and again; a
 * hook that costs others nothing never rests. */
static void test_resting(enum hints_want want)
{
	struct hints *hints = hints_want(want, RING);
	bool rests = want != HINTS_FENTRY;
	int fd = open_file();

	for (int i = 0; i < 3; i++) {
		assert_int_equal(hints_rest(hints, true), 0);
		assert_int_equal(hints_rest(hints, true), 0);
		assert_int_equal(pread(fd, g.memory, PAGE_BYTES, 0),
				 PAGE_BYTES);
		assert_int_equal(told_by(hints).n, !rests);
		assert_int_equal(hints_rest(hints, false), 0);
		assert_int_equal(hints_rest(hints, false), 0);
		assert_int_equal(pread(fd, g.memory, PAGE_BYTES, 0),
				 PAGE_BYTES);
		assert_int_equal(told_by(hints).n, 1);
	}
	close(fd);
	hints_rest(hints, true);
	hints_close(hints);
}

static void test_off(void **state)
{
	struct hints_state why;
	struct hints *hints;

	(void)state;
	assert_int_equal(hints_open(&g.root, HINTS_OFF, RING, &why, &hints),
			 HINTS_ABSENT);
	assert_int_equal(why.hook, HOOK_NONE);
	assert_string_not_equal(why.why, "");
}

/* Every test for every hook. */
#define TESTS_OF(hook, want)                                                   \
	static void test_##hook##_ways(void **state)                           \
	{                                                                      \
		(void)state;                                                   \
		test_ways(want);                                               \
	}                                                                      \
	static void test_##hook##_edges(void **state)                          \
	{                                                                      \
		(void)state;                                                   \
		test_edges(want);                                              \
	}                                                                      \
	static void test_##hook##_files_alone(void **state)                    \
	{                                                                      \
		(void)state;                                                   \
		test_files_alone(want);                                        \
	}                                                                      \
	static void test_##hook##_watched_alone(void **state)                  \
	{                                                                      \
		(void)state;                                                   \
		test_watched_alone(want);                                      \
	}                                                                      \
	static void test_##hook##_overwriting(void **state)                    \
	{                                                                      \
		(void)state;                                                   \
		test_overwriting(want);                                        \
	}                                                                      \
	static void test_##hook##_table(void **state)                          \
	{                                                                      \
		(void)state;                                                   \
		test_table(want);                                              \
	}                                                                      \
	static void test_##hook##_resting(void **state)                        \
	{                                                                      \
		(void)state;                                                   \
		test_resting(want);                                            \
	}

TESTS_OF(fentry, HINTS_FENTRY)
TESTS_OF(tracepoint, HINTS_TRACEPOINT_NAMED)
TESTS_OF(sys_exit, HINTS_TRACEPOINT_ANY)

#define LIST_OF(hook)                                                          \
	cmocka_unit_test(test_##hook##_ways),                                  \
		cmocka_unit_test(test_##hook##_edges),                         \
		cmocka_unit_test(test_##hook##_files_alone),                   \
		cmocka_unit_test(test_##hook##_watched_alone),                 \
		cmocka_unit_test(test_##hook##_overwriting),                   \
		cmocka_unit_test(test_##hook##_table),                         \
		cmocka_unit_test(test_##hook##_resting)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIST_OF(fentry),
		LIST_OF(tracepoint),
		LIST_OF(sys_exit),
		cmocka_unit_test(test_off),
	};

	tracefs_mount();
	return cmocka_run_group_tests(tests, setup, teardown);
}
