/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spare.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "files.h"

/* A line for each mapping; the kernel gives about a page at a time. */
static uint64_t lines_count(int dir)
{
	_cleanup_close_ int fd = openat(dir, "maps", O_RDONLY | O_CLOEXEC);
	char buf[8192];
	uint64_t lines = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0 ||
	       (n < 0 && errno == EINTR)) {
		const char *end = buf + MAX(n, 0);

		for (const char *p = buf; p < end; p++, lines++) {
			p = memchr(p, '\n', (size_t)(end - p));
			if (!p)
				break;
		}
	}
	return lines;
}

static void count(struct spare *spare, int dir)
{
	uint64_t start = clock_nsec(CLOCK_MONOTONIC), end;
	uint64_t before = spare->n;

	spare->n = lines_count(dir);
	if (spare->n < before)
		spare->added -= MIN(spare->added, before - spare->n);
	end = clock_nsec(CLOCK_MONOTONIC);
	spare->again_nsec = end + (end - start) * SPARE_COUNT_PART;
}

/* What may be ours in all. */
static uint64_t share(const struct spare *spare)
{
	uint64_t usable = spare->max - 2 * spare->max / SPARE_PART;
	uint64_t own = spare->n - MIN(spare->n, spare->added);

	return usable > own ? (usable - own) / SPARE_SHARE : 0;
}

bool spare_has(struct spare *spare, const struct root *root, int dir,
	       uint64_t more)
{
	if (!spare->max &&
	    file_read_u64(root->proc, "sys/vm/max_map_count", &spare->max) < 0)
		spare->max = 0;
	if (!spare->n || clock_nsec(CLOCK_MONOTONIC) >= spare->again_nsec)
		count(spare, dir);
	if (!spare->max || spare->n <= spare->max / 2)
		return true;
	return spare->n + spare->max / SPARE_PART <= spare->max &&
	       (!more || spare->added + more <= share(spare));
}

void spare_take(struct spare *spare, uint64_t n)
{
	spare->n += n;
	spare->added += n;
}
