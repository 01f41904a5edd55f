/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * checksum - one interface, several engines, equal bits
 *
 * An engine turns pages into CRC-32C (Castagnoli, RFC 3720: initial value and
 * final inversion of all ones), which is what the Data Streaming Accelerator
 * computes with flags 0 and seed 0. A checksum is a hint: what it calls equal
 * is looked at again with a strong hash, and compared by the kernel before it
 * merges.
 *
 * The strong hash is XXH3-64 with a secret made when the daemon starts: a
 * process that plants pages with equal CRCs cannot plan its collisions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ksmd-plus/types.h>

/* CRC-32C of 4096 zero bytes. */
#define CHECKSUM_ZERO_PAGE 0x98f94189U

struct checksum_engine {
	const char *name;
	/* ret[i] = CRC-32C of pages[i]; any thread, any number at once. */
	void (*pages)(const void *const pages[], size_t n, uint32_t *ret);
};

/* ISA-L's crc32_iscsi(), which picks the best instructions of this CPU. */
extern const struct checksum_engine checksum_cpu;

/* Whether all bytes of @page are zero: exact, not by checksum. */
bool checksum_is_zero(const void *page);

/* XXH3_SECRET_SIZE_MIN is 136; XXH3's own default secret has 192. */
#define STRONG_SECRET_BYTES 192

struct strong_key {
	unsigned char secret[STRONG_SECRET_BYTES];
};

/* Fill @ret with random bytes of the kernel. 0 or negative errno. */
int strong_key_make(struct strong_key *ret);

/* The keyed 64-bit hash of one page. */
uint64_t strong_hash(const struct strong_key *key, const void *page);
