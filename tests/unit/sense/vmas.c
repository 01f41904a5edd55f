/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "faketree.h"

/* A mapping as smaps has it; %s: header's rest, VmFlags. */
#define ENTRY                                                                  \
	"7f0000000000-7f0000200000 %s\n"                                       \
	"Size:               2048 kB\n"                                        \
	"KernelPageSize:        4 kB\n"                                        \
	"Rss:                1024 kB\n"                                        \
	"Pss:                1024 kB\n"                                        \
	"Anonymous:          1024 kB\n"                                        \
	"KSM:                   0 kB\n"                                        \
	"AnonHugePages:       512 kB\n"                                        \
	"ShmemPmdMapped:        0 kB\n"                                        \
	"THPeligible:           1\n"                                           \
	"ProtectionKey:         0\n"                                           \
	"VmFlags: %s\n"

#define USUAL "rw-p 00000000 00:00 0 "

static struct vmas vmas;
static size_t n_all;

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vec_free(&vmas);
	n_all = 0;
	faketree_end();
	return 0;
}

/* The directory of a process whose smaps is @text. */
static int process_with(const char *text)
{
	int dir = open(faketree_top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	faketree_file("smaps", "%s", text);
	return dir;
}

static size_t parse(const char *text)
{
	_cleanup_close_ int dir = process_with(text);

	vec_free(&vmas);
	assert_int_equal(vmas_read(dir, &vmas, &n_all), 0);
	return vmas.n;
}

static size_t parse_entry(const char *header, const char *flags)
{
	char text[1024];

	snprintf(text, sizeof(text), ENTRY, header, flags);
	return parse(text);
}

static void test_a_private_mapping_is_taken_in(void **state)
{
	(void)state;
	assert_int_equal(parse_entry(USUAL, "rd wr mr mw me ac sd mg"), 1);
	assert_int_equal(n_all, 1);
	assert_int_equal(vmas.v[0].start, 0x7f0000000000);
	assert_int_equal(vmas.v[0].end, 0x7f0000200000);
	assert_int_equal(vmas.v[0].rss, 1024 << 10);
	assert_int_equal(vmas.v[0].huge, 512 << 10);
	assert_true(vmas.v[0].mergeable);
	assert_true(vmas.v[0].thp_eligible);
	assert_int_equal(parse_entry(USUAL, "rd wr mr mw me ac nh"), 1);
	assert_false(vmas.v[0].mergeable);
	assert_false(vmas.v[0].thp_eligible);
}

static void test_each_flag_that_keeps_us_away(void **state)
{
	static const char away[][3] = { "sh", "ms", "pf", "io", "de", "ht",
					"mm", "dp", "lo", "dd", "wf", "gd",
					"ss", "um", "uw", "ui" };
	static const char harmless[][3] = { "rd", "wr", "ex", "mr", "mw",
					    "me", "ac", "nr", "hg", "nh",
					    "sd", "mg", "sr", "rr", "dc",
					    "bt", "mt", "sl", "??" };
	char flags[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(away); i++) {
		snprintf(flags, sizeof(flags), "rd wr %s mg", away[i]);
		assert_int_equal(parse_entry(USUAL, flags), 0);
		assert_int_equal(n_all, 1);
		/* first, last and alone as well */
		assert_int_equal(parse_entry(USUAL, away[i]), 0);
		snprintf(flags, sizeof(flags), "%s rd ", away[i]);
		assert_int_equal(parse_entry(USUAL, flags), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		assert_int_equal(parse_entry(USUAL, harmless[i]), 1);
	/* only whole words count */
	assert_int_equal(parse_entry(USUAL, "rd xlo lox ddd"), 1);
}

static void test_which_headers_are_left_alone(void **state)
{
	static const struct {
		const char *header;
		size_t n;
	} cases[] = {
		{ "rw-p 00000000 00:00 0", 1 },
		{ "---p 00000000 00:00 0", 1 },
		{ "rw-p 00001000 fe:01 1234     /usr/lib/x.so", 1 },
		{ "rw-p 00000000 00:00 0        [heap]", 1 },
		{ "rw-p 00000000 00:00 0        [anon:name]", 1 },
		{ "rw-s 00000000 00:01 99       /dev/shm/x (deleted)", 0 },
		{ "rw-p 00000000 00:00 0        [stack]", 0 },
		{ "rw-p 00000000 00:00 0        [stack:42]", 0 },
		{ "r-xp 00000000 00:00 0        [vdso]", 0 },
		{ "r--p 00000000 00:00 0        [vvar]", 0 },
		{ "r--p 00000000 00:00 0        [vvar_vclock]", 0 },
		{ "--xp 00000000 00:00 0        [vsyscall]", 0 },
		/* names that look like something else */
		{ "rw-p 00000000 fe:01 7   /tmp/VmFlags: lo", 1 },
		{ "rw-p 00000000 fe:01 7   /tmp/a\\012Rss: 0 kB", 1 },
		{ "rw-p 00000000 fe:01 7   /tmp/rw-s 0-1 [stack", 0 },
		{ "rw-p 00000000 fe:01 7   /tmp/\xff\xfe%s%n", 1 },
		{ "rw-p", 1 },
		{ "rw-", 0 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[1024];

		snprintf(text, sizeof(text), ENTRY, cases[i].header, "rd wr");
		if (parse(text) != cases[i].n)
			printf("# \"%s\"\n", cases[i].header);
		assert_int_equal(vmas.n, cases[i].n);
	}
}

static void test_addresses_of_all_sizes(void **state)
{
	static const struct {
		const char *range;
		uint64_t start, end; /* 0, 0: not a mapping to be read */
	} cases[] = {
		{ "00010000-00011000", 0x10000, 0x11000 },
		{ "7ffffffff000-800000000000", 0x7ffffffff000, 0x800000000000 },
		/* five-level page tables, and arm64's 52 bits */
		{ "fffffffffff000-100000000000000", 0xfffffffffff000,
		  0x100000000000000 },
		{ "fffffffffffff000-ffffffffffffffff", 0, 0 },
		{ "1000-1000", 0, 0 },
		{ "2000-1000", 0, 0 },
		{ "1001-3000", 0, 0 },
		{ "1000-3001", 0, 0 },
		{ "x-y", 0, 0 },
		{ "1000", 0, 0 },
		{ "1000 2000", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[256];

		snprintf(text, sizeof(text),
			 "%s rw-p 00000000 00:00 0\nRss: 4 kB\nVmFlags: rd\n",
			 cases[i].range);
		assert_int_equal(parse(text), cases[i].end != 0);
		if (cases[i].end) {
			assert_int_equal(vmas.v[0].start, cases[i].start);
			assert_int_equal(vmas.v[0].end, cases[i].end);
		}
	}
}

/* Without its flags a mapping may be anything: it is left alone. */
static void test_cut_off_anywhere_nothing_is_guessed(void **state)
{
	char text[2048], part[2048];
	size_t first, len, flags;

	(void)state;
	first = (size_t)snprintf(text, sizeof(text), ENTRY, USUAL, "rd wr mg");
	len = first + (size_t)snprintf(text + first, sizeof(text) - first,
				       ENTRY, USUAL, "rd lo");
	flags = (size_t)(strstr(text + first, "VmFlags:") - text);
	for (size_t cut = 0; cut <= len; cut++) {
		memcpy(part, text, cut);
		part[cut] = '\0';
		parse(part);
		/* the kernel hands out whole lines: a line of flags that is
		 * cut off says what it can */
		if (cut < flags + strlen("VmFlags:"))
			assert_true(vmas.n <= 1);
	}
	assert_int_equal(parse(text), 1);
	assert_int_equal(n_all, 2);
}

static void test_nothing_present_is_not_worth_a_look(void **state)
{
	(void)state;
	assert_int_equal(parse("1000-3000 rw-p 0 0:0 0\n"
			       "Rss: 0 kB\nVmFlags: rd\n"
			       "4000-5000 rw-p 0 0:0 0\nVmFlags: rd\n"),
			 0);
	assert_int_equal(n_all, 2);
	assert_int_equal(parse(""), 0);
	assert_int_equal(n_all, 0);
	assert_int_equal(parse("\n\n\n"), 0);
	assert_int_equal(parse("Rss: 4 kB\nVmFlags: rd\n"), 0);
}

/* What one mapping says is not remembered for the next. */
static void test_mappings_do_not_mix(void **state)
{
	(void)state;
	assert_int_equal(
		parse("1000-3000 rw-p 0 0:0 0\n"
		      "Rss: 8 kB\nAnonHugePages: 4 kB\nTHPeligible: 1\n"
		      "VmFlags: rd mg\n"
		      "4000-5000 rw-p 0 0:0 0\nRss: 4 kB\nVmFlags: rd\n"
		      "garbage\nRss: 4 kB\nVmFlags: rd\n"
		      "6000-7000 rw-p 0 0:0 0\nRss: 4 kB\n"
		      "8000-9000 rw-s 0 0:0 0\nRss: 4 kB\nVmFlags: rd\n"
		      "a000-b000 rw-p 0 0:0 0\nRss: 4 kB\nVmFlags: rd\n"),
		3);
	assert_int_equal(n_all, 5);
	assert_int_equal(vmas.v[1].start, 0x4000);
	assert_false(vmas.v[1].mergeable);
	assert_false(vmas.v[1].thp_eligible);
	assert_int_equal(vmas.v[1].huge, 0);
	assert_int_equal(vmas.v[2].start, 0xa000);
}

static const struct vma *vma_at(const void *p)
{
	for (size_t i = 0; i < vmas.n; i++)
		if (vmas.v[i].start <= (uintptr_t)p &&
		    (uintptr_t)p < vmas.v[i].end)
			return &vmas.v[i];
	return NULL;
}

/* The kernel's own text: what this very process has. */
static void test_of_a_real_process(void **state)
{
	const size_t size = 4 * PAGE_BYTES;
	const int prot = PROT_READ | PROT_WRITE;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *plain = mmap(NULL, size, prot, flags, -1, 0);
	char *secret = mmap(NULL, size, prot, flags, -1, 0);
	char *empty = mmap(NULL, size, PROT_READ, flags, -1, 0);
	_cleanup_close_ int dir = open("/proc/self", O_RDONLY | O_DIRECTORY);
	_cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], *stack = NULL;

	(void)state;
	while (!stack && fgets(line, sizeof(line), maps))
		if (strstr(line, "[stack]"))
			stack = (char *)strtoul(line, NULL, 16);
	assert_non_null(stack);
	memset(plain, 1, size);
	memset(secret, 1, size);
	assert_int_equal(madvise(secret, size, MADV_DONTDUMP), 0);
	assert_int_equal(vmas_read(dir, &vmas, &n_all), 0);
	assert_non_null(vma_at(plain));
	assert_true(vma_at(plain)->rss >= size);
	assert_null(vma_at(secret));
	assert_null(vma_at(empty));
	assert_null(vma_at(stack));
	assert_true(n_all > vmas.n);
	for (size_t i = 1; i < vmas.n; i++)
		assert_true(vmas.v[i - 1].end <= vmas.v[i].start);
	munmap(plain, size);
	munmap(secret, size);
	munmap(empty, size);
}

/* Entry upon entry, with names of all lengths, so that any place of an entry
 * is the end of a block. */
static void test_a_long_file_is_read_in_blocks(void **state)
{
	static const char flags[] = "VmFlags: rd wr mr mw me ac\n";
	_cleanup_close_ int fd = memfd_create("smaps", MFD_CLOEXEC);
	_cleanup_fclose_ FILE *f = fdopen(dup(fd), "w");
	size_t n = 0;

	(void)state;
	assert_non_null(f);
	for (unsigned int i = 0; i < 2000; i++) {
		fprintf(f, "%x000-%x000 rw-p 00000000 00:00 0 ", 2 * i + 16,
			2 * i + 17);
		for (unsigned int k = 0; k < i * 7 % 4096; k++)
			fputc('n', f);
		fprintf(f, "\nRss: %u kB\n%s", i % 3 * 4, flags);
	}
	/* longer than a block, and the last line without an end */
	fprintf(f, "7000000-7001000 rw-p 00000000 00:00 0 ");
	for (unsigned int k = 0; k < 200000; k++)
		fputc('N', f);
	fprintf(f, "\nRss: 4 kB\nVmFlags: rd wr");
	fflush(f);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(vmas_read_open(fd, &vmas, &n_all), 0);
	assert_int_equal(n_all, 2001);
	for (unsigned int i = 0; i < 2000; i++) {
		if (i % 3 == 0)
			continue;
		assert_int_equal(vmas.v[n].start, (2 * i + 16) * PAGE_BYTES);
		assert_int_equal(vmas.v[n].end, (2 * i + 17) * PAGE_BYTES);
		assert_int_equal(vmas.v[n++].rss, i % 3 * 4096);
	}
	assert_int_equal(vmas.n, n + 1);
	assert_int_equal(vmas.v[n].start, 0x7000000);
	assert_int_equal(vmas.v[n].rss, 4096);
	/* at its end there is none, as where there is no mm */
	assert_int_equal(vmas_read_open(fd, &vmas, &n_all), VMAS_GONE);
}

static void test_a_process_that_is_gone(void **state)
{
	_cleanup_close_ int dir = -1;
	char path[32];
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	assert_true(dir >= 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(vmas_read(dir, &vmas, &n_all), VMAS_GONE);
}

/* start, end, rss, huge, mergeable, thp_eligible; in bytes, if few. */
static const struct {
	struct vma before[3];
	struct range marks[3];
	struct vma after[6];
} mark_cases[] = {
	/* nothing marked */
	{ { { 0, 8, 8, 0, false, false } },
	  { { 0 } },
	  { { 0, 8, 8, 0, false, false } } },
	/* in the middle, at the ends, the whole */
	{ { { 0, 8, 6, 0, false, true } },
	  { { 2, 4 } },
	  { { 0, 2, 2, 0, false, true },
	    { 2, 4, 2, 0, true, true },
	    { 4, 8, 4, 0, false, true } } },
	{ { { 0, 8, 8, 0, false, false } },
	  { { 7, 8 }, { 0, 1 } },
	  { { 0, 1, 1, 0, true, false },
	    { 1, 7, 6, 0, false, false },
	    { 7, 8, 1, 0, true, false } } },
	{ { { 4, 8, 4, 2, false, false } },
	  { { 0, 16 } },
	  { { 4, 8, 4, 2, true, false } } },
	/* over two mappings and the hole between them */
	{ { { 0, 4, 4, 0, false, false }, { 6, 9, 3, 0, false, false } },
	  { { 2, 8 } },
	  { { 0, 2, 2, 0, false, false },
	    { 2, 4, 2, 0, true, false },
	    { 6, 8, 2, 0, true, false },
	    { 8, 9, 1, 0, false, false } } },
	/* beside what is mergeable already: one mapping */
	{ { { 0, 4, 4, 0, true, false }, { 4, 8, 4, 0, false, false } },
	  { { 4, 6 } },
	  { { 0, 6, 6, 0, true, false }, { 6, 8, 2, 0, false, false } } },
	/* outside of all */
	{ { { 4, 8, 4, 0, false, false } },
	  { { 0, 4 }, { 8, 9 } },
	  { { 4, 8, 4, 0, false, false } } },
};

static void test_marks_split_and_join(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mark_cases) / sizeof(mark_cases[0]);
	     i++) {
		struct vmas v = { 0 };
		size_t n = 0;

		for (size_t k = 0; k < 3 && mark_cases[i].before[k].end; k++)
			assert_int_equal(vec_push(&v, mark_cases[i].before[k]),
					 0);
		while (n < 3 && mark_cases[i].marks[n].end)
			n++;
		assert_int_equal(vmas_mark(&v, mark_cases[i].marks, n), 0);
		for (n = 0; n < 6 && mark_cases[i].after[n].end; n++) {
			const struct vma *a = &mark_cases[i].after[n];

			assert_true(n < v.n);
			assert_int_equal(v.v[n].start, a->start);
			assert_int_equal(v.v[n].end, a->end);
			assert_int_equal(v.v[n].rss, a->rss);
			assert_int_equal(v.v[n].huge, a->huge);
			assert_int_equal(v.v[n].mergeable, a->mergeable);
			assert_int_equal(v.v[n].thp_eligible, a->thp_eligible);
		}
		assert_int_equal(v.n, n);
		vec_free(&v);
	}
}

/* Of a mapping with @flags, its whole and its only class. */
static void assert_class(const char *header, const char *flags,
			 enum reason reason)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int dir = -1;
	struct vma_classes classes;
	uint64_t mappings = 0;

	assert_true(asprintf(&text, ENTRY, header, flags) > 0);
	dir = process_with(text);
	assert_int_equal(vmas_classify(dir, &classes), 0);
	for (unsigned int i = 0; i < REASON_MAX_; i++)
		mappings += classes.by[i].mappings;
	assert_int_equal(mappings, 1);
	assert_int_equal(classes.by[reason].mappings, 1);
	assert_int_equal(classes.by[reason].bytes, 2 << 20);
	assert_int_equal(classes.by[reason].resident, 1 << 20);
}

static void classes_by_flag(void **state)
{
	(void)state;
	assert_class(USUAL, "rd wr mr mw me ac", REASON_CANDIDATE);
	assert_class(USUAL, "rd wr mr mw me ac mg", REASON_REGISTERED);
	assert_class("rw-s 00000000 00:01 7 /memfd:x", "rd wr sh mr ms",
		     REASON_SHARED);
	assert_class("rw-s 00000000 00:01 7 /hugepages/x", "rd sh ms ht",
		     REASON_HUGETLB);
	assert_class("rw-s 00000000 00:01 7 /dev/x", "rd sh ms pf io de dd",
		     REASON_DEVICE);
	assert_class(USUAL, "rd wr lo mg", REASON_LOCKED);
	assert_class(USUAL, "rd wr dp wf dd", REASON_DROPPABLE);
	assert_class(USUAL, "rd wr wf dd", REASON_WIPE_ON_FORK);
	assert_class(USUAL, "rd wr dd", REASON_DO_NOT_DUMP);
	assert_class(USUAL, "rd wr gd", REASON_STACK);
	assert_class(USUAL, "rd wr ss", REASON_SHADOW_STACK);
	assert_class(USUAL, "rd wr um", REASON_USERFAULTFD);
	assert_class("rw-p 00000000 00:00 0 [stack]", "rd wr gd", REASON_STACK);
	assert_class("r-xp 00000000 00:00 0 [vdso]", "rd ex de",
		     REASON_SPECIAL);
	assert_class("rw-s 00000000 00:01 7 /x", "rd wr", REASON_SHARED);
}

static void classes_by_part(void **state)
{
	static const char text[] =
		"10000-20000 rw-p 00000000 08:01 5 /bin/x\n"
		"Rss:                  40 kB\n"
		"Anonymous:            12 kB\n"
		"Swap:                  8 kB\n"
		"VmFlags: rd wr mr mw me ac\n"
		"30000-40000 rw-p 00000000 00:00 0 \n"
		"Rss:                   0 kB\n"
		"VmFlags: rd wr mr mw me ac\n"
		"200000-600000 rw-p 00000000 00:10 9 /anon_hugepage\n"
		"Rss:                   0 kB\n"
		"Shared_Hugetlb:        0 kB\n"
		"Private_Hugetlb:    2048 kB\n"
		"VmFlags: rd wr mr mw me de ht\n";
	_cleanup_close_ int dir = process_with(text);
	struct vma_classes c;

	(void)state;
	assert_int_equal(vmas_classify(dir, &c), 0);
	assert_int_equal(c.by[REASON_FILE].resident, 28 << 10);
	assert_int_equal(c.by[REASON_CANDIDATE].resident, 12 << 10);
	assert_int_equal(c.by[REASON_SWAPPED].resident, 8 << 10);
	assert_int_equal(c.by[REASON_EMPTY].mappings, 1);
	assert_int_equal(c.by[REASON_HUGETLB].resident, 2 << 20);
}

/* Without a name, readable and writable: its flag alone tells it apart. */
static void test_a_shadow_stack(void **state)
{
	static const char text[] =
		"7f0000000000-7f0000800000 rw-p 00000000 00:00 0 \n"
		"Size:               8192 kB\n"
		"KernelPageSize:        4 kB\n"
		"MMUPageSize:           4 kB\n"
		"Rss:                   8 kB\n"
		"Private_Dirty:         8 kB\n"
		"Anonymous:             8 kB\n"
		"THPeligible:           0\n"
		"VmFlags: rd wr mr mw me ac sd ss \n";
	_cleanup_close_ int dir = process_with(text);
	struct vma_classes c;

	(void)state;
	assert_int_equal(parse(text), 0);
	assert_int_equal(vmas_classify(dir, &c), 0);
	assert_int_equal(c.by[REASON_SHADOW_STACK].resident, 8 << 10);
	assert_int_equal(c.by[REASON_CANDIDATE].mappings, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(classes_by_flag),
		TEST(classes_by_part),
		TEST(test_a_shadow_stack),
		TEST(test_a_private_mapping_is_taken_in),
		TEST(test_each_flag_that_keeps_us_away),
		TEST(test_which_headers_are_left_alone),
		TEST(test_addresses_of_all_sizes),
		TEST(test_cut_off_anywhere_nothing_is_guessed),
		TEST(test_nothing_present_is_not_worth_a_look),
		TEST(test_mappings_do_not_mix),
		TEST(test_of_a_real_process),
		TEST(test_a_long_file_is_read_in_blocks),
		TEST(test_a_process_that_is_gone),
		TEST(test_marks_split_and_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
