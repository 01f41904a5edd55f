/* SPDX-License-Identifier: GPL-2.0-or-later */
/* On a machine of two nodes that is made of files. */
#include "mappers.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fakeframes.h"
#include "faketree.h"
#include "files.h"
#include "watch.h"
#include "worker.h"

#define NODES	    "sys/devices/system/node"
#define BLOCK_PAGES 32768ULL
#define PAGES	    200ULL
#define BASE	    0x400000ULL /* of the one mapping of each process */
#define FRAMES	    (3 * BLOCK_PAGES)

static struct {
	struct root root;
	struct topology *topology;
	struct frames frames;
	struct mappers mappers;
	struct watched *watched[2];
	struct worker worker; /* its pagemap alone is used */
} m;

static void node_add(int node, const char *block)
{
	char path[128];

	snprintf(path, sizeof(path), NODES "/node%d/cpulist", node);
	faketree_file(path, "%d\n", node);
	snprintf(path, sizeof(path), NODES "/node%d/meminfo", node);
	faketree_file(path,
		      "Node %d MemTotal: 1000 kB\nNode %d MemFree: 900 kB\n",
		      node, node);
	snprintf(path, sizeof(path), NODES "/node%d/memory%s", node, block);
	faketree_link(path, "x");
}

static void stat_write(const char *dir, int cpu)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/stat", dir);
	faketree_file(path,
		      "7 (x) S 1 7 7 0 -1 4194304 1 0 0 0 1 1 0 0 20 0 "
		      "2 0 99 0 0 0 1 1 0 0 0 0 0 0 0 0 0 0 17 %d 0 0 0 0 0\n",
		      cpu);
}

/* A process whose only thread may run on CPU @cpu alone. */
static void pin(int pid, int cpu)
{
	char path[128];

	snprintf(path, sizeof(path), "proc/%d", pid);
	stat_write(path, cpu);
	snprintf(path, sizeof(path), "proc/%d/task/%d", pid, pid);
	stat_write(path, cpu);
	snprintf(path, sizeof(path), "proc/%d/task/%d/status", pid, pid);
	faketree_file(path, "Cpus_allowed_list:\t%d\nMems_allowed_list:\t0-1\n",
		      cpu);
}

static struct watched *process_new(int pid)
{
	struct watched *w = calloc(1, sizeof(*w));
	struct vma vma = { .start = BASE,
			   .end = BASE + PAGES * PAGE_BYTES,
			   .rss = PAGES * PAGE_BYTES,
			   .mergeable = true };
	char name[16];

	assert_non_null(w);
	snprintf(name, sizeof(name), "%d", pid);
	w->refs = 1;
	w->mode = MODE_SELECTIVE;
	w->process = PROCESS_NONE;
	w->process.id.pid = pid;
	w->process.dir = openat(m.root.proc, name, O_DIRECTORY | O_CLOEXEC);
	assert_true(w->process.dir >= 0);
	w->process.pagemap = fakeframes_words(BASE / PAGE_BYTES + PAGES);
	assert_int_equal(vec_push(&w->vmas, vma), 0);
	return w;
}

/* Page @i of a process is on frame @pfn. */
static void map(unsigned int process, uint64_t i, uint64_t pfn)
{
	fakeframes_put(m.watched[process]->process.pagemap,
		       BASE / PAGE_BYTES + i, KAPI_PM_PRESENT | pfn);
}

/* Pages from @first on are shared by both, on frames from @pfn on. */
static void merge(uint64_t first, uint64_t n, uint64_t pfn)
{
	for (uint64_t i = 0; i < n; i++) {
		map(0, first + i, pfn + i);
		map(1, first + i, pfn + i);
		fakeframes_set(&m.frames, pfn + i, 2, FAKEFRAMES_MERGED);
	}
}

