/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#define PAGES 33

static _Alignas(4096) unsigned char pages[PAGES][PAGE_BYTES];

static uint32_t crc_of(const void *page)
{
	return checksum_page(page);
}

/* RFC 3720's definition, bit by bit. */
static uint32_t crc_by_definition(const unsigned char *data, size_t size)
{
	uint32_t crc = 0xFFFFFFFFU;

	for (size_t i = 0; i < size; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78U : 0);
	}
	return ~crc;
}

/* What a Data Streaming Accelerator gives with flags 0 and seed 0. */
static void test_pages_have_the_checksums_of_the_accelerator(void **state)
{
	(void)state;
	memset(pages[0], 0, PAGE_BYTES);
	assert_int_equal(crc_of(pages[0]), 0x98f94189U);
	assert_int_equal(crc_of(pages[0]), CHECKSUM_ZERO_PAGE);
	memset(pages[0], 0xFF, PAGE_BYTES);
	assert_int_equal(crc_of(pages[0]), 0x25c1fe13U);
	for (size_t i = 0; i < PAGE_BYTES; i++)
		pages[0][i] = i & 0xFF;
	assert_int_equal(crc_of(pages[0]), 0x9c71fe32U);
}

/* The definition above is the one meant: RFC 3720, appendix B.4. */
static void test_short_vectors(void **state)
{
	unsigned char data[32];

	(void)state;
	assert_int_equal(crc_by_definition((const unsigned char *)"123456789",
					   9),
			 0xe3069283U);
	memset(data, 0, sizeof(data));
	assert_int_equal(crc_by_definition(data, sizeof(data)), 0x8a9136aaU);
	memset(data, 0xFF, sizeof(data));
	assert_int_equal(crc_by_definition(data, sizeof(data)), 0x62a8ab43U);
	for (unsigned char i = 0; i < sizeof(data); i++)
		data[i] = i;
	assert_int_equal(crc_by_definition(data, sizeof(data)), 0x46dd794eU);
	for (unsigned char i = 0; i < sizeof(data); i++)
		data[i] = 31 - i;
	assert_int_equal(crc_by_definition(data, sizeof(data)), 0x113fdb5cU);
}

static void fill(unsigned char *page, uint64_t seed)
{
	for (size_t i = 0; i < PAGE_BYTES; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		page[i] = (unsigned char)(seed >> 56);
	}
}

static void test_many_at_once_are_each_their_own(void **state)
{
	struct checksum_item list[PAGES];
	struct checksum_lane *lane;
	uint32_t crc[PAGES + 1];

	(void)state;
	assert_int_equal(checksum_cpu.lane_new(&checksum_cpu, &lane), 0);
	for (size_t i = 0; i < PAGES; i++) {
		fill(pages[i], i);
		list[i].page = pages[PAGES - 1 - i];
		list[i].ret = &crc[i];
	}
	for (size_t n = 0; n <= PAGES; n++) {
		memset(crc, 0xA5, sizeof(crc));
		checksum_cpu.submit(lane, list, n);
		checksum_cpu.reap(lane);
		assert_int_equal(crc[n], 0xA5A5A5A5U);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(crc[i], crc_by_definition(list[i].page,
								   PAGE_BYTES));
	}
	checksum_cpu.lane_free(lane);
}

/* What a device has begun the CPU can end, at any byte. */
static void test_a_checksum_can_be_continued(void **state)
{
	(void)state;
	fill(pages[0], 7);
	for (size_t n = 0; n <= PAGE_BYTES; n += n % 64 ? 1 : 63)
		assert_int_equal(checksum_page_rest(pages[0], n,
						    crc_by_definition(pages[0],
								      n)),
				 crc_of(pages[0]));
}

/* Each byte counts, wherever it stands. */
static void test_one_byte_makes_a_page_no_page_of_zeros(void **state)
{
	(void)state;
	memset(pages[0], 0, PAGE_BYTES);
	assert_true(checksum_is_zero(pages[0]));
	for (size_t i = 0; i < PAGE_BYTES; i++) {
		pages[0][i] = 1U << (i % 8);
		assert_false(checksum_is_zero(pages[0]));
		assert_int_not_equal(crc_of(pages[0]), CHECKSUM_ZERO_PAGE);
		pages[0][i] = 0;
	}
	assert_true(checksum_is_zero(pages[0]));
}

static void test_strong_hash_depends_on_page_and_key(void **state)
{
	struct strong_key one, other;
	uint64_t hash;

	(void)state;
	assert_int_equal(strong_key_make(&one), 0);
	assert_int_equal(strong_key_make(&other), 0);
	assert_memory_not_equal(&one, &other, sizeof(one));
	fill(pages[0], 1);
	memcpy(pages[1], pages[0], PAGE_BYTES);
	hash = strong_hash(&one, pages[0]);
	assert_int_equal(strong_hash(&one, pages[1]), hash);
	assert_int_not_equal(strong_hash(&other, pages[0]), hash);
	for (size_t i = 0; i < PAGE_BYTES; i += 61) {
		pages[1][i] ^= 1;
		assert_int_not_equal(strong_hash(&one, pages[1]), hash);
		pages[1][i] ^= 1;
	}
	/* every part of the secret counts, not just its beginning */
	for (size_t i = 0; i < sizeof(one.secret); i += 8) {
		other = one;
		memset(other.secret + i, 0x5A, 8);
		assert_int_not_equal(strong_hash(&other, pages[0]), hash);
	}
}

/* The strong hash tells apart what the checksum cannot. */
static void test_pages_made_to_collide_differ_in_the_strong_hash(void **state)
{
	struct strong_key key;
	unsigned char *a = pages[0], *b = pages[1];

	(void)state;
	assert_int_equal(strong_key_make(&key), 0);
	fill(a, 7);
	memcpy(b, a, PAGE_BYTES);
	/* CRCs are linear: adding the polynomial, shifted, changes nothing.
	 * x^32 + the rest, least significant bit of a byte first. */
	b[100] ^= 0x01;
	for (int bit = 0; bit < 32; bit++)
		if (0x82F63B78U >> bit & 1)
			b[100 + (bit + 1) / 8] ^= 1U << ((bit + 1) % 8);
	assert_memory_not_equal(a, b, PAGE_BYTES);
	assert_int_equal(crc_of(a), crc_of(b));
	assert_int_not_equal(strong_hash(&key, a), strong_hash(&key, b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_pages_have_the_checksums_of_the_accelerator),
		cmocka_unit_test(test_short_vectors),
		cmocka_unit_test(test_many_at_once_are_each_their_own),
		cmocka_unit_test(test_a_checksum_can_be_continued),
		cmocka_unit_test(test_one_byte_makes_a_page_no_page_of_zeros),
		cmocka_unit_test(test_strong_hash_depends_on_page_and_key),
		cmocka_unit_test(
			test_pages_made_to_collide_differ_in_the_strong_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
