/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "regions.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "index.h"

/* The checksums of a region all of whose pages are known. */
#define REGION_CRC_BYTES (REGION_PAGES * sizeof(uint32_t))
/* What a new region takes, and will take when all its pages are known. */
#define REGION_NEED_BYTES (sizeof(struct region) + REGION_CRC_BYTES)

void regions_clear(struct regions *regions)
{
	for (size_t i = 0; i < regions->table.n; i++) {
		if (regions->table.v[i])
			free(regions->table.v[i]->crc);
		free(regions->table.v[i]);
	}
	vec_free(&regions->table);
	vec_free(&regions->free_numbers);
}

static uint64_t bytes_owed(const struct regions *regions)
{
	return regions->bytes + regions->n_unseen * REGION_CRC_BYTES;
}

bool regions_are_full(const struct regions *regions, uint64_t more)
{
	return bytes_owed(regions) + more > regions->max_bytes;
}

uint64_t regions_room(const struct regions *regions)
{
	uint64_t owed = bytes_owed(regions);

	return owed < regions->max_bytes
		       ? (regions->max_bytes - owed) / REGION_NEED_BYTES
		       : 0;
}

int regions_add(struct regions *regions, const struct region *like,
		uint32_t *ret)
{
	_cleanup_free_ struct region *region = NULL;
	uint32_t number;

	if (!regions_room(regions) || regions->table.n >= INDEX_MAX_REGIONS)
		return 1;
	region = malloc(sizeof(*region));
	if (!region)
		return -ENOMEM;
	*region = *like;
	if (regions->free_numbers.n) {
		number = regions->free_numbers.v[--regions->free_numbers.n];
		regions->table.v[number] = TAKE_PTR(region);
	} else {
		number = (uint32_t)regions->table.n;
		/* room for its return, so that removing cannot fail */
		if (vec_reserve(&regions->free_numbers, regions->table.n + 1) ||
		    vec_push(&regions->table, region))
			return -ENOMEM;
		TAKE_PTR(region);
	}
	regions->n++;
	regions->n_unseen++;
	regions->bytes += sizeof(*region);
	*ret = number;
	return 0;
}

void regions_remove(struct regions *regions, uint32_t number)
{
	static const struct pagemask none;
	struct region *region = regions->table.v[number];

	regions_set_known(regions, region, &none, NULL, 0);
	regions_set_seen(regions, region);
	free(region);
	regions->table.v[number] = NULL;
	regions->n--;
	regions->bytes -= sizeof(*region);
	regions->free_numbers.v[regions->free_numbers.n++] = number;
}

void regions_set_known(struct regions *regions, struct region *region,
		       const struct pagemask *known, uint32_t *crc,
		       unsigned int n)
{
	unsigned int n_old = pagemask_count(&region->known);
	uint32_t *fit = n ? realloc(crc, n * sizeof(*crc)) : NULL;

	if (!n)
		free(crc);
	free(region->crc);
	region->crc = n && !fit ? crc : fit;
	region->known = *known;
	regions->n_pages += n;
	regions->n_pages -= n_old;
	regions->bytes += n * sizeof(*crc);
	regions->bytes -= n_old * sizeof(*crc);
}

void regions_set_seen(struct regions *regions, struct region *region)
{
	regions->n_unseen -= !region->seen;
	region->seen = true;
}

uint32_t regions_crc(const struct region *region, unsigned int page)
{
	assert(pagemask_test(&region->known, page));
	return region->crc[pagemask_rank(&region->known, page)];
}