/* Block 0 is node 0's, block 1 node 1's, block 2 of both. */
static int setup(void **state)
{
	(void)state;
	memset(&m, 0, sizeof(m));
	faketree_begin();
	faketree_file("sys/devices/system/memory/block_size_bytes",
		      "8000000\n");
	faketree_file(NODES "/has_memory", "0-1\n");
	node_add(0, "0");
	node_add(1, "1");
	faketree_link(NODES "/node0/memory2", "x");
	faketree_link(NODES "/node1/memory2", "x");
	pin(7, 0);
	pin(8, 1);
	assert_int_equal(root_open(faketree_top, &m.root), 0);
	assert_int_equal(topology_read(&m.root, &m.topology), 0);
	m.frames = fakeframes_new(FRAMES);
	m.watched[0] = process_new(7);
	m.watched[1] = process_new(8);
	m.mappers = (struct mappers){
		.root = &m.root,
		.frames = &m.frames,
		.topology = m.topology,
		.policy = PLACEMENT_FAIR,
		.now_usec = 1,
		.max_sharing = 256,
		.max_entries = 1000,
		.n_slices = 1,
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mappers_clear(&m.mappers);
	watched_unref(m.watched[0]);
	watched_unref(m.watched[1]);
	frames_close(&m.frames);
	topology_free(m.topology);
	root_close(&m.root);
	faketree_end();
	return 0;
}

static void run(void)
{
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(placed_add(&m.mappers, m.watched[i], NULL), 0);
	assert_int_equal(mappers_run(&m.mappers, &m.worker), 0);
}

static void test_half_of_them_move(void **state)
{
	(void)state;
	merge(0, 100, 1000);
	run();
	assert_int_equal(m.mappers.n_shared, 200);
	assert_int_equal(m.mappers.n_unknown, 0);
	assert_int_equal(m.mappers.on_node[0], 100);
	assert_int_equal(m.mappers.moves.n, 50);
	for (size_t i = 0; i < 50; i++) {
		const struct mappers_move *move = &m.mappers.moves.v[i];
		uint64_t page = (move->page.address - BASE) / PAGE_BYTES;

		/* through the one that lives there */
		assert_int_equal(move->process, 1);
		assert_int_equal(move->page.node, 1);
		assert_int_equal(move->page.mappings, 2);
		assert_int_equal(move->page.pfn, 1000 + page);
	}
	assert_int_equal(m.mappers.processes.v[0].home.nodes, 1);
	assert_int_equal(m.mappers.processes.v[1].home.nodes, 2);
	assert_int_equal(m.mappers.processes.v[1].share.pages, 100);
}

static void test_what_may_not_move_stays(void **state)
{
	(void)state;
	merge(0, 100, 1000);
	/* 10 have mappers that we do not know, 10 are no merged pages */
	for (uint64_t i = 0; i < 10; i++) {
		fakeframes_set(&m.frames, 1000 + i, 3, FAKEFRAMES_MERGED);
		fakeframes_set(&m.frames, 1010 + i, 2, KAPI_KPF_ANON);
	}
	run();
	assert_in_range(m.mappers.moves.n, 30, 45);
	for (size_t i = 0; i < m.mappers.moves.n; i++)
		assert_true(m.mappers.moves.v[i].page.pfn >= 1020);
}

static void test_too_many_sharers_or_only_observed(void **state)
{
	(void)state;
	merge(0, 100, 1000);
	m.mappers.max_sharing = 1;
	run();
	assert_int_equal(m.mappers.moves.n, 0);
	mappers_clear(&m.mappers);
	m.mappers.max_sharing = 256;
	m.watched[0]->mode = MODE_OBSERVE;
	run();
	assert_int_equal(m.mappers.moves.n, 0);
}

static void test_a_full_node_gets_nothing(void **state)
{
	(void)state;
	merge(0, 100, 1000);
	faketree_file(NODES "/node1/meminfo",
		      "Node 1 MemTotal: 1000 kB\nNode 1 MemFree: 20 kB\n");
	run();
	assert_int_equal(m.mappers.moves.n, 0);
	assert_int_equal(m.mappers.full, 2);
}

static void test_exclusive_and_zero_pages_are_nobodys(void **state)
{
	(void)state;
	m.mappers.zero_pfn = 5;
	for (uint64_t i = 0; i < 50; i++) {
		map(0, i, 5);
		map(1, i, 5);
		map(0, 50 + i, KAPI_PM_EXCLUSIVE | (2000 + i));
	}
	run();
	assert_int_equal(m.mappers.n_shared, 0);
	assert_int_equal(m.mappers.moves.n, 0);
}

static void test_beyond_the_bound_it_goes_in_slices(void **state)
{
	size_t n = 0;

	(void)state;
	merge(0, 100, 1000);
	m.mappers.max_entries = 60;
	run();
	assert_true(m.mappers.overflow);
	assert_int_equal(m.mappers.n_shared, 200);
	m.mappers.n_slices = 5;
	for (uint32_t slice = 0; slice < 5; slice++) {
		mappers_clear(&m.mappers);
		m.mappers.overflow = false;
		m.mappers.n_shared = m.mappers.on_node[0] = 0;
		m.mappers.slice = slice;
		run();
		assert_false(m.mappers.overflow);
		n += m.mappers.on_node[0];
	}
	assert_int_equal(n, 100);
}

static void test_a_process_that_is_gone(void **state)
{
	(void)state;
	merge(0, 100, 1000);
	assert_int_equal(ftruncate(m.watched[1]->process.pagemap, 0), 0);
	run();
	assert_true(m.mappers.processes.v[1].gone);
	assert_int_equal(m.mappers.moves.n, 0);
}

static void test_frames_outside_of_all_blocks(void **state)
{
	(void)state;
	merge(0, 1, 1000);
	map(0, 1, 9 * BLOCK_PAGES);
	run();
	assert_int_equal(m.mappers.n_unknown, 1);
}

/*
 * In a block of two nodes the kernel is asked. These processes are us, by
 * their pid, and what they map is not there for it: their pages stay.
 */
static void test_frames_of_a_shared_block_are_asked_for(void **state)
{
	unsigned char *memory;
	struct vma *vma;

	(void)state;
	memory = mmap(NULL, PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(memory != MAP_FAILED);
	memset(memory, 1, PAGES / 2 * PAGE_BYTES); /* of the rest, no answer */
	m.watched[0]->process.id.pid = getpid();
	vma = &m.watched[0]->vmas.v[0];
	vma->start = (uint64_t)(uintptr_t)memory;
	vma->end = vma->start + PAGES * PAGE_BYTES;
	for (uint64_t i = 0; i < PAGES; i++) {
		uint64_t pfn = 2 * BLOCK_PAGES + i;

		fakeframes_put(m.watched[0]->process.pagemap,
			       vma->start / PAGE_BYTES + i,
			       KAPI_PM_PRESENT | pfn);
		map(1, i, pfn);
		fakeframes_set(&m.frames, pfn, 2, FAKEFRAMES_MERGED);
	}
	run();
	assert_int_equal(m.mappers.n_unknown, 0);
	/* here, all memory is on the node of which there is one at least */
	assert_int_equal(m.mappers.on_node[0] + m.mappers.on_node[1],
			 PAGES / 2);
	if (m.mappers.on_node[0] == PAGES / 2)
		assert_int_equal(m.mappers.moves.n, PAGES / 4);
	munmap(memory, PAGES * PAGE_BYTES);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_half_of_them_move),
		T(test_what_may_not_move_stays),
		T(test_too_many_sharers_or_only_observed),
		T(test_a_full_node_gets_nothing),
		T(test_exclusive_and_zero_pages_are_nobodys),
		T(test_beyond_the_bound_it_goes_in_slices),
		T(test_a_process_that_is_gone),
		T(test_frames_outside_of_all_blocks),
		T(test_frames_of_a_shared_block_are_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
