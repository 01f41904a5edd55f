/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is looked at before a page is moved, and the kernel's answers that one
 * node can give. Moves between nodes: tests/vm/numa.py.
 */
#include "migrate.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fakeframes.h"
#include "pagenode.h"
#include "process.h"

#include <ksmd-plus/types.h>

#define N     4
#define FIRST 16 /* frame of page 0, by the pagemap of the test */

static struct {
	unsigned char *memory;
	uint64_t base;
	struct process self;
	struct frames frames;
	int node;
} m;

static uint64_t entry(uint64_t pfn)
{
	return KAPI_PM_PRESENT | pfn;
}

/* Pages of our own; their frames and what is known of these are made up. */
static int setup(void **state)
{
	int nodes[1];

	(void)state;
	m.memory = mmap(NULL, N * PAGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(m.memory != MAP_FAILED);
	memset(m.memory, 1, N * PAGE_BYTES);
	m.base = (uint64_t)(uintptr_t)m.memory;
	m.self = PROCESS_NONE;
	m.self.id.pid = getpid();
	m.self.pagemap = fakeframes_words(m.base / PAGE_BYTES + N);
	m.frames = fakeframes_new(FIRST + N);
	for (uint64_t i = 0; i < N; i++) {
		fakeframes_put(m.self.pagemap, m.base / PAGE_BYTES + i,
			       entry(FIRST + i));
		fakeframes_set(&m.frames, FIRST + i, 2, FAKEFRAMES_MERGED);
	}
	assert_int_equal(pagenode_ask(&m.self, &m.base, 1, nodes), 0);
	m.node = nodes[0];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(m.memory, N * PAGE_BYTES);
	close(m.self.pagemap);
	frames_close(&m.frames);
	return 0;
}

static int migrate(int node, struct migrate_result *ret)
{
	struct migrate_page pages[N];

	for (uint64_t i = 0; i < N; i++)
		pages[i] = (struct migrate_page){
			.address = m.base + i * PAGE_BYTES,
			.pfn = FIRST + i,
			.mappings = 2,
			.node = node,
		};
	return migrate_pages(&m.self, &m.frames, pages, N, ret);
}

/* MPOL_MF_MOVE_ALL is for CAP_SYS_NICE alone. */
static bool may_move(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { 0 };

	return syscall(SYS_capget, &head, data) == 0 &&
	       (data[0].effective >> CAP_SYS_NICE & 1);
}

static void test_pages_that_changed_are_left_alone(void **state)
{
	struct migrate_result r;
	uint64_t page = m.base / PAGE_BYTES;

	(void)state;
	/* none of them is left: the kernel is not even asked */
	fakeframes_put(m.self.pagemap, page, entry(FIRST + N));
	fakeframes_put(m.self.pagemap, page + 1, KAPI_PM_SWAP | (FIRST + 1));
	fakeframes_set(&m.frames, FIRST + 2, 3, FAKEFRAMES_MERGED);
	fakeframes_set(&m.frames, FIRST + 3, 2, KAPI_KPF_ANON);
	assert_int_equal(migrate(m.node, &r), 0);
	assert_int_equal(r.changed, N);
	assert_int_equal(r.moved + r.busy + r.refused + r.no_memory, 0);
}

static void test_a_page_of_a_file_took_its_place(void **state)
{
	struct migrate_result r;

	(void)state;
	for (uint64_t i = 0; i < N; i++)
		fakeframes_put(m.self.pagemap, m.base / PAGE_BYTES + i,
			       entry(FIRST + i) | KAPI_PM_FILE);
	assert_int_equal(migrate(m.node, &r), 0);
	assert_int_equal(r.changed, N);
}

static void test_answers_of_the_kernel(void **state)
{
	struct migrate_result r = { .moved = 77 };

	(void)state;
	if (!may_move()) {
		assert_int_equal(migrate(m.node, &r), -EPERM);
		assert_int_equal(r.moved, 77); /* untouched on failure */
		return;
	}
	/* where they are already */
	assert_int_equal(migrate(m.node, &r), 0);
	assert_int_equal(r.moved, N);
	/* no such node; some kernels say EACCES for one without memory */
	assert_true(migrate(1000, &r) < 0);
	assert_int_equal(r.moved, N);
	/* a page that went between our look and the call */
	madvise(m.memory, PAGE_BYTES, MADV_DONTNEED);
	assert_int_equal(migrate(m.node, &r), 0);
	assert_int_equal(r.moved, N - 1);
	assert_int_equal(r.changed, 1);
	for (size_t i = PAGE_BYTES; i < N * PAGE_BYTES; i++)
		assert_int_equal(m.memory[i], 1);
}

static void test_a_process_that_is_gone(void **state)
{
	struct migrate_result r = { .moved = 77 };

	(void)state;
	assert_int_equal(ftruncate(m.self.pagemap, 0), 0);
	assert_int_equal(migrate(m.node, &r), MIGRATE_GONE);
	assert_int_equal(r.moved, 77);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pages_that_changed_are_left_alone),
		T(test_a_page_of_a_file_took_its_place),
		T(test_answers_of_the_kernel),
		T(test_a_process_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
