/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pagenode.h"

#include <assert.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process.h"

/* Where the kernel has said nothing. */
#define NO_ANSWER (-EAGAIN)

int pagenode_ask(const struct process *process, const uint64_t *addresses,
		 size_t n, int *ret_nodes)
{
	void *pages[PAGENODE_MAX];
	int error = 0;

	assert(n <= PAGENODE_MAX);
	for (size_t i = 0; i < n; i++) {
		pages[i] = (void *)(uintptr_t)addresses[i];
		ret_nodes[i] = NO_ANSWER;
	}
	if (n && syscall(SYS_move_pages, process->id.pid, n, pages, NULL,
			 ret_nodes, 0) < 0)
		error = errno;
	/* or it was another process that has answered */
	if (error == ESRCH || process_is_gone(process))
		return PAGENODE_GONE;
	return -error;
}
