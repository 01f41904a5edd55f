/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dsa-ring.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "dsa-queues.h"
#include "dsa-wq.h"

#define NSEC_PER_MSEC (NSEC_PER_USEC * 1000)

/* A wait that ends too early is followed by ones of at least this. */
#define LOOK_NSEC     (20 * NSEC_PER_USEC)
#define LOOK_MAX_NSEC NSEC_PER_MSEC
/* Bounds of what is expected of a batch: a page's way, and a busy device. */
#define EXPECTED_MIN_NSEC (5 * NSEC_PER_USEC)
#define EXPECTED_MAX_NSEC (2 * NSEC_PER_MSEC)
/* Batches in a row that hit an error of the machine, or a full queue. */
#define HARDWARE_MAX 8U
#define BUSY_MAX     16U
/* Others have all entries: 20, 40, ... 640 us, then it is the CPU's. */
#define CREDIT_WAITS 6U
/* Pages to try a queue with, over two different ones. */
#define TRY_PAGES 16U

/* Pages of one batch by what became of them. */
struct tally {
	unsigned int n[DSA_CAUSE_MAX_];
	bool lost;
};

int dsa_ring_init(struct dsa_ring *ring, const struct checksum_engine *engine,
		  struct dsa_ring_env *env)
{
	memset(ring, 0, sizeof(*ring));
	ring->env = env;
	ring->set = dsa_set_new();
	if (!ring->set)
		return -ENOMEM;
	ring->spare = dsa_set_new();
	ring->lane = (struct checksum_lane){
		.engine = engine,
		.area = ring->set->area,
		.n_blocks = REGION_PAGES / CHECKSUM_BLOCK_PAGES,
	};
	return 0;
}

void dsa_ring_clear(struct dsa_ring *ring)
{
	dsa_ring_reap(ring);
	dsa_set_drop(ring->set);
	if (ring->spare)
		dsa_set_drop(ring->spare);
}

static void count(struct dsa_ring *ring, enum dsa_cause cause, uint64_t pages)
{
	atomic_fetch_add(&ring->env->pages[cause], pages);
}

/* Pages [@from, slot->n) of @slot, by the CPU. */
static void slot_by_cpu(struct dsa_ring *ring, const struct dsa_slot *slot,
			unsigned int from, enum dsa_cause cause)
{
	for (unsigned int i = from; i < slot->n; i++)
		*slot->items[i].ret = checksum_page(slot->items[i].page);
	count(ring, cause, slot->n - from);
}

/* --- back ------------------------------------------------------------------- */

static bool slot_done(const struct dsa_slot *slot,
		      const struct dsa_set_slot *mem)
{
	if (slot->batched)
		return dsa_record_written(&mem->batch_record);
	for (unsigned int i = 0; i < slot->accepted; i++)
		if (!dsa_record_written(&mem->records[i]))
			return false;
	return true;
}

