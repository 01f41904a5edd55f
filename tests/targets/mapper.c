/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapper - maps, protects and unmaps all the time, in two threads
 */
#include <pthread.h>

#include "target.h"

#define MAX_PAGES 256

static struct target t;

static uint64_t *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(2, "mmap");
	return p;
}

static void once(uint64_t seed)
{
	size_t n_pages = 2 + target_mix(seed) % MAX_PAGES;
	size_t bytes = n_pages * PAGE_BYTES, words = PAGE_BYTES / 8;
	size_t half = n_pages / 2 * PAGE_BYTES;
	uint64_t *p = map(bytes);

	for (size_t i = 0; i < n_pages; i++)
		p[i * words] = target_mix(seed + i);
	if (mprotect((char *)p + PAGE_BYTES, PAGE_BYTES, PROT_READ) < 0)
		target_broken(&t, "mprotect: %s", strerror(errno));
	if (mprotect((char *)p + PAGE_BYTES, PAGE_BYTES,
		     PROT_READ | PROT_WRITE) < 0)
		target_broken(&t, "mprotect: %s", strerror(errno));
	for (size_t i = 0; i < n_pages; i++)
		if (p[i * words] != target_mix(seed + i))
			target_broken(&t, "a page of a new mapping");
	/* In two halves, the upper one first. */
	if (munmap((char *)p + half, bytes - half) < 0 || munmap(p, half) < 0)
		target_broken(&t, "munmap: %s", strerror(errno));
}

static void *maps(void *arg)
{
	for (uint64_t i = (uintptr_t)arg; !target_stopping(&t); i += 1000)
		once(i);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	target_options(&t, argc, argv, "Maps and unmaps all the time.", NULL,
		       0);
	target_ready(&t, NULL);
	if (pthread_create(&thread, NULL, maps, (void *)1))
		errx(2, "no thread");
	maps((void *)2);
	pthread_join(thread, NULL);
	target_end(&t);
}
