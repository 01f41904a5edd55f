/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model itself: by the published vectors, by a CRC that is computed bit by
 * bit the other way round, and by every byte that has to be zero.
 */
#include "device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096U

static _Alignas(64) struct descriptor list[16];
static _Alignas(64) uint8_t records[16][64];
static _Alignas(4096) uint8_t page[2][PAGE];

static const struct device_config usual = {
	.shared = true,
	.batch_by_write = true,
	.size = 16,
	.max_batch = 8,
	.max_transfer = 2U << 20,
	.n_engines = 2,
	.seed = 1,
};

static void put(struct descriptor *d, unsigned int at, uint64_t value,
		unsigned int n)
{
	memcpy(d->b + at, &value, n);
}

/* Descriptor @i of the list, with record @i. */
static struct descriptor *make(unsigned int i, uint8_t op, const void *source,
			       uint32_t size)
{
	struct descriptor *d = &list[i];

	memset(d, 0, sizeof(*d));
	memset(records[i], 0, sizeof(records[i]));
	put(d, 4, F_RECORD | F_REQUEST, 3);
	d->b[7] = op;
	put(d, 8, (uintptr_t)records[i], 8);
	put(d, 16, (uintptr_t)source, 8);
	put(d, 32, size, 4);
	return d;
}

/* Submit it and wait; the record's status. */
static uint8_t run(struct device *device, const struct descriptor *d,
		   unsigned int i)
{
	assert_true(device_enqueue(device, getpid(), d));
	device_drain(device);
	return __atomic_load_n(&records[i][0], __ATOMIC_ACQUIRE);
}

static uint32_t value(unsigned int i, unsigned int at)
{
	uint32_t v;

	memcpy(&v, records[i] + at, 4);
	return v;
}

/* RFC 3720, least significant bit first. */
static uint32_t crc_bit_by_bit(const uint8_t *data, size_t n)
{
	uint32_t crc = 0xFFFFFFFFU;

	for (size_t i = 0; i < n; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78U : 0);
	}
	return ~crc;
}

static void test_crc_vectors(void **state)
{
	static const char digits[] = "123456789";
	uint8_t inc[32], dec[32];

	(void)state;
	assert_int_equal(device_crc(digits, 9, 0, 0), 0xe3069283U);
	assert_int_equal(device_crc(digits, 9, 0, F_BYPASS_INV), 0x045fc71aU);
	assert_int_equal(device_crc(digits, 9, 0, F_BYPASS_DATA), 0xa8f022a0U);
	assert_int_equal(device_crc(digits, 9, 0, F_BYPASS_INV | F_BYPASS_DATA),
			 0xc052a8c8U);
	memset(page[0], 0, PAGE);
	assert_int_equal(device_crc(page[0], PAGE, 0, 0), 0x98f94189U);
	assert_int_equal(device_crc(page[0], PAGE, 0, F_BYPASS_INV), 0);
	assert_int_equal(device_crc(page[0], PAGE, 0, F_BYPASS_DATA),
			 0x98f94189U);
	assert_int_equal(device_crc(page[0], 32, 0, 0), 0x8a9136aaU);
	memset(page[0], 0xFF, PAGE);
	assert_int_equal(device_crc(page[0], PAGE, 0, 0), 0x25c1fe13U);
	assert_int_equal(device_crc(page[0], 32, 0, 0), 0x62a8ab43U);
	for (unsigned int i = 0; i < PAGE; i++)
		page[0][i] = (uint8_t)i;
	assert_int_equal(device_crc(page[0], PAGE, 0, 0), 0x9c71fe32U);
	assert_int_equal(device_crc(page[0], PAGE, 0, F_BYPASS_DATA),
			 0xd34dd770U);
	for (unsigned int i = 0; i < 32; i++) {
		inc[i] = (uint8_t)i;
		dec[i] = (uint8_t)(31 - i);
	}
	assert_int_equal(device_crc(inc, 32, 0, 0), 0x46dd794eU);
	assert_int_equal(device_crc(dec, 32, 0, 0), 0x113fdb5cU);
}

