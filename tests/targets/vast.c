/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vast - reserves terabytes and touches one page of them
 *
 * As sanitizers, garbage collectors and databases do.
 */
#include "target.h"

#define TIB (1ULL << 40)

int main(int argc, char **argv)
{
	struct target_option option = { "tib", "N to reserve", "32" };
	struct target t;
	uint64_t bytes, *page;
	char *p;

	target_options(&t, argc, argv, "One page in a huge reservation.",
		       &option, 1);
	bytes = strtoull(option.value, NULL, 10) * TIB;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		err(TARGET_SKIP, "%s TiB", option.value);
	page = (uint64_t *)(p + bytes / 2 + t.seed * 4096 * PAGE_BYTES);
	for (uint64_t i = 0; i < PAGE_BYTES / 8; i++)
		page[i] = target_mix(i);
	target_ready(&t, NULL);
	while (!target_stopping(&t))
		target_sleep(10000);
	for (uint64_t i = 0; i < PAGE_BYTES / 8; i++)
		if (page[i] != target_mix(i))
			target_broken(&t, "the one page");
	target_end(&t);
}