static void rest(uint64_t nsec)
{
	struct timespec t = {
		.tv_sec = (time_t)(nsec / NSEC_PER_SEC),
		.tv_nsec = (long)(nsec % NSEC_PER_SEC),
	};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* What is expected follows what was: down a little after each wait that was
 * long enough, up by a quarter of what was missing. */
static void expect(struct dsa_wq *wq, uint64_t expected, uint64_t was)
{
	if (was > expected)
		expected += (was - expected) / 4;
	else
		expected -= expected / 16;
	expected = MAX(MIN(expected, EXPECTED_MAX_NSEC), EXPECTED_MIN_NSEC);
	atomic_store(&wq->expected_nsec, expected);
}

/* Sleep as long as it usually takes, then look. False: not in time. */
static bool slot_wait(const struct dsa_ring *ring, const struct dsa_slot *slot,
		      const struct dsa_set_slot *mem)
{
	uint64_t expected = atomic_load(&slot->wq->expected_nsec);
	uint64_t since = clock_nsec(CLOCK_MONOTONIC) - slot->at_nsec;
	uint64_t step = MAX(expected / 4, LOOK_NSEC), was = expected;

	if (slot_done(slot, mem))
		return true;
	if (since < expected)
		rest(expected - since);
	while (!slot_done(slot, mem)) {
		was = clock_nsec(CLOCK_MONOTONIC) - slot->at_nsec;
		if (was > ring->env->timeout_nsec)
			return slot_done(slot, mem);
		rest(step);
		was += step;
		step = MIN(step * 2, LOOK_MAX_NSEC);
	}
	expect(slot->wq, expected, was);
	return true;
}

/*
 * One page by its own record. @executed: the device says that it has seen to
 * it, so a record that is not there may still come.
 */
static void judge_page(const struct dsa_slot *slot,
		       const struct dsa_set_slot *mem, unsigned int i,
		       bool executed, struct tally *tally)
{
	const struct checksum_item *item = &slot->items[i];
	enum dsa_cause cause = dsa_desc_judge_crc(&mem->records[i], item->page,
						  item->ret);

	if (cause == DSA_CAUSE_SKIPPED && executed) {
		cause = DSA_CAUSE_LOST;
		tally->lost = true;
	}
	tally->n[cause]++;
}

static void judge_batch(const struct dsa_slot *slot,
			const struct dsa_set_slot *mem, struct tally *tally)
{
	unsigned int executed;
	enum dsa_cause cause = dsa_desc_judge_batch(&mem->batch_record,
						    slot->accepted, &executed);

	if (cause == DSA_CAUSE_NONE || cause == DSA_CAUSE_SKIPPED) {
		for (unsigned int i = 0; i < slot->accepted; i++)
			judge_page(slot, mem, i, executed == slot->accepted,
				   tally);
		return;
	}
	for (unsigned int i = 0; i < slot->accepted; i++)
		*slot->items[i].ret = checksum_page(slot->items[i].page);
	tally->n[cause] += slot->accepted;
	/* only a refused one has surely not begun */
	tally->lost = cause != DSA_CAUSE_REFUSED;
}

static void judge_slot(const struct dsa_slot *slot,
		       const struct dsa_set_slot *mem, bool in_time,
		       struct tally *tally)
{
	if (!slot->batched) {
		for (unsigned int i = 0; i < slot->accepted; i++)
			judge_page(slot, mem, i, true, tally);
		return;
	}
	if (in_time) {
		judge_batch(slot, mem, tally);
		return;
	}
	for (unsigned int i = 0; i < slot->accepted; i++)
		*slot->items[i].ret = checksum_page(slot->items[i].page);
	tally->n[DSA_CAUSE_LOST] += slot->accepted;
	tally->lost = true;
}

/* The circuit breaker. */
static void judge_queue(struct dsa_ring *ring, struct dsa_wq *wq,
			const struct tally *tally)
{
	struct dsa_queues *queues = ring->env->queues;

	if (tally->lost || tally->n[DSA_CAUSE_LOST]) {
		dsa_queues_retire(queues, wq, DSA_CAUSE_LOST);
	} else if (tally->n[DSA_CAUSE_REFUSED]) {
		dsa_queues_retire(queues, wq, DSA_CAUSE_REFUSED);
	} else if (tally->n[DSA_CAUSE_ODD]) {
		dsa_queues_retire(queues, wq, DSA_CAUSE_ODD);
	} else if (tally->n[DSA_CAUSE_HARDWARE]) {
		if (atomic_fetch_add(&wq->failures, 1) + 1 >= HARDWARE_MAX)
			dsa_queues_retire(queues, wq, DSA_CAUSE_HARDWARE);
	} else {
		atomic_store(&wq->failures, 0);
		dsa_queues_good(queues);
	}
}

/* The oldest batch in flight. */
static struct tally finish_oldest(struct dsa_ring *ring)
{
	unsigned int at = ring->first;
	struct dsa_slot *slot = &ring->slots[at];
	const struct dsa_set_slot *mem = &ring->set->slots[at];
	struct tally tally = { 0 };
	bool in_time = slot_wait(ring, slot, mem);

	judge_slot(slot, mem, in_time, &tally);
	for (int c = 0; c < DSA_CAUSE_MAX_; c++)
		if (tally.n[c])
			count(ring, (enum dsa_cause)c, tally.n[c]);
	judge_queue(ring, slot->wq, &tally);
	if (tally.lost) {
		dsa_queues_hold(ring->env->queues, slot->wq, ring->set, at);
		ring->lost = true;
	} else {
		dsa_wq_give(slot->wq, slot->batched ? 1 : slot->accepted);
	}
	dsa_queues_drop(ring->env->queues, slot->wq);
	ring->first = (ring->first + 1) % DSA_SLOTS;
	ring->n_flying--;
	return tally;
}

/* --- there ------------------------------------------------------------------ */

static unsigned int gathered(const struct dsa_ring *ring)
{
	return (ring->first + ring->n_flying) % DSA_SLOTS;
}

/* Descriptors for all pages of @slot, handed to its queue. */
static int slot_send(struct dsa_slot *slot, struct dsa_set_slot *mem)
{
	int r;

	for (unsigned int i = 0; i < slot->n; i++)
		dsa_desc_crc(&mem->list[i], slot->items[i].page,
			     &mem->records[i]);
	slot->at_nsec = clock_nsec(CLOCK_MONOTONIC);
	if (!slot->batched)
		return dsa_wq_submit(slot->wq, mem->list, slot->n);
	dsa_desc_batch(&mem->batch, mem->list, slot->n, &mem->batch_record);
	r = dsa_wq_submit(slot->wq, &mem->batch, 1);
	return r > 0 ? (int)slot->n : r;
}

/* The queue took less than all of @slot. */
static void slot_rejected(struct dsa_ring *ring, struct dsa_slot *slot, int r)
{
	bool busy = r == -EAGAIN || r > 0;
	enum dsa_cause cause = busy ? DSA_CAUSE_BUSY : DSA_CAUSE_REFUSED;

	if (!busy || atomic_fetch_add(&slot->wq->failures, 1) + 1 >= BUSY_MAX)
		dsa_queues_retire(ring->env->queues, slot->wq, cause);
	slot_by_cpu(ring, slot, slot->accepted, cause);
	dsa_wq_give(slot->wq, slot->batched ? 1 : slot->n - slot->accepted);
}

/* Send what was gathered. Negative errno if the queue refused. */
static int flush(struct dsa_ring *ring, unsigned int least)
{
	unsigned int at = gathered(ring);
	struct dsa_slot *slot = &ring->slots[at];
	enum dsa_cause cause = DSA_CAUSE_NONE;
	unsigned int waits = 0;
	int r = 0;

	ring->gathering = false;
	slot->batched = dsa_wq_batches(slot->wq) && slot->n >= DSA_BATCH_MIN;
	if (slot->n < least)
		cause = DSA_CAUSE_SHORT;
	while (!cause && !dsa_wq_take(slot->wq, slot->batched ? 1 : slot->n)) {
		if (ring->n_flying)
			finish_oldest(ring);
		else if (waits < CREDIT_WAITS)
			rest(LOOK_NSEC << waits++);
		else
			cause = DSA_CAUSE_BUSY;
	}
	slot->accepted = 0;
	if (cause) {
		slot_by_cpu(ring, slot, 0, cause);
	} else {
		r = slot_send(slot, &ring->set->slots[at]);
		slot->accepted = r > 0 ? (unsigned int)r : 0;
		if (slot->accepted < slot->n)
			slot_rejected(ring, slot, r);
	}
	if (slot->accepted) {
		atomic_fetch_add(&ring->env->batches, 1);
		ring->n_flying++;
	} else {
		dsa_queues_drop(ring->env->queues, slot->wq);
	}
	return r < 0 ? r : 0;
}

/* A slot and a queue to gather for; false if there is none. */
static bool begin(struct dsa_ring *ring)
{
	struct dsa_slot *slot;

	if (ring->n_flying == DSA_SLOTS)
		finish_oldest(ring);
	if (ring->lost || !ring->spare)
		return false;
	slot = &ring->slots[gathered(ring)];
	slot->wq = dsa_queues_pick(ring->env->queues);
	slot->n = 0;
	ring->gathering = slot->wq != NULL;
	return ring->gathering;
}

void dsa_ring_submit(struct dsa_ring *ring, const struct checksum_item *items,
		     size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct dsa_slot *slot;

		if (!ring->gathering && !begin(ring)) {
			count(ring, DSA_CAUSE_NO_QUEUE, n - i);
			for (; i < n; i++)
				*items[i].ret = checksum_page(items[i].page);
			return;
		}
		slot = &ring->slots[gathered(ring)];
		slot->items[slot->n++] = items[i];
		if (slot->n == slot->wq->batch_max)
			flush(ring, ring->env->least_pages);
	}
}

