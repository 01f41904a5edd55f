/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CRC as the specification describes it: a register that takes the most
 * significant bit first, data and result reflected and inverted unless that is
 * bypassed. Nothing is shared with what the daemon uses.
 */
#include "device.h"

#define POLYNOMIAL 0x1EDC6F41U

static uint32_t table[256];
static uint8_t reversed[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t reverse(uint32_t value, int bits)
{
	uint32_t r = 0;

	for (int i = 0; i < bits; i++)
		r |= (value >> i & 1) << (bits - 1 - i);
	return r;
}

static void make_tables(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i << 24;

		for (int bit = 0; bit < 8; bit++)
			c = c << 1 ^ (c >> 31 ? POLYNOMIAL : 0);
		table[i] = c;
		reversed[i] = (uint8_t)reverse(i, 8);
	}
}

uint32_t device_crc(const void *data, size_t n, uint32_t seed, uint32_t flags)
{
	bool inversion = !(flags & F_BYPASS_INV);
	const uint8_t *p = data;
	uint32_t c = inversion ? ~reverse(seed, 32) : seed;

	pthread_once(&once, make_tables);
	for (size_t i = 0; i < n; i++) {
		uint8_t b = flags & F_BYPASS_DATA ? p[i] : reversed[p[i]];

		c = c << 8 ^ table[c >> 24 ^ b];
	}
	return inversion ? ~reverse(c, 32) : c;
}
