/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * collider - pages with the CRC-32C of somebody else's, and other contents
 *
 * The checksum is linear, so the last four bytes of a page can be chosen to
 * give any. Whoever relies on it alone takes each of these pages for the
 * duplicate of one that targets of the same --seed and --size hold. Some
 * change all the time, and have the same checksum all the same.
 */
#include "target.h"

#define POLYNOMIAL   0x82f63b78U /* Castagnoli, reflected */
#define PAGE_WORDS   (PAGE_BYTES / 8)
#define CHANGE_USEC  50000
#define CHANGE_PAGES 16

static uint32_t table[256];
static uint8_t number_of[256]; /* by the top byte of its entry */
static uint64_t salt;

static void table_make(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		table[i] = crc;
		number_of[crc >> 24] = (uint8_t)i;
	}
}

/* Without the last inversion. */
static uint32_t crc(const void *page, size_t n)
{
	const uint8_t *bytes = page;
	uint32_t sum = ~0U;

	while (n--)
		sum = table[(sum ^ *bytes++) & 0xff] ^ sum >> 8;
	return sum;
}

/* Choose the last four bytes. */
static void page_bend(uint8_t *page, uint32_t wanted)
{
	uint32_t sum = crc(page, PAGE_BYTES - 4);
	uint8_t number[4];

	for (int i = 3; i >= 0; i--) {
		number[i] = number_of[wanted >> 24];
		wanted = (wanted ^ table[number[i]]) << 8;
	}
	for (int i = 0; i < 4; i++) {
		page[PAGE_BYTES - 4 + i] = (uint8_t)(sum ^ number[i]);
		sum = table[number[i]] ^ sum >> 8;
	}
}

/* Page @number, as it is for the @turn-th time; @wanted is its checksum. */
static void page_make(uint64_t *page, uint64_t number, uint64_t turn,
		      uint32_t wanted)
{
	for (uint64_t i = 0; i < PAGE_WORDS; i++)
		page[i] = target_mix(salt + (turn << 32) + number * PAGE_WORDS +
				     i);
	page_bend((uint8_t *)page, wanted);
	if (crc(page, PAGE_BYTES) != wanted)
		errx(2, "these do not collide");
}

int main(int argc, char **argv)
{
	struct target_option option = { "copies", "N of each page", "4" };
	uint64_t *pages, wanted[PAGE_WORDS], n_own, n, turn = 0;
	uint32_t *sums;
	struct target t;

	target_options(&t, argc, argv, "Other pages of one's checksums.",
		       &option, 1);
	target_fill(&t);
	n_own = t.size_mib << 8;
	n = n_own * strtoull(option.value, NULL, 10);
	table_make();
	sums = calloc(n_own, sizeof(*sums));
	pages = mmap(NULL, n * PAGE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!sums || pages == MAP_FAILED)
		err(2, "no memory");
	for (uint64_t i = 0; i < n_own; i++)
		sums[i] = crc(t.memory + i * PAGE_WORDS, PAGE_BYTES);
	/* nobody's twin: only the checksum is the same */
	munmap(t.memory, t.size_mib << 20);
	salt = target_mix((uint64_t)getpid());
	for (uint64_t i = 0; i < n; i++)
		page_make(pages + i * PAGE_WORDS, i, 0, sums[i % n_own]);
	t.size_mib = 1;
	t.seed = salt;
	target_ready(&t, NULL);
	while (!target_stopping(&t)) {
		target_sleep(CHANGE_USEC);
		turn++;
		for (uint64_t i = 0; i < CHANGE_PAGES && i < n; i++)
			page_make(pages + i * PAGE_WORDS, i, turn,
				  sums[i % n_own]);
	}
	for (uint64_t i = 0; i < n; i++) {
		page_make(wanted, i, i < CHANGE_PAGES ? turn : 0,
			  sums[i % n_own]);
		if (memcmp(wanted, pages + i * PAGE_WORDS, PAGE_BYTES) != 0)
			target_broken(&t, "page %llu", (unsigned long long)i);
	}
	target_end(&t);
}
