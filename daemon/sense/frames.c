/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frames.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "kernel-api.h"

#include <ksmd-plus/types.h>

int frames_open(const struct root *root, bool ksm_flag, struct frames *ret)
{
	struct frames f = { .ksm_flag = ksm_flag };
	int r;

	f.counts = openat(root->proc, "kpagecount", O_RDONLY | O_CLOEXEC);
	if (f.counts < 0)
		return -errno;
	f.flags = openat(root->proc, "kpageflags", O_RDONLY | O_CLOEXEC);
	if (f.flags < 0) {
		r = -errno;
		close_fd(f.counts);
		return r;
	}
	*ret = f;
	return 0;
}

void frames_close(struct frames *f)
{
	f->counts = close_fd(f->counts);
	f->flags = close_fd(f->flags);
}

bool frames_is_merged(const struct frames *f, uint64_t pfn, uint32_t mappings)
{
	uint64_t count, flags, wanted = KAPI_KPF_ANON;

	if (f->ksm_flag)
		wanted |= KAPI_KPF_KSM;
	if (fd_pread_full(f->counts, &count, sizeof(count), (off_t)(pfn * 8)) ||
	    fd_pread_full(f->flags, &flags, sizeof(flags), (off_t)(pfn * 8)))
		return false;
	return count == mappings && (flags & wanted) == wanted &&
	       !(flags & KAPI_KPF_COMPOUND);
}

uint64_t frames_zero_pfn(const struct root *root)
{
	_cleanup_close_ int fd = openat(root->proc, "self/pagemap",
					O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;
	char *page;

	if (fd < 0)
		return 0;
	page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (page == MAP_FAILED)
		return 0;
	(void)*(volatile char *)page;
	if (fd_pread_full(fd, &entry, sizeof(entry),
			  (off_t)((uintptr_t)page / PAGE_BYTES * 8)))
		entry = 0;
	munmap(page, PAGE_BYTES);
	return entry & KAPI_PM_PRESENT ? entry & KAPI_PM_PFN : 0;
}