/* The set is the device's now; go on with the other one. */
static void renew(struct dsa_ring *ring)
{
	if (ring->lost) {
		dsa_queues_put_aside(ring->env->queues, ring->set);
		ring->set = TAKE_PTR(ring->spare);
		ring->lane.area = ring->set->area;
		ring->lost = false;
	}
	if (!ring->spare)
		ring->spare = dsa_set_new();
}

void dsa_ring_reap(struct dsa_ring *ring)
{
	if (ring->gathering)
		flush(ring, ring->env->least_pages);
	while (ring->n_flying)
		finish_oldest(ring);
	renew(ring);
}

/* What a trial came to; @ring's slot is @slot. */
static enum dsa_cause try_flush(struct dsa_ring *ring,
				const struct dsa_slot *slot)
{
	struct tally tally = { 0 };
	int r = flush(ring, 1);

	if (ring->n_flying)
		tally = finish_oldest(ring);
	/* a page fault is nobody's failure */
	if (tally.n[DSA_CAUSE_NONE] &&
	    tally.n[DSA_CAUSE_NONE] + tally.n[DSA_CAUSE_FAULT] == slot->n)
		return DSA_CAUSE_NONE;
	for (int c = DSA_CAUSE_NONE + 1; c < DSA_CAUSE_MAX_; c++)
		if (tally.n[c])
			return (enum dsa_cause)c;
	return r < 0 && r != -EAGAIN ? DSA_CAUSE_REFUSED : DSA_CAUSE_BUSY;
}

