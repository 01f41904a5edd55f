/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pfnset.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cleanup.h"

/* Slots looked at before a frame is given up. */
#define PROBES 16

/* The checksum is valid once bit 32 of @value is set. */
#define VALUE_VALID (1ULL << 32)

struct slot {
	_Atomic uint64_t pfn; /* 0 is free; frame 0 holds no user memory */
	_Atomic uint64_t value;
};

struct pfnset {
	size_t n_slots;
	struct slot *slots;
};

int pfnset_new(size_t slots, struct pfnset **ret)
{
	_cleanup_free_ struct pfnset *set = calloc(1, sizeof(*set));

	assert(slots && !(slots & (slots - 1)));
	if (!set)
		return -ENOMEM;
	set->n_slots = slots;
	set->slots = mmap(NULL, slots * sizeof(struct slot),
			  PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (set->slots == MAP_FAILED)
		return -errno;
	madvise(set->slots, slots * sizeof(struct slot), MADV_DONTDUMP);
	*ret = TAKE_PTR(set);
	return 0;
}

struct pfnset *pfnset_free(struct pfnset *set)
{
	if (set) {
		munmap(set->slots, set->n_slots * sizeof(struct slot));
		free(set);
	}
	return NULL;
}

void pfnset_clear(struct pfnset *set)
{
	madvise(set->slots, set->n_slots * sizeof(struct slot), MADV_DONTNEED);
}

/* Fibonacci hashing: neighbouring frames go to distant slots. */
static size_t slot_of(const struct pfnset *set, uint64_t pfn)
{
	return (size_t)(pfn * 0x9E3779B97F4A7C15ULL >> 20) & (set->n_slots - 1);
}

bool pfnset_get(const struct pfnset *set, uint64_t pfn, uint32_t *ret_crc)
{
	size_t at = slot_of(set, pfn);

	for (int i = 0; i < PROBES; i++, at = (at + 1) & (set->n_slots - 1)) {
		struct slot *s = &set->slots[at];
		uint64_t there = atomic_load_explicit(&s->pfn,
						      memory_order_relaxed);

		if (!there)
			return false;
		if (there == pfn) {
			uint64_t value = atomic_load_explicit(
				&s->value, memory_order_relaxed);

			*ret_crc = (uint32_t)value;
			return value & VALUE_VALID;
		}
	}
	return false;
}

void pfnset_put(struct pfnset *set, uint64_t pfn, uint32_t crc)
{
	size_t at = slot_of(set, pfn);

	for (int i = 0; i < PROBES; i++, at = (at + 1) & (set->n_slots - 1)) {
		struct slot *s = &set->slots[at];
		uint64_t there = 0;

		if (atomic_compare_exchange_strong(&s->pfn, &there, pfn) ||
		    there == pfn) {
			atomic_store_explicit(&s->value, crc | VALUE_VALID,
					      memory_order_relaxed);
			return;
		}
	}
}
