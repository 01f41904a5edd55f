/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as hints of the BPF programs, with turns in between: what comes
 * out are whole pages, in regions that were hinted, with their owners.
 *
 * Records of one byte and a hint: the byte says what to do afterwards.
 */
#include "hinted.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "standalone.h"

static void take_all(struct hinted *hinted, unsigned int put_back)
{
	struct hinted_region region;
	unsigned int n = 0;

	while (hinted_take(hinted, &region)) {
		assert(region.base % REGION_BYTES == 0);
		assert(pagemask_count(&region.pages) > 0);
		for (unsigned int i = 0; i < REGION_PAGES; i++)
			assert(!pagemask_test(&region.paired, i) ||
			       pagemask_test(&region.pages, i));
		if (n++ < put_back)
			hinted_put_back(hinted, &region);
		assert(n < 100000);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hinted_counters counters;
	struct hinted *hinted = NULL;
	struct hint hint;
	uint64_t n = 0;

	assert(hinted_new(&hinted) == 0);
	while (size > sizeof(hint)) {
		unsigned int then = data[0];

		memcpy(&hint, data + 1, sizeof(hint));
		/* one read; more takes long */
		hint.bytes %= then == 255  ? 64U << 20
			      : then > 240 ? 4U << 20
					   : 128U << 10;
		data += 1 + sizeof(hint);
		size -= 1 + sizeof(hint);
		hinted_add(hinted, &hint);
		n++;
		if (then & 1)
			hinted_turn(hinted);
		if (then & 2)
			take_all(hinted, then >> 4);
		if (then & 4)
			hinted_forget(hinted, hint.number);
	}
	hinted_turn(hinted);
	hinted_turn(hinted);
	take_all(hinted, 0);
	hinted_counters(hinted, &counters);
	assert(counters.hints == n);
	hinted_free(hinted);
	return 0;
}
