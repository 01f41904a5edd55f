/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reader.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "pfnset.h"
#include "search.h"
#include "vmread.h"

int reader_map(const struct reader *reader, const struct process *process,
	       int smaps, bool only_mergeable, struct reader_map *ret)
{
	struct vmas all = { 0 };
	int r;

	memset(ret, 0, sizeof(*ret));
	r = vmas_read_open(smaps, &all, &ret->n_mappings);
	for (size_t i = 0; !r && i < all.n; i++) {
		const struct vma *v = &all.v[i];

		if (only_mergeable && !v->mergeable)
			continue;
		r = pagemap_regions(process, v, reader->pagemap_scan,
				    &ret->regions);
		if (r == PAGEMAP_SPARSE) {
			ret->sparse++;
			r = 0;
		} else if (!r) {
			r = vec_push(&ret->vmas, *v);
		}
	}
	vec_free(&all);
	return r > 0 ? READER_GONE : r;
}

void reader_map_clear(struct reader_map *map)
{
	vec_free(&map->vmas);
	vec_free(&map->regions);
}

/* The first mapping that ends above @base. */
static size_t vma_find(const struct vmas *vmas, uint64_t base)
{
	return search_first(vmas->n, i, vmas->v[i].end > base);
}

bool reader_is_mergeable(const struct vmas *vmas, uint64_t address)
{
	size_t i = vma_find(vmas, address);

	return i < vmas->n && vmas->v[i].start <= address &&
	       vmas->v[i].mergeable;
}

void reader_masks(const struct vmas *vmas, uint64_t base,
		  struct pagemask *ret_eligible, struct pagemask *ret_mergeable)
{
	memset(ret_eligible, 0, sizeof(*ret_eligible));
	memset(ret_mergeable, 0, sizeof(*ret_mergeable));
	for (size_t i = vma_find(vmas, base);
	     i < vmas->n && vmas->v[i].start < base + REGION_BYTES; i++) {
		uint64_t from = MAX(vmas->v[i].start, base) - base;
		uint64_t to = MIN(vmas->v[i].end, base + REGION_BYTES) - base;

		pagemask_set_range(ret_eligible,
				   (unsigned int)(from / PAGE_BYTES),
				   (unsigned int)(to / PAGE_BYTES));
		if (vmas->v[i].mergeable)
			pagemask_set_range(ret_mergeable,
					   (unsigned int)(from / PAGE_BYTES),
					   (unsigned int)(to / PAGE_BYTES));
	}
}

/*
 * Pages are copied in blocks of one mask word, to one of the places that the
 * lane's engine works on at a time, or the only one.
 */
static_assert(CHECKSUM_BLOCK_PAGES == 64, "a word of a mask is a block");

/* Where block @b is put. */
static unsigned char *block_area(const struct checksum_lane *lane,
				 unsigned int b)
{
	return lane->area + b % lane->n_blocks * CHECKSUM_BLOCK_BYTES;
}

int reader_block(const struct process *process, uint64_t base, uint64_t *mask,
		 unsigned char *area)
{
	struct pagemask pages = { .words = { *mask } };
	int r;

	if (!*mask)
		return 0;
	r = vmread_region(process, base, &pages, area);
	if (!r)
		*mask = pages.words[0];
	return r;
}

/* Have the pages of @mask in @area checksummed into @crc. */
static void block_submit(struct checksum_lane *lane, uint64_t mask,
			 const unsigned char *area, uint32_t *crc)
{
	struct checksum_item items[CHECKSUM_BLOCK_PAGES];
	size_t n = 0;

	for (; mask; mask &= mask - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(mask);

		items[n++] = (struct checksum_item){
			.page = area + i * PAGE_BYTES,
			.ret = &crc[i],
		};
	}
	lane->engine->submit(lane, items, n);
}

/* Copy the pages of @read and checksum them into @crc. *@read loses what could
 * not be read. */
static int region_read(const struct process *process, uint64_t base,
		       struct worker *worker, struct pagemask *read,
		       uint32_t crc[REGION_PAGES])
{
	struct checksum_lane *lane = worker->lane;
	int r = 0;

	worker->used = true;
	for (unsigned int b = 0; !r && b < PAGEMASK_WORDS; b++) {
		unsigned char *area = block_area(lane, b);

		r = reader_block(process, base + b * CHECKSUM_BLOCK_BYTES,
				 &read->words[b], area);
		if (!r)
			block_submit(lane, read->words[b], area,
				     &crc[b * CHECKSUM_BLOCK_PAGES]);
	}
	lane->engine->reap(lane); /* also where the rest is not to be had */
	return r;
}