/* Of any length, and a result continues as a seed in both ways. */
static void test_crc_is_that_of_the_bits(void **state)
{
	uint64_t x = 1;

	(void)state;
	for (unsigned int i = 0; i < PAGE; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		page[0][i] = (uint8_t)(x >> 56);
	}
	for (size_t n = 1; n < PAGE; n += 61) {
		uint32_t half = device_crc(page[0], n / 2, 0, 0);
		uint32_t raw = device_crc(page[0], n / 2, 0, F_BYPASS_INV);

		assert_int_equal(device_crc(page[0], n, 0, 0),
				 crc_bit_by_bit(page[0], n));
		assert_int_equal(device_crc(page[0] + n / 2, n - n / 2, half,
					    0),
				 crc_bit_by_bit(page[0], n));
		assert_int_equal(device_crc(page[0] + n / 2, n - n / 2, raw,
					    F_BYPASS_INV),
				 device_crc(page[0], n, 0, F_BYPASS_INV));
	}
}

static void test_crc_descriptor(void **state)
{
	struct device *device = device_new(&usual);
	struct descriptor *d = make(0, CRCGEN, page[0], PAGE);

	(void)state;
	assert_int_equal(run(device, d, 0), 0x01);
	assert_int_equal(value(0, 16), crc_bit_by_bit(page[0], PAGE));
	device_free(device);
}

static void test_compare_descriptor(void **state)
{
	struct device *device = device_new(&usual);

	(void)state;
	memcpy(page[1], page[0], PAGE);
	for (unsigned int at = 0; at <= PAGE; at += 512) {
		struct descriptor *d = make(0, COMPARE, page[0], PAGE);

		put(d, 24, (uintptr_t)page[1], 8);
		if (at < PAGE)
			page[1][at] ^= 1;
		/* status 1 is not "equal" */
		assert_int_equal(run(device, d, 0), 0x01);
		assert_int_equal(records[0][1], at < PAGE);
		if (at < PAGE)
			assert_int_equal(value(0, 4), at);
		d = make(0, COMPARE, page[0], PAGE);
		put(d, 24, (uintptr_t)page[1], 8);
		put(d, 4, F_RECORD | F_REQUEST | F_CHECK, 3);
		assert_int_equal(run(device, d, 0), at < PAGE ? 0x02 : 0x01);
		if (at < PAGE)
			page[1][at] ^= 1;
	}
	device_free(device);
}

/* Each byte that is reserved for an operation, and only these. */
static void test_reserved_bytes_are_refused(void **state)
{
	static const struct {
		uint8_t op;
		uint8_t reserved[6][2]; /* from, to */
	} ops[] = {
		{ NOOP, { { 16, 35 }, { 36, 63 } } },
		{ CRCGEN, { { 24, 31 }, { 36, 39 }, { 44, 63 } } },
		{ COMPARE, { { 36, 39 }, { 41, 63 } } },
	};
	struct device *device = device_new(&usual);

	(void)state;
	for (size_t k = 0; k < sizeof(ops) / sizeof(ops[0]); k++)
		for (unsigned int i = 16; i < 64; i++) {
			struct descriptor *d = make(0, ops[k].op, page[0],
						    PAGE);
			bool reserved = false;

			if (ops[k].op == NOOP)
				memset(d->b + 16, 0, 20);
			if (ops[k].op == COMPARE)
				put(d, 24, (uintptr_t)page[0], 8);
			for (unsigned int r = 0; r < 6; r++)
				reserved |= ops[k].reserved[r][1] >= i &&
					    ops[k].reserved[r][0] <= i;
			d->b[i] ^= 1;
			assert_int_equal(run(device, d, 0) == 0x12, reserved);
		}
	device_free(device);
}

static void test_flags_and_sizes_are_checked(void **state)
{
	struct device *device = device_new(&usual);

	(void)state;
	for (unsigned int bit = 0; bit < 24; bit++) {
		struct descriptor *d = make(0, CRCGEN, page[0], PAGE);
		bool ok = bit == 2 || bit == 3 || (bit >= 16 && bit <= 18);

		put(d, 4, 0x0CU | 1U << bit, 3);
		if (1U << bit == F_READ_SEED)
			put(d, 48, (uintptr_t)page[1], 8);
		assert_int_equal(run(device, d, 0), ok ? 0x01 : 0x11);
	}
	make(0, CRCGEN, page[0], 0);
	assert_int_equal(run(device, &list[0], 0), 0x13);
	make(0, CRCGEN, page[0], (2U << 20) + 1);
	assert_int_equal(run(device, &list[0], 0), 0x13);
	make(0, 0x1f, page[0], PAGE);
	assert_int_equal(run(device, &list[0], 0), 0x10);
	make(0, CRCGEN, page[0], PAGE);
	put(&list[0], 8, (uintptr_t)records[0] + 8, 8); /* no record, ever */
	assert_int_equal(run(device, &list[0], 0), 0);
	assert_int_equal(value(0, 8), 0);
	device_free(device);
}

