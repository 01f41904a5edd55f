/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmread.h"

#include <errno.h>
#include <unistd.h>

#include "process.h"

/*
 * Read the pages [@from, @to). A failing page ends the run early: it is
 * cleared from the mask and *ret_next points behind it.
 */
static int run_read(int fd, uint64_t base, unsigned int from, unsigned int to,
		    struct pagemask *mask, unsigned char *buf,
		    unsigned int *ret_next)
{
	while (from < to) {
		ssize_t n = pread(fd, buf + from * PAGE_BYTES,
				  (to - from) * PAGE_BYTES,
				  (off_t)(base + from * PAGE_BYTES));

		if (n == 0)
			return VMREAD_GONE;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EIO && errno != EFAULT)
			return errno == ESRCH ? VMREAD_GONE : -errno;
		if (n >= (ssize_t)PAGE_BYTES) {
			from += (unsigned int)(n / (ssize_t)PAGE_BYTES);
			continue;
		}
		pagemask_clear(mask, from++);
		break;
	}
	*ret_next = from;
	return 0;
}

int vmread_region(const struct process *process, uint64_t base,
		  struct pagemask *mask, unsigned char buf[REGION_BYTES])
{
	unsigned int i = pagemask_next(mask, 0);

	while (i < REGION_PAGES) {
		unsigned int to = i + 1;
		int r;

		while (to < REGION_PAGES && pagemask_test(mask, to))
			to++;
		r = run_read(process->mem, base, i, to, mask, buf, &i);
		if (r)
			return r;
		i = pagemask_next(mask, i);
	}
	return 0;
}