/* Sort the pages of a region: what must be read, what is known already. */
static void look_plan(const struct reader *reader, const uint64_t *entries,
		      const struct pagemask *merged, struct look *look,
		      struct pagemask *ret_read)
{
	for (unsigned int i = pagemask_next(&look->present, 0);
	     i < REGION_PAGES; i = pagemask_next(&look->present, i + 1)) {
		uint64_t e = entries[i];

		if (!pagemap_is_anon(e)) {
			pagemask_clear(&look->present, i);
			continue;
		}
		if (pagemap_is_exclusive(e)) {
			/* one that was merged and is no more has changed */
			if (!pagemask_test(&look->skip, i) ||
			    pagemask_test(merged, i))
				pagemask_set(ret_read, i);
			continue;
		}
		pagemask_set(&look->shared, i);
		if (pagemask_test(&look->skip, i) ||
		    (pagemask_test(merged, i) &&
		     pagemask_test(&look->mergeable, i)))
			continue;
		if (pfnset_get(reader->seen, pagemap_pfn(e), &look->crc[i])) {
			pagemask_set(&look->alias, i);
			pagemask_set(&look->checked, i);
			continue;
		}
		pagemask_set(ret_read, i);
	}
}

int reader_look(const struct reader *reader, const struct process *process,
		uint64_t base, const struct pagemask *merged,
		struct worker *worker, struct look *look)
{
	struct pagemask read = { 0 };
	int r;

	memset(&look->shared, 0, sizeof(look->shared));
	memset(&look->checked, 0, sizeof(look->checked));
	memset(&look->alias, 0, sizeof(look->alias));
	r = pagemap_read(process, base, worker->pagemap);
	if (r)
		return r > 0 ? READER_GONE : r;
	look_plan(reader, worker->pagemap, merged, look, &read);
	r = region_read(process, base, worker, &read, look->crc);
	if (r)
		return r > 0 ? READER_GONE : r;
	for (unsigned int i = pagemask_next(&read, 0); i < REGION_PAGES;
	     i = pagemask_next(&read, i + 1)) {
		pagemask_set(&look->checked, i);
		if (pagemask_test(&look->shared, i))
			pfnset_put(reader->seen,
				   pagemap_pfn(worker->pagemap[i]),
				   look->crc[i]);
	}
	return 0;
}

/*
 * The second look at the pages of one block that are in the worker's hands.
 * The CPU's, whatever the engine: it has to read each page for the strong hash
 * anyway, and the few candidates are in its cache.
 */
static void block_settle(const struct reader *reader,
			 const struct worker *worker, unsigned int block,
			 struct pagemask *pages, struct reader_settle *settle)
{
	unsigned int first = block * CHECKSUM_BLOCK_PAGES;

	for (unsigned int i = pagemask_next(pages, first);
	     i < first + CHECKSUM_BLOCK_PAGES;
	     i = pagemask_next(pages, i + 1)) {
		const void *page = worker->lane->area +
				   (i - first) * PAGE_BYTES;

		if (checksum_page(page) != settle->crc[i]) {
			pagemask_clear(pages, i);
			pagemask_set(&settle->changed, i);
			continue;
		}
		settle->pfn[i] = pagemap_pfn(worker->pagemap[i]);
		if (!pagemap_is_exclusive(worker->pagemap[i]))
			pagemask_set(&settle->shared, i);
		if (settle->crc[i] == CHECKSUM_ZERO_PAGE &&
		    checksum_is_zero(page))
			pagemask_set(&settle->zero, i);
		else
			settle->hash[i] = strong_hash(&reader->key, page);
	}
}

int reader_settle(const struct reader *reader, const struct process *process,
		  uint64_t base, struct worker *worker,
		  struct reader_settle *settle)
{
	struct pagemask pages = settle->pages;
	int r = pagemap_read(process, base, worker->pagemap);

	if (r)
		return r > 0 ? READER_GONE : r;
	for (unsigned int i = pagemask_next(&pages, 0); i < REGION_PAGES;
	     i = pagemask_next(&pages, i + 1))
		if (!pagemap_is_anon(worker->pagemap[i]))
			pagemask_clear(&pages, i);
	memset(&settle->zero, 0, sizeof(settle->zero));
	memset(&settle->shared, 0, sizeof(settle->shared));
	memset(&settle->changed, 0, sizeof(settle->changed));
	worker->used = true;
	for (unsigned int b = 0; b < PAGEMASK_WORDS; b++) {
		r = reader_block(process, base + b * CHECKSUM_BLOCK_BYTES,
				 &pages.words[b], worker->lane->area);
		if (r)
			return r > 0 ? READER_GONE : r;
		block_settle(reader, worker, b, &pages, settle);
	}
	settle->pages = pages;
	return 0;
}
