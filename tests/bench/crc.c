/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crc - what a checksum of a page costs, by engine and by where the page is
 *
 * "near": pages of a 2 MiB buffer that was just written, as the daemon has
 * them after reading a region. "far": pages of 256 MiB, not in any cache. Each
 * number is the least of several passes: what else the machine does can only
 * add to it.
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <xxhash.h>

#include "checksum.h"

#define NEAR_PAGES 512U
#define FAR_PAGES  65536U
#define PASSES	   9
/* Passes over the near buffer are short: this many make one. */
#define NEAR_TURNS 16U

typedef uint64_t (*page_fn)(const void *page);

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint64_t plain_crc(const void *page)
{
	const uint64_t *p = page;
	uint64_t crc = UINT32_MAX;

	for (size_t i = 0; i < PAGE_BYTES / sizeof(*p); i++)
		crc = _mm_crc32_u64(crc, p[i]);
	return (uint32_t)~crc;
}
#elif defined(__aarch64__)
#include <arm_acle.h>

__attribute__((target("+crc"))) static uint64_t plain_crc(const void *page)
{
	const uint64_t *p = page;
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < PAGE_BYTES / sizeof(*p); i++)
		crc = __crc32cd(crc, p[i]);
	return (uint32_t)~crc;
}
#endif

static uint64_t engine_crc(const void *page)
{
	return checksum_page(page);
}

static uint64_t xxh3(const void *page)
{
	return XXH3_64bits(page, PAGE_BYTES);
}

static uint64_t copy(const void *page)
{
	static unsigned char to[PAGE_BYTES];

	memcpy(to, page, sizeof(to));
	return to[PAGE_BYTES - 1];
}

static uint64_t cpu_nsec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static double page_nsec(page_fn fn, const unsigned char *pages, unsigned int n,
			unsigned int turns)
{
	static volatile uint64_t sink;
	uint64_t least = UINT64_MAX;

	for (int pass = 0; pass < PASSES; pass++) {
		uint64_t begin = cpu_nsec();

		for (unsigned int t = 0; t < turns; t++)
			for (unsigned int i = 0; i < n; i++)
				sink = sink + fn(pages + i * PAGE_BYTES);
		begin = cpu_nsec() - begin;
		if (begin < least)
			least = begin;
	}
	return (double)least / ((double)n * turns);
}

int main(void)
{
	static const struct {
		const char *name;
		page_fn fn;
	} engines[] = {
		{ "CRC-32C, ISA-L (the engine)", engine_crc },
		{ "CRC-32C, a loop of crc32", plain_crc },
		{ "XXH3, 64 bits", xxh3 },
		{ "memcpy, to compare", copy },
	};
	unsigned char *pages = mmap(NULL, FAR_PAGES * PAGE_BYTES,
				    PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *words = (uint64_t *)pages;

	if (pages == MAP_FAILED)
		err(1, "no memory");
	for (uint64_t i = 0; i < FAR_PAGES * PAGE_BYTES / sizeof(*words); i++)
		words[i] = (i + 1) * 0x9e3779b97f4a7c15ULL;
	for (unsigned int i = 0; i < NEAR_PAGES; i++)
		if (engine_crc(pages + i * PAGE_BYTES) !=
		    plain_crc(pages + i * PAGE_BYTES))
			errx(1, "the two CRCs of page %u differ", i);
	printf("%-34s %10s %10s\n", "ns per page of 4 KiB", "near", "far");
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		printf("  %-32s %10.0f %10.0f\n", engines[i].name,
		       page_nsec(engines[i].fn, pages, NEAR_PAGES, NEAR_TURNS),
		       page_nsec(engines[i].fn, pages, FAR_PAGES, 1));
	return 0;
}
