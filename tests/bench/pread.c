/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pread - what a read of 4 KiB from the page cache costs, and a system call
 *
 *	pread FILE
 *
 * Says "ready" and waits for lines on its standard input. After each it
 * measures for a while and prints two medians: nanoseconds for a pread() of one page into an
 * aligned buffer, and for a getppid(). The file's pages are read in turn.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE   4096
#define PAGES  64
#define CALLS  2000
#define ROUNDS 101

static int file;
static _Alignas(PAGE) char buffer[PAGE];

static uint64_t now_nsec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void call_pread(unsigned int i)
{
	if (pread(file, buffer, PAGE, (off_t)(i % PAGES) * PAGE) != PAGE)
		err(2, "pread");
}

static void call_getppid(unsigned int i)
{
	(void)i;
	syscall(SYS_getppid);
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

static double measure(void (*call)(unsigned int i))
{
	static double nsec[ROUNDS];

	for (unsigned int round = 0; round < ROUNDS; round++) {
		uint64_t start = now_nsec();

		for (unsigned int i = 0; i < CALLS; i++)
			call(i);
		nsec[round] = (double)(now_nsec() - start) / CALLS;
	}
	qsort(nsec, ROUNDS, sizeof(nsec[0]), compare);
	return nsec[ROUNDS / 2];
}

int main(int argc, char **argv)
{
	char line[16];

	if (argc != 2)
		errx(2, "usage: pread FILE");
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (file < 0)
		err(2, "cannot open %s", argv[1]);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		double read = measure(call_pread);

		printf("%.1f %.1f\n", read, measure(call_getppid));
		fflush(stdout);
	}
	return 0;
}
