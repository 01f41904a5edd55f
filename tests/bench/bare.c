/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bare - read mappings of processes and checksum each page; nothing else
 *
 *	bare PID:START-END...		(hexadecimal, page-aligned)
 *
 * What nobody who looks at every page once can do without: blocks of 256 KiB
 * through /proc/PID/mem, CRC-32C by the engine, on all CPUs that it may use.
 * Prints pages, microseconds that passed, and microseconds of CPU.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "checksum.h"

#define BLOCK	    (64 * PAGE_BYTES)
#define THREADS_MAX 256

struct mapping {
	int fd;
	unsigned long long start, end;
};

static struct mapping *mappings;
static int n_mappings;
static atomic_ullong next_block, n_pages;
static atomic_uint sink;

/* The block of that number, or false behind the last one. */
static int block_find(unsigned long long number, struct mapping *ret)
{
	for (int i = 0; i < n_mappings; i++) {
		const struct mapping *m = &mappings[i];
		unsigned long long n = (m->end - m->start + BLOCK - 1) / BLOCK;

		if (number < n) {
			ret->fd = m->fd;
			ret->start = m->start + number * BLOCK;
			ret->end = ret->start + BLOCK < m->end
					   ? ret->start + BLOCK
					   : m->end;
			return 1;
		}
		number -= n;
	}
	return 0;
}

static void *run(void *arg)
{
	unsigned char *buf = aligned_alloc(PAGE_BYTES, BLOCK);
	uint32_t crc = 0;
	struct mapping b;

	if (!buf)
		err(1, "no memory");
	while (block_find(atomic_fetch_add(&next_block, 1), &b)) {
		ssize_t n = pread(b.fd, buf, b.end - b.start, (off_t)b.start);

		if (n < 0)
			err(1, "read");
		for (ssize_t i = 0; i < n / (ssize_t)PAGE_BYTES; i++)
			crc += checksum_page(buf + i * (ssize_t)PAGE_BYTES);
		atomic_fetch_add(&sink, crc);
		atomic_fetch_add(&n_pages, (size_t)n / PAGE_BYTES);
	}
	free(buf);
	return arg;
}

static uint64_t usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000U + (uint64_t)t.tv_nsec / 1000U;
}

static uint64_t cpu_usec(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000U +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	uint64_t begin;
	cpu_set_t set;
	int n_threads;

	mappings = calloc((size_t)argc, sizeof(*mappings));
	if (!mappings || sched_getaffinity(0, sizeof(set), &set) < 0)
		err(1, "cannot begin");
	for (int i = 1; i < argc; i++) {
		struct mapping *m = &mappings[n_mappings++];
		char path[64];
		int pid;

		if (sscanf(argv[i], "%d:%llx-%llx", &pid, &m->start, &m->end) !=
		    3)
			errx(2, "not PID:START-END: %s", argv[i]);
		snprintf(path, sizeof(path), "/proc/%d/mem", pid);
		m->fd = open(path, O_RDONLY | O_CLOEXEC);
		if (m->fd < 0)
			err(1, "%s", path);
	}
	n_threads = CPU_COUNT(&set) < THREADS_MAX ? CPU_COUNT(&set)
						  : THREADS_MAX;
	begin = usec();
	for (int i = 0; i < n_threads; i++)
		if (pthread_create(&threads[i], NULL, run, NULL))
			errx(1, "no thread");
	for (int i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	printf("%llu %llu %llu\n", atomic_load(&n_pages),
	       (unsigned long long)(usec() - begin),
	       (unsigned long long)cpu_usec());
	return 0;
}
