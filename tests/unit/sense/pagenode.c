/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pagenode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fakeframes.h"
#include "process.h"

#include <ksmd-plus/types.h>

static void test_pages_of_our_own(void **state)
{
	unsigned char *memory = mmap(NULL, 3 * PAGE_BYTES,
				     PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct process self = PROCESS_NONE;
	uint64_t at[3];
	int nodes[3];

	(void)state;
	assert_true(memory != MAP_FAILED);
	memory[0] = memory[2 * PAGE_BYTES] = 1;
	for (unsigned int i = 0; i < 3; i++)
		at[i] = (uint64_t)(uintptr_t)memory + i * PAGE_BYTES;
	self.id.pid = getpid();
	self.pagemap = fakeframes_words(1);
	assert_int_equal(pagenode_ask(&self, at, 3, nodes), 0);
	assert_in_range(nodes[0], 0, 1023);
	assert_true(nodes[1] < 0); /* never written */
	assert_in_range(nodes[2], 0, 1023);
	assert_int_equal(pagenode_ask(&self, at, 0, nodes), 0);
	close(self.pagemap);
	munmap(memory, 3 * PAGE_BYTES);
}

static void test_a_process_that_is_gone(void **state)
{
	struct process gone = PROCESS_NONE;
	uint64_t at = PAGE_BYTES;
	int node;

	(void)state;
	gone.id.pid = fork();
	assert_true(gone.id.pid >= 0);
	if (gone.id.pid == 0)
		_exit(0);
	assert_int_equal(waitpid(gone.id.pid, NULL, 0), gone.id.pid);
	gone.pagemap = fakeframes_words(1);
	assert_int_equal(pagenode_ask(&gone, &at, 1, &node), PAGENODE_GONE);
	/* its pid is another's now: that answer is not its own */
	gone.id.pid = getpid();
	assert_int_equal(ftruncate(gone.pagemap, 0), 0);
	assert_int_equal(pagenode_ask(&gone, &at, 1, &node), PAGENODE_GONE);
	close(gone.pagemap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_of_our_own),
		cmocka_unit_test(test_a_process_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
