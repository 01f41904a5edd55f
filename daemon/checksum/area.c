/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "area.h"

#include <sys/mman.h>

void *area_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_DONTDUMP);
	madvise(p, size, MADV_DONTFORK);
	/* by what is used of it; needs rights, and is a wish */
	mlock2(p, size, MLOCK_ONFAULT);
	return p;
}

void area_unmap(void *area, size_t size)
{
	if (area)
		munmap(area, size);
}
