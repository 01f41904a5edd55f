/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker.h"

#include <errno.h>
#include <sys/mman.h>

int worker_open(struct worker *ret)
{
	unsigned char *pages = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return -ENOMEM;
	/* contents of other processes: not for core dumps, nor for children */
	madvise(pages, REGION_BYTES, MADV_DONTDUMP);
	madvise(pages, REGION_BYTES, MADV_DONTFORK);
	ret->pages = pages;
	return 0;
}

void worker_close(struct worker *worker)
{
	munmap(worker->pages, REGION_BYTES);
	worker->pages = NULL;
}
