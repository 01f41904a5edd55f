/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine - what a page costs the daemon's CPU, by engine and batch size
 *
 * The thread's own CPU for the copy (through /proc/self/mem, as the daemon
 * copies), submit and reap. The device is the model of tests/dsa, in threads
 * that are not counted: its answers take as long as a CPU needs for them, so
 * nothing here says how fast silicon is, nor how long a batch takes. A write
 * to the node is one to /dev/null; the portal is a function call.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bringup.h"
#include "clock.h"

#define SOURCE_PAGES 16384U
#define PAGES	     4096U
#define PASSES	     5

static unsigned char *source;
static int mem;

static const unsigned int sizes[] = { 1, 8, 64, 256 };
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* Copy @n pages of the source to the area and have them checksummed. */
static void batch(struct checksum_lane *lane, unsigned int first,
		  unsigned int n)
{
	static uint32_t crc[REGION_PAGES];
	struct checksum_item items[CHECKSUM_BLOCK_PAGES];

	for (unsigned int b = 0; b < n; b += CHECKSUM_BLOCK_PAGES) {
		unsigned int block = b / CHECKSUM_BLOCK_PAGES % lane->n_blocks;
		unsigned int k = n - b < CHECKSUM_BLOCK_PAGES
					 ? n - b
					 : CHECKSUM_BLOCK_PAGES;
		unsigned char *to = lane->area + block * CHECKSUM_BLOCK_BYTES;

		if (pread(mem, to, k * PAGE_BYTES,
			  (off_t)(uintptr_t)source +
				  (off_t)((first + b) * PAGE_BYTES)) !=
		    (ssize_t)(k * PAGE_BYTES))
			err(1, "cannot copy");
		for (unsigned int i = 0; i < k; i++)
			items[i] = (struct checksum_item){
				.page = to + i * PAGE_BYTES,
				.ret = &crc[b + i],
			};
		lane->engine->submit(lane, items, k);
	}
	lane->engine->reap(lane);
}

static double page_nsec(const struct checksum_engine *engine, unsigned int size)
{
	struct checksum_lane *lane;
	uint64_t least = UINT64_MAX;

	if (engine->lane_new(engine, &lane))
		errx(1, "no lane");
	for (int pass = 0; pass < PASSES; pass++) {
		uint64_t begin = clock_nsec(CLOCK_THREAD_CPUTIME_ID);

		for (unsigned int i = 0; i < PAGES; i += size)
			batch(lane,
			      (i + (unsigned int)pass * PAGES) %
				      (SOURCE_PAGES - PAGES),
			      size);
		begin = clock_nsec(CLOCK_THREAD_CPUTIME_ID) - begin;
		least = begin < least ? begin : least;
	}
	engine->lane_free(lane);
	return (double)least / PAGES;
}

static void row(const char *name, const double nsec[N_SIZES],
		const double cpu[N_SIZES])
{
	printf("  %-24s", name);
	for (size_t i = 0; i < N_SIZES; i++)
		printf("  %6.0f (%4.2f)", nsec[i], nsec[i] / cpu[i]);
	putchar('\n');
	fflush(stdout);
}

static double dsa_nsec(enum dsa_rung rung, unsigned int size)
{
	struct engine_dsa_options options = {
		.find = bringup_find,
		.rung = rung,
		.batch_pages = size,
		.least_pages = 1,
	};
	struct device_config config = {
		.shared = true,
		.batch_by_write = true,
		.size = 256,
		.max_batch = 256,
		.max_transfer = 2U << 20,
		.n_engines = 1,
		.seed = 1,
	};
	const struct checksum_engine *engine;
	struct device *device = bringup_device(&config);
	double nsec;

	if (engine_dsa_new(&options, &engine))
		errx(1, "no engine");
	nsec = page_nsec(engine, size);
	engine_dsa_free(engine);
	bringup_end(&device);
	return nsec;
}

int main(void)
{
	static const enum dsa_rung rungs[] = { DSA_RUNG_PORTAL, DSA_RUNG_BATCH,
					       DSA_RUNG_VECTOR };
	double cpu[N_SIZES], dsa[N_SIZES];
	char name[64];

	source = mmap(NULL, SOURCE_PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	if (source == MAP_FAILED || mem < 0)
		err(1, "cannot begin");
	for (size_t i = 0; i < SOURCE_PAGES * PAGE_BYTES; i += 64)
		source[i] = (unsigned char)(i * 2654435761U >> 13);
	inside_writes_to("/dev/null");
	printf("CPU of the daemon, ns per page: copy, submit and reap "
	       "(beside the CPU engine)\n  %-24s",
	       "pages in a batch");
	for (size_t i = 0; i < N_SIZES; i++)
		printf("  %13u", sizes[i]);
	putchar('\n');
	for (size_t i = 0; i < N_SIZES; i++)
		cpu[i] = page_nsec(&checksum_cpu, sizes[i]);
	row("cpu", cpu, cpu);
	for (size_t r = 0; r < sizeof(rungs) / sizeof(rungs[0]); r++) {
		for (size_t i = 0; i < N_SIZES; i++)
			dsa[i] = dsa_nsec(rungs[r], sizes[i]);
		snprintf(name, sizeof(name), "dsa %s, model",
			 engine_dsa_rung_name(rungs[r]));
		row(name, dsa, cpu);
	}
	puts("  model: the device is a program; its time is not silicon's");
	return 0;
}
