/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load - what the test guest does: keep real files in memory
 *
 * Reads every file below a folder into anonymous memory, page-aligned as a
 * program's buffers are, prints "guest ready" and sleeps for ever. The files
 * lie in the guest's page cache too (its root is an initramfs), so a guest
 * holds all of it twice, as a file server does.
 */
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned long long n_bytes;

static int load_file(const char *path, const struct stat *st, int type,
		     struct FTW *where)
{
	size_t size = (size_t)st->st_size;
	char *p;
	int fd;

	(void)where;
	if (type != FTW_F || size == 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		err(1, "no memory for %s", path);
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, p + done, size - done);

		if (n <= 0)
			err(1, "%s", path);
		done += (size_t)n;
	}
	close(fd);
	n_bytes += size;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: load FOLDER");
	if (nftw(argv[1], load_file, 16, FTW_PHYS) < 0)
		err(1, "%s", argv[1]);
	printf("guest ready: %llu MiB of files loaded\n", n_bytes >> 20);
	fflush(stdout);
	for (;;)
		pause();
}
