/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two looks of a survey, region by region, and the sorting in between:
 * what each thread does. A region is looked at by one thread at a time; of a
 * process only counters are shared.
 */
#include "survey-private.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "frameset.h"

bool survey_stopped(const struct survey *s)
{
	return atomic_load_explicit(s->stop, memory_order_relaxed) ||
	       atomic_load(&s->private->error);
}

/* The next region or part to work at, below @n; SIZE_MAX: none is left. */
static size_t next_of(struct survey *s, size_t n)
{
	size_t i = survey_stopped(s) ? n
				     : atomic_fetch_add(&s->private->next, 1);

	return i < n ? i : SIZE_MAX;
}

/* --- the first look -------------------------------------------------------- */

static uint64_t page_key(const struct survey_private *p, const void *page,
			 uint32_t crc, uint32_t domain)
{
	const unsigned char *bytes = page;
	uint64_t h = p->seed, word, key;

	if (crc == CHECKSUM_ZERO_PAGE && checksum_is_zero(page))
		return FORECAST_ZERO;
	for (unsigned int i = 0; i < KEY_WORDS; i++) {
		memcpy(&word, bytes + p->words[i] * sizeof(word), sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 32;
	}
	key = survey_mix(h ^ (uint64_t)crc << 32 ^ survey_mix(domain));
	return key ? key : 1;
}

static uint64_t frame_flags(const struct survey_private *p, uint64_t pfn)
{
	uint64_t flags = 0;

	if (p->kpageflags >= 0)
		fd_pread_full(p->kpageflags, &flags, sizeof(flags),
			      (off_t)(pfn * sizeof(flags)));
	return flags;
}

/* A page on a frame that is mapped several times. Whether it is to be read. */
static int shared_look(struct survey *s, struct survey_process *sp,
		       struct forecast_region *region, unsigned int i,
		       uint64_t pfn, bool mergeable)
{
	struct survey_private *p = s->private;
	uint64_t flags = frame_flags(p, pfn);
	bool merged = p->kpf_ksm ? flags & KAPI_KPF_KSM : mergeable;

	if (flags & KAPI_KPF_ZERO_PAGE)
		return false;
	atomic_fetch_add(merged ? &sp->merged : &sp->shared, 1);
	if (!frameset_first(p->frames, pfn))
		return false;
	if (!merged)
		return true;
	if (forecast_marks_need(region))
		return -ENOMEM;
	pagemask_set(&region->marks->merged, i);
	return true;
}

/* Whether a frame is in the sample, by whichever address it is met. */
static bool is_taken(const struct survey_private *p, uint64_t pfn)
{
	return survey_mix(p->seed + survey_mix(pfn)) >> 32 < p->take_below;
}

/* Which pages of the region are to be read. */
static int choose(struct survey *s, struct survey_process *sp,
		  struct forecast_region *region, const uint64_t *entries,
		  struct pagemask *ret_read)
{
	struct pagemask eligible, mergeable;

	memset(ret_read, 0, sizeof(*ret_read));
	reader_masks(&sp->vmas, region->base, &eligible, &mergeable);
	for (unsigned int i = pagemask_next(&eligible, 0); i < REGION_PAGES;
	     i = pagemask_next(&eligible, i + 1)) {
		int take = pagemap_is_anon(entries[i]) &&
			   is_taken(s->private, pagemap_pfn(entries[i]));

		if (take && !pagemap_is_exclusive(entries[i]))
			take = shared_look(s, sp, region, i,
					   pagemap_pfn(entries[i]),
					   pagemask_test(&mergeable, i));
		if (take < 0)
			return take;
		if (take)
			pagemask_set(ret_read, i);
	}
	return 0;
}

/* Read block @b and append the records of its pages. */
static int block_look(const struct survey *s, const struct survey_process *sp,
		      uint32_t number, unsigned int b, uint64_t mask,
		      struct worker *worker, struct forecast_record *records,
		      size_t *n)
{
	const struct survey_private *p = s->private;
	uint64_t base = s->forecast.regions[number].base +
			b * CHECKSUM_BLOCK_BYTES;
	unsigned char *area = worker->lane->area;
	int r = reader_block(&sp->process, base, &mask, area);

	for (; !r && mask; mask &= mask - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(mask);
		const void *page = area + i * PAGE_BYTES;
		uint64_t key = page_key(p, page, checksum_page(page),
					sp->domain);

		records[(*n)++] = forecast_record(key, number,
						  b * CHECKSUM_BLOCK_PAGES + i);
	}
	return r;
}

/*
 * The records of the chosen pages of a region: 0, SURVEY_GONE or negative
 * errno. What pagemap does not call present any more is not touched.
 */
static int region_look(const struct survey *s, const struct survey_process *sp,
		       uint32_t number, const struct pagemask *read,
		       struct worker *worker,
		       struct forecast_record records[REGION_PAGES], size_t *n)
{
	int r = 0;

	*n = 0;
	for (unsigned int b = 0; !r && b < PAGEMASK_WORDS; b++)
		r = block_look(s, sp, number, b, read->words[b], worker,
			       records, n);
	return r > 0 ? SURVEY_GONE : r;
}

static void records_add(struct survey *s, const struct forecast_record *v,
			size_t n)
{
	struct survey_private *p = s->private;
	size_t at = atomic_fetch_add(&p->n_records, n);
	size_t fit = at < p->capacity ? MIN(n, p->capacity - at) : 0;

	if (fit)
		memcpy(s->forecast.records + at, v, fit * sizeof(*v));
	if (fit < n)
		atomic_fetch_add(&s->n_lost, n - fit);
}

void survey_first_work(struct survey *s, struct worker *worker)
{
	struct forecast_record records[REGION_PAGES];
	size_t i, n;

	while ((i = next_of(s, s->forecast.n_regions)) != SIZE_MAX) {
		struct forecast_region *region = &s->forecast.regions[i];
		struct survey_process *sp = s->processes.v[region->owner];
		struct pagemask read;
		int r;

		if (atomic_load(&sp->gone))
			continue;
		r = pagemap_read(&sp->process, region->base, worker->pagemap);
		if (!r)
			r = choose(s, sp, region, worker->pagemap, &read);
		if (!r)
			r = region_look(s, sp, (uint32_t)i, &read, worker,
					records, &n);
		if (r < 0)
			atomic_store(&s->private->error, r);
		else if (r)
			atomic_store(&sp->gone, true);
		if (r)
			continue;
		records_add(s, records, n);
		atomic_fetch_add(&sp->looked, n);
		atomic_fetch_add(&s->n_done, n);
	}
}

void survey_sort_work(struct survey *s, struct worker *worker)
{
	struct survey_private *p = s->private;
	size_t i;

	(void)worker;
	/* to the end even if stopped: what is known is to be told */
	while ((i = atomic_fetch_add(&p->next, 1)) < FORECAST_PARTS) {
		size_t from = i ? p->ends[i - 1] : 0;

		forecast_sort(s->forecast.records + from, p->ends[i] - from);
	}
}

/* --- the second look ------------------------------------------------------- */

static bool is_chosen(const struct survey_private *p, uint64_t page)
{
	return survey_mix(p->seed ^ page) >> 32 <= p->again_share;
}

/* Read @pages again; *@pages keeps those that are as they were. */
static int again(struct survey *s, uint32_t number, struct worker *worker,
		 struct pagemask *pages)
{
	const struct forecast *f = &s->forecast;
	const struct survey_process *sp =
		s->processes.v[f->regions[number].owner];
	struct forecast_record records[REGION_PAGES];
	struct pagemask present = { 0 };
	size_t n = 0;
	int r = pagemap_read(&sp->process, f->regions[number].base,
			     worker->pagemap);

	for (unsigned int i = pagemask_next(pages, 0); !r && i < REGION_PAGES;
	     i = pagemask_next(pages, i + 1))
		if (pagemap_is_anon(worker->pagemap[i]))
			pagemask_set(&present, i);
	if (!r)
		r = region_look(s, sp, number, &present, worker, records, &n);
	atomic_fetch_add(&s->private->n_again, pagemask_count(pages));
	memset(pages, 0, sizeof(*pages));
	for (size_t i = 0; !r && i < n; i++)
		if (forecast_has(f->records, f->n, &records[i]))
			pagemask_set(pages, records[i].page % REGION_PAGES);
	return r < 0 ? r : 0;
}

/* Look at @pages of the region; how many of them have changed. */
static unsigned int again_mark(struct survey *s, size_t i,
			       struct worker *worker,
			       const struct pagemask *pages)
{
	struct forecast_marks *m = s->forecast.regions[i].marks;
	struct pagemask same = *pages;
	unsigned int n_gone = 0;
	int r = again(s, (uint32_t)i, worker, &same);

	if (r)
		atomic_store(&s->private->error, r);
	for (unsigned int k = 0; !r && k < PAGEMASK_WORDS; k++) {
		uint64_t gone = pages->words[k] & ~same.words[k];

		m->gone.words[k] |= gone;
		n_gone += (unsigned int)__builtin_popcountll(gone);
	}
	return n_gone;
}

void survey_again_work(struct survey *s, struct worker *worker)
{
	size_t i;

	while ((i = next_of(s, s->forecast.n_regions)) != SIZE_MAX) {
		const struct forecast_marks *m = s->forecast.regions[i].marks;
		struct pagemask some = { 0 }, rest;
		unsigned int n_twins, n_some;

		if (!m)
			continue;
		rest = m->twin;
		n_twins = pagemask_count(&rest);
		for (unsigned int k = pagemask_next(&rest, 0); k < REGION_PAGES;
		     k = pagemask_next(&rest, k + 1))
			if (is_chosen(s->private, i * REGION_PAGES + k))
				pagemask_set(&some, k);
		n_some = pagemask_count(&some);
		if (n_some && again_mark(s, i, worker, &some) &&
		    n_some < n_twins) {
			for (unsigned int k = 0; k < PAGEMASK_WORDS; k++)
				rest.words[k] &= ~some.words[k];
			again_mark(s, i, worker, &rest);
		}
		atomic_fetch_add(&s->n_done, n_twins);
	}
}