static void test_unmapped_memory_is_a_partial_result(void **state)
{
	struct device *device = device_new(&usual);
	uint8_t *two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_int_equal(munmap(two + PAGE, PAGE), 0);
	memset(two, 0x5A, PAGE);
	make(0, CRCGEN, two + PAGE - 100, 200);
	assert_int_equal(run(device, &list[0], 0), 0x03);
	assert_int_equal(value(0, 4), 100);
	assert_int_equal(value(0, 16), crc_bit_by_bit(two, 100));
	munmap(two, PAGE);
	device_free(device);
}

static void test_batches(void **state)
{
	struct device *device = device_new(&usual);

	(void)state;
	for (unsigned int n = 0; n <= 9; n++) {
		for (unsigned int i = 0; i < n; i++)
			make(i, CRCGEN, page[0], PAGE);
		make(15, BATCH, list, n);
		assert_int_equal(run(device, &list[15], 15),
				 n < 2 || n > 8 ? 0x14 : 0x01);
		for (unsigned int i = 0; i < n; i++)
			assert_int_equal(records[i][0], n >= 2 && n <= 8);
	}
	for (unsigned int i = 0; i < 4; i++)
		make(i, CRCGEN, page[0], i == 2 ? 0 : PAGE);
	make(15, BATCH, list, 4);
	assert_int_equal(run(device, &list[15], 15), 0x05);
	assert_int_equal(value(15, 4), 4);
	assert_int_equal(records[2][0], 0x13);
	make(0, BATCH, list, 2); /* one within another */
	make(1, CRCGEN, page[0], PAGE);
	make(15, BATCH, list, 2);
	assert_int_equal(run(device, &list[15], 15), 0x05);
	assert_int_equal(records[0][0], 0x10);
	make(15, BATCH, (uint8_t *)list + 32, 2);
	assert_int_equal(run(device, &list[15], 15), 0x18);
	device_free(device);
}

static void test_write_is_that_of_the_driver(void **state)
{
	struct device_config config = usual;
	struct device *device;

	(void)state;
	config.batch_by_write = false;
	device = device_new(&config);
	make(0, CRCGEN, page[0], PAGE);
	make(1, BATCH, list, 2);
	assert_int_equal(device_write(device, getpid(), list, 63), 0);
	assert_int_equal(device_write(device, getpid(), list, 64 + 63), 64);
	assert_int_equal(device_write(device, getpid(), list, 128), 64);
	assert_int_equal(device_write(device, getpid(), &list[1], 64), -EINVAL);
	put(&list[0], 8, (uintptr_t)records[0] + 8, 8);
	assert_int_equal(device_write(device, getpid(), list, 64), -EINVAL);
	device_drain(device);
	device_enable(device, false);
	make(0, CRCGEN, page[0], PAGE);
	assert_int_equal(device_write(device, getpid(), list, 64), -EAGAIN);
	device_free(device);
}

/* What was handed over is left alone: whoever does not is found. */
static void test_a_record_that_is_not_zero_is_noticed(void **state)
{
	struct device *device = device_new(&usual);
	struct device_counts counts;

	(void)state;
	make(0, CRCGEN, page[0], PAGE);
	records[0][0] = 1;
	run(device, &list[0], 0);
	device_counts(device, &counts);
	assert_int_equal(counts.touched, 1);
	device_free(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc_vectors),
		cmocka_unit_test(test_crc_is_that_of_the_bits),
		cmocka_unit_test(test_crc_descriptor),
		cmocka_unit_test(test_compare_descriptor),
		cmocka_unit_test(test_reserved_bytes_are_refused),
		cmocka_unit_test(test_flags_and_sizes_are_checked),
		cmocka_unit_test(test_unmapped_memory_is_a_partial_result),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_write_is_that_of_the_driver),
		cmocka_unit_test(test_a_record_that_is_not_zero_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
