/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader - memory that nobody else has, and parts of it filled from a file
 *
 * Takes commands on its standard input, one a line, and answers each:
 *	fill PAGE N AT	pread() N pages of --file, from PAGE on, into its memory
 *			at page AT: "done"
 *	again COUNT PAGE N AT	the same, so many times
 *	map PAGE N	into a new mapping: "at ADDRESS" (hexadecimal)
 *	verify		"intact" if all of it is as it should be
 * It ends with its input.
 */
#include <fcntl.h>
#include <inttypes.h>

#include "target.h"

#define WORDS (PAGE_BYTES / sizeof(uint64_t))

static struct target t;
static int file;
static int64_t *from; /* page of the file, or -1, for each of ours */

static void fill(uint64_t page, uint64_t n, void *to)
{
	ssize_t bytes = (ssize_t)(n * PAGE_BYTES);

	if (pread(file, to, (size_t)bytes, (off_t)(page * PAGE_BYTES)) != bytes)
		err(2, "cannot read page %" PRIu64, page);
}

static bool page_is_intact(uint64_t i)
{
	const uint64_t *page = t.memory + i * WORDS;
	uint64_t buffer[WORDS];

	if (from[i] >= 0) {
		fill((uint64_t)from[i], 1, buffer);
		return memcmp(page, buffer, PAGE_BYTES) == 0;
	}
	for (uint64_t w = 0; w < WORDS; w++)
		if (page[w] != target_mix(t.seed << 40 | (i * WORDS + w)))
			return false;
	return true;
}

static void verify(void)
{
	uint64_t n_pages = t.size_mib << 8;

	for (uint64_t i = 0; i < n_pages; i++) {
		if (!page_is_intact(i)) {
			printf("broken page %" PRIu64 "\n", i);
			return;
		}
	}
	puts("intact");
}

static void *map(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(2, "mmap");
	/* a huge page would be another matter */
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static void fill_own(uint64_t count, uint64_t page, uint64_t n, uint64_t at)
{
	while (count--)
		fill(page, n, t.memory + at * WORDS);
	for (uint64_t i = 0; i < n; i++)
		from[at + i] = (int64_t)(page + i);
	puts("done");
}

static void serve(const char *line)
{
	uint64_t count, page, n, at;

	if (!strcmp(line, "verify\n")) {
		verify();
	} else if (sscanf(line, "fill %" SCNu64 " %" SCNu64 " %" SCNu64, &page,
			  &n, &at) == 3) {
		fill_own(1, page, n, at);
	} else if (sscanf(line,
			  "again %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
			  &count, &page, &n, &at) == 4) {
		fill_own(count, page, n, at);
	} else if (sscanf(line, "map %" SCNu64 " %" SCNu64, &page, &n) == 2) {
		void *p = map(n * PAGE_BYTES);

		fill(page, n, p);
		printf("at %" PRIxPTR "\n", (uintptr_t)p);
	} else {
		errx(2, "what is %s", line);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct target_option options[] = {
		{ "file", "PATH  what it reads", "" },
	};
	char line[256];

	target_options(&t, argc, argv, "Fills memory from a file.", options, 1);
	file = open(options[0].value, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		err(2, "cannot open %s", options[0].value);
	from = malloc((t.size_mib << 8) * sizeof(*from));
	t.memory = map(t.size_mib << 20);
	if (!from)
		err(2, "malloc");
	for (uint64_t i = 0; i < target_words(&t); i++)
		t.memory[i] = target_mix(t.seed << 40 | i);
	memset(from, 0xff, (t.size_mib << 8) * sizeof(*from));
	printf("memory %" PRIxPTR " %" PRIxPTR "\nready\n", (uintptr_t)t.memory,
	       (uintptr_t)(t.memory + target_words(&t)));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		serve(line);
	return 0;
}
