/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hinted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* Regions that wait: 2 GiB, in buckets of a few. */
#define BUCKETS	     256U
#define BUCKET_SLOTS 4U
#define SLOTS	     (BUCKETS * BUCKET_SLOTS)
/* Places of files whose last reader is remembered: 64 MiB of them. */
#define PLACES 16384U

struct waiting {
	uint64_t base;
	uint64_t since; /* in turns; 0: the slot is free */
	uint32_t owner;
	uint32_t tries;
	struct pagemask young; /* hinted during this turn */
	struct pagemask old; /* ... during the last one */
	struct pagemask due;
	struct pagemask paired;
};

/* Who was the last to read a page from a place of a file. */
struct place {
	uint64_t address; /* 0: nobody */
	uint32_t owner;
	uint32_t tag; /* bits of the hash that are not its number */
};

struct hinted {
	struct waiting waiting[SLOTS];
	struct place places[PLACES];
	uint64_t turn;
	unsigned int cursor; /* hinted_take() goes on here */
	unsigned int n_waiting;
	struct hinted_counters counters;
};

static const struct pagemask none;

int hinted_new(struct hinted **ret)
{
	struct hinted *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->turn = 1;
	*ret = h;
	return 0;
}

struct hinted *hinted_free(struct hinted *h)
{
	free(h);
	return NULL;
}

/* The finalizer of splitmix64; Steele, Lea, Flood, OOPSLA 2014, figure 17. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static bool is_used(const struct waiting *w)
{
	return w->since != 0;
}

static bool is_idle(const struct waiting *w)
{
	return !memcmp(&w->young, &none, sizeof(none)) &&
	       !memcmp(&w->old, &none, sizeof(none)) &&
	       !memcmp(&w->due, &none, sizeof(none));
}

static void release(struct hinted *h, struct waiting *w)
{
	w->since = 0;
	h->n_waiting--;
}

/* The slot of a region; the oldest of its bucket gives way. */
static struct waiting *waiting_get(struct hinted *h, uint32_t owner,
				   uint64_t base)
{
	struct waiting *bucket =
		&h->waiting[mix(base + owner) % BUCKETS * BUCKET_SLOTS];
	struct waiting *oldest = bucket;

	for (struct waiting *w = bucket; w < bucket + BUCKET_SLOTS; w++) {
		if (is_used(w) && w->owner == owner && w->base == base)
			return w;
		if (w->since < oldest->since)
			oldest = w;
	}
	h->counters.displaced += is_used(oldest);
	h->n_waiting += !is_used(oldest);
	*oldest = (struct waiting){
		.base = base,
		.owner = owner,
		.since = h->turn,
	};
	return oldest;
}

static void page_add(struct hinted *h, uint32_t owner, uint64_t address,
		     bool paired)
{
	struct waiting *w = waiting_get(h, owner,
					address & ~(REGION_BYTES - 1));
	unsigned int page = address / PAGE_BYTES % REGION_PAGES;

	pagemask_set(&w->young, page);
	/* what was in it is gone */
	pagemask_clear(&w->old, page);
	pagemask_clear(&w->due, page);
	pagemask_clear(&w->paired, page);
	if (paired)
		pagemask_set(&w->paired, page);
}

/* The page of the last reader of this place, if there is another one. */
static bool place_take(struct hinted *h, const struct hint *hint,
		       uint64_t address, struct place *ret)
{
	uint64_t offset = hint->offset + (address - hint->address);
	uint64_t hash =
		mix(mix(hint->inode + ((uint64_t)hint->device << 32)) + offset);
	struct place *p = &h->places[hash % PLACES];
	struct place last = *p;

	*p = (struct place){ address, hint->number, (uint32_t)(hash >> 32) };
	*ret = last;
	return last.address && last.tag == p->tag &&
	       (last.owner != p->owner || last.address != address);
}

void hinted_add(struct hinted *h, const struct hint *hint)
{
	uint64_t end = (hint->address + hint->bytes) & ~(PAGE_BYTES - 1);
	uint64_t at = (hint->address + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);

	h->counters.hints++;
	/* no program's memory; rounding up would begin again at 0 */
	if (hint->address > INT64_MAX)
		return;
	for (; at < end; at += PAGE_BYTES) {
		struct place twin;
		bool paired = place_take(h, hint, at, &twin);

		if (paired)
			page_add(h, twin.owner, twin.address, true);
		page_add(h, hint->number, at, paired);
		h->counters.pairs += paired;
	}
}

void hinted_turn(struct hinted *h)
{
	h->turn++;
	for (struct waiting *w = h->waiting; w < h->waiting + SLOTS; w++) {
		if (!is_used(w))
			continue;
		for (unsigned int i = 0; i < PAGEMASK_WORDS; i++) {
			w->due.words[i] |= w->old.words[i];
			w->old.words[i] = w->young.words[i];
		}
		w->young = none;
	}
}

bool hinted_take(struct hinted *h, struct hinted_region *ret)
{
	for (unsigned int i = 0; h->n_waiting && i < SLOTS; i++) {
		struct waiting *w = &h->waiting[h->cursor];

		h->cursor = (h->cursor + 1) % SLOTS;
		if (!is_used(w) || !memcmp(&w->due, &none, sizeof(none)))
			continue;
		*ret = (struct hinted_region){
			.base = w->base,
			.owner = w->owner,
			.tries = w->tries,
			.pages = w->due,
		};
		for (unsigned int k = 0; k < PAGEMASK_WORDS; k++) {
			ret->paired.words[k] = w->paired.words[k] &
					       w->due.words[k];
			w->paired.words[k] &= ~w->due.words[k];
		}
		w->due = none;
		w->tries = 0;
		h->counters.pages += pagemask_count(&ret->pages);
		if (is_idle(w))
			release(h, w);
		return true;
	}
	return false;
}

void hinted_put_back(struct hinted *h, const struct hinted_region *region)
{
	struct waiting *w = waiting_get(h, region->owner, region->base);

	w->tries = region->tries + 1;
	h->counters.pages -= pagemask_count(&region->pages);
	for (unsigned int i = 0; i < PAGEMASK_WORDS; i++) {
		/* hinted anew meanwhile: that is what counts */
		uint64_t again = region->pages.words[i] & ~w->young.words[i];

		w->old.words[i] |= again;
		w->paired.words[i] |= region->paired.words[i] & again;
	}
}

void hinted_forget(struct hinted *h, uint32_t owner)
{
	for (struct waiting *w = h->waiting; w < h->waiting + SLOTS; w++)
		if (is_used(w) && w->owner == owner)
			release(h, w);
	for (struct place *p = h->places; p < h->places + PLACES; p++)
		if (p->owner == owner)
			p->address = 0;
}

bool hinted_is_empty(const struct hinted *h)
{
	return h->n_waiting == 0;
}

void hinted_counters(const struct hinted *h, struct hinted_counters *ret)
{
	*ret = h->counters;
}
