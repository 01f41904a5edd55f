/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as /proc/PID/pagemap, read where PAGEMAP_SCAN is not there: the
 * regions that come out lie in the mapping, in order, each once.
 *
 * The first eight bytes choose the mapping; what is behind them is the file,
 * from its beginning.
 */
#include "pagemap.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "process.h"
#include "vmas.h"
#include "standalone.h"

static int file_make(const uint8_t *data, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("pagemap", MFD_CLOEXEC);
	assert(fd >= 0);
	assert(ftruncate(fd, 0) == 0);
	assert(pwrite(fd, data, size, 0) == (ssize_t)size);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct process process = PROCESS_NONE;
	struct pagemap_regions regions = { 0 };
	uint64_t entries[REGION_PAGES];
	uint32_t words[2];
	struct vma v = { 0 };
	int r;

	if (size < sizeof(words))
		return 0;
	memcpy(words, data, sizeof(words));
	process.pagemap = file_make(data + sizeof(words), size - sizeof(words));
	v.start = words[0] % 2048 * PAGE_BYTES;
	v.end = v.start + (1 + words[1] % 2048) * PAGE_BYTES;
	v.rss = v.huge = v.end;
	r = pagemap_regions(&process, &v, false, &regions);
	assert(r == 0 || r == PAGEMAP_GONE);
	for (size_t i = 0; i < regions.n; i++) {
		const struct pagemap_region *p = &regions.v[i];

		assert(p->base % REGION_BYTES == 0 && p->base < v.end);
		assert(p->base + REGION_BYTES > v.start);
		assert(p->present > 0 && p->present <= REGION_PAGES);
		assert(i == 0 || p->base > regions.v[i - 1].base);
	}
	r = pagemap_read(&process, v.start & -REGION_BYTES, entries);
	assert(r == 0 || r == PAGEMAP_GONE);
	vec_free(&regions);
	return 0;
}
