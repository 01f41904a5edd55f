/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "migrate.h"

#include <assert.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "files.h"
#include "frames.h"
#include "pagemap.h"
#include "pagenode.h"
#include "process.h"

#include <ksmd-plus/types.h>

/* The kernel leaves these as they are: see look_again(). */
#define NOT_TRIED (-ECANCELED)

static_assert(MIGRATE_MAX <= PAGENODE_MAX, "one question for all");

struct call {
	void *addresses[MIGRATE_MAX];
	int nodes[MIGRATE_MAX];
	int status[MIGRATE_MAX];
	size_t n;
};

static bool is_as_decided(const struct process *process,
			  const struct frames *frames,
			  const struct migrate_page *page)
{
	uint64_t entry;

	if (fd_pread_full(process->pagemap, &entry, sizeof(entry),
			  (off_t)(page->address / PAGE_BYTES * 8)))
		return false;
	return pagemap_is_anon(entry) && pagemap_pfn(entry) == page->pfn &&
	       frames_is_merged(frames, page->pfn, page->mappings);
}

static void count(const struct call *call, struct migrate_result *result)
{
	for (size_t i = 0; i < call->n; i++) {
		switch (call->status[i]) {
		case -EACCES:
			result->refused++;
			break;
		case -ENOMEM:
			result->no_memory++;
			break;
		case NOT_TRIED:
		case -EBUSY:
		case -EAGAIN:
			result->busy++;
			break;
		case -ENOENT:
		case -EFAULT:
			result->changed++;
			break;
		default:
			if (call->status[i] == call->nodes[i])
				result->moved++;
			else
				result->busy++;
		}
	}
}

/*
 * Pages for one node go in a list, and where one of it fails the kernel says
 * nothing about the others, though nearly all have moved.
 */
static void look_again(const struct process *process, struct call *call)
{
	uint64_t addresses[MIGRATE_MAX];
	int nodes[MIGRATE_MAX];

	for (size_t i = 0; i < call->n; i++)
		addresses[i] = (uintptr_t)call->addresses[i];
	if (pagenode_ask(process, addresses, call->n, nodes))
		return;
	for (size_t i = 0; i < call->n; i++)
		if (call->status[i] == NOT_TRIED && nodes[i] == call->nodes[i])
			call->status[i] = nodes[i];
}

int migrate_pages(const struct process *process, const struct frames *frames,
		  const struct migrate_page *pages, size_t n,
		  struct migrate_result *ret)
{
	struct migrate_result result = { 0 };
	struct call call;
	long r;

	assert(n <= MIGRATE_MAX);
	call.n = 0;
	for (size_t i = 0; i < n; i++) {
		if (!is_as_decided(process, frames, &pages[i])) {
			result.changed++;
			continue;
		}
		/* of a merged page the address says all; no flag bits */
		call.addresses[call.n] = (void *)(uintptr_t)pages[i].address;
		call.nodes[call.n] = pages[i].node;
		call.status[call.n++] = NOT_TRIED;
	}
	if (process_is_gone(process))
		return MIGRATE_GONE;
	if (call.n) {
		/* more than 0: so many pages could not be moved */
		r = syscall(SYS_move_pages, process->id.pid, call.n,
			    call.addresses, call.nodes, call.status,
			    MPOL_MF_MOVE_ALL);
		if (r < 0 && errno == ESRCH)
			return MIGRATE_GONE;
		if (r < 0 && errno != ENOMEM)
			return -errno;
		if (r > 0)
			look_again(process, &call);
		if (r < 0)
			result.no_memory += (uint32_t)call.n;
		else
			count(&call, &result);
	}
	*ret = result;
	return 0;
}
