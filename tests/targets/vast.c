/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vast - reserves terabytes and touches few pages of them
 *
 * As sanitizers, garbage collectors and databases do: one page, or one in each
 * so many MiB, all alike. May register all of it with KSM by itself.
 */
#include "target.h"

#define TIB (1ULL << 40)

static uint64_t *page_at(char *p, uint64_t offset)
{
	return (uint64_t *)(p + offset);
}

static void page_write(uint64_t *page)
{
	for (uint64_t i = 0; i < PAGE_BYTES / 8; i++)
		page[i] = target_mix(i);
}

static void page_verify(struct target *t, const uint64_t *page)
{
	for (uint64_t i = 0; i < PAGE_BYTES / 8; i++)
		if (page[i] != target_mix(i))
			target_broken(t, "the page at %p", (const void *)page);
}

int main(int argc, char **argv)
{
	struct target_option options[] = {
		{ "tib", "N to reserve", "32" },
		{ "every", "N MiB a page; 0: only one in the midst", "0" },
		{ "register", "yes|no: with KSM", "no" },
	};
	struct target t;
	uint64_t bytes, step, first;
	char *p;

	target_options(&t, argc, argv, "Few pages in a huge reservation.",
		       options, 3);
	bytes = strtoull(options[0].value, NULL, 10) * TIB;
	step = strtoull(options[1].value, NULL, 10) << 20;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		err(TARGET_SKIP, "%s TiB", options[0].value);
	madvise(p, bytes, MADV_NOHUGEPAGE);
	if (!strcmp(options[2].value, "yes") &&
	    madvise(p, bytes, MADV_MERGEABLE) < 0)
		err(TARGET_SKIP, "MADV_MERGEABLE");
	first = step ? 0 : bytes / 2 + t.seed * 4096 * PAGE_BYTES;
	step = step ? step : bytes;
	for (uint64_t at = first; at < bytes; at += step)
		page_write(page_at(p, at));
	target_ready(&t, NULL);
	while (!target_stopping(&t))
		target_sleep(10000);
	for (uint64_t at = first; at < bytes; at += step)
		page_verify(&t, page_at(p, at));
	target_end(&t);
}
