/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * neighbour - a program that lives on memory, to see what it loses
 *
 * Follows a random chain through a mapping that is larger than any cache: each
 * step is a miss of cache and TLB, and nothing else. Every line on its
 * standard input is answered with "STEPS USEC", steps since the start and the
 * wall time since then; two answers make a speed. Prints "ready" when the
 * chain is laid out, ends with its input. It is no target of anybody.
 */
#include <err.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STEPS	   20000U
#define LINE_WORDS 8U /* a cache line of 64 bytes */

static uint64_t usec_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000U + (uint64_t)t.tv_nsec / 1000U;
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* One cycle through all lines: Sattolo's shuffle. */
static void lay_out(uint64_t *words, uint64_t n)
{
	uint64_t state = 1;

	for (uint64_t i = 0; i < n; i++)
		words[i * LINE_WORDS] = i;
	for (uint64_t i = n - 1; i > 0; i--) {
		uint64_t j = next_random(&state) % i;
		uint64_t t = words[i * LINE_WORDS];

		words[i * LINE_WORDS] = words[j * LINE_WORDS];
		words[j * LINE_WORDS] = t;
	}
}

int main(int argc, char **argv)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 256) << 20;
	uint64_t steps = 0, at = 0, start;
	uint64_t *words = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char line[64];

	if (bytes == 0 || words == MAP_FAILED)
		err(1, "no memory");
	madvise(words, bytes, MADV_DONTDUMP); /* not a target of ours either */
	lay_out(words, bytes / 64);
	puts("ready");
	fflush(stdout);
	start = usec_now();
	for (;;) {
		for (unsigned int i = 0; i < STEPS; i++)
			at = words[at * LINE_WORDS];
		steps += STEPS;
		if (poll(&in, 1, 0) == 0)
			continue;
		if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
			return at == UINT64_MAX;
		printf("%llu %llu\n", (unsigned long long)steps,
		       (unsigned long long)(usec_now() - start));
		fflush(stdout);
	}
}
