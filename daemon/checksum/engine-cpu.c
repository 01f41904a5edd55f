/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine-cpu - CRC-32C on the CPU
 *
 * crc32_iscsi() uses the crc32 and carry-less multiply instructions in three
 * interleaved streams: about 0.15 us for a page that is in the cache, a
 * quarter of what copying the page costs.
 */
#include "checksum.h"

#include <isa-l/crc.h>
#include <isa-l/mem_routines.h>

static void cpu_pages(const void *const pages[], size_t n, uint32_t *ret)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = ~crc32_iscsi((unsigned char *)pages[i], PAGE_BYTES,
				      0xFFFFFFFFU);
}

const struct checksum_engine checksum_cpu = {
	.name = "cpu",
	.pages = cpu_pages,
};

bool checksum_is_zero(const void *page)
{
	return isal_zero_detect((void *)page, PAGE_BYTES) == 0;
}