enum dsa_cause dsa_ring_try(struct dsa_ring *ring, struct dsa_wq *wq)
{
	struct dsa_slot *slot = &ring->slots[ring->first];
	unsigned char *pages = ring->set->area;
	uint32_t crc[TRY_PAGES] = { 0 }, right[2];
	enum dsa_cause cause;

	if (!ring->spare)
		return DSA_CAUSE_NO_QUEUE;
	memset(pages, 0, PAGE_BYTES);
	for (unsigned int i = 0; i < PAGE_BYTES; i++)
		pages[PAGE_BYTES + i] = (unsigned char)i;
	right[0] = CHECKSUM_ZERO_PAGE;
	right[1] = checksum_page(pages + PAGE_BYTES);
	slot->wq = wq;
	slot->n = MIN(TRY_PAGES, wq->batch_max);
	for (unsigned int i = 0; i < slot->n; i++)
		slot->items[i] = (struct checksum_item){
			.page = pages + i % 2 * PAGE_BYTES,
			.ret = &crc[i],
		};
	dsa_queues_ref(ring->env->queues, wq);
	cause = try_flush(ring, slot);
	for (unsigned int i = 0; i < slot->n; i++)
		if (crc[i] != right[i % 2])
			cause = DSA_CAUSE_ODD;
	renew(ring);
	return cause;
}
