/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "execute.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#define PAGE 4096U

/* What becomes of one descriptor. */
struct outcome {
	uint8_t status; /* 0: no record, ever */
	uint8_t result;
	uint32_t done;
	uint64_t fault;
	uint32_t value; /* CRC */
	bool has_value;
	bool late;
};

static uint64_t draw(struct work *w)
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static bool happens(struct work *w, uint32_t once_in)
{
	bool yes = once_in && draw(w) % once_in == 0;

	w->counts.mishaps += yes;
	return yes;
}

static uint64_t get(const struct descriptor *d, unsigned int at, unsigned int n)
{
	uint64_t value = 0;

	memcpy(&value, d->b + at, n);
	return value;
}

static uint32_t flags_of(const struct descriptor *d)
{
	return (uint32_t)get(d, 4, 3);
}

static bool zero(const struct descriptor *d, unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i <= to; i++)
		if (d->b[i])
			return false;
	return true;
}

/* Bytes that could be read, from the first. */
static size_t memory_read(const struct work *w, uint64_t address, void *buf,
			  size_t n)
{
	struct iovec to = { buf, n }, from = { (void *)address, n };
	ssize_t r = process_vm_readv(w->pid, &to, 1, &from, 1, 0);

	return r < 0 ? 0 : (size_t)r;
}

static bool memory_write(const struct work *w, uint64_t address,
			 const void *buf, size_t n)
{
	struct iovec from = { (void *)buf, n }, to = { (void *)address, n };

	return process_vm_writev(w->pid, &from, 1, &to, 1, 0) == (ssize_t)n;
}

/* --- checks ----------------------------------------------------------------- */

static uint32_t flags_allowed(uint8_t op, bool in_batch)
{
	uint32_t flags = F_RECORD | F_REQUEST | (in_batch ? F_FENCE : 0);

	if (op == CRCGEN)
		flags |= F_READ_SEED | F_BYPASS_INV | F_BYPASS_DATA;
	if (op == COMPARE)
		flags |= F_CHECK;
	return flags;
}

/* Table 1 of the reserved bytes; everything else is zero. */
static bool reserved_are_zero(const struct descriptor *d)
{
	switch (d->b[7]) {
	case NOOP:
		return zero(d, 16, 35) && zero(d, 38, 63);
	case BATCH:
		return zero(d, 24, 31) && zero(d, 38, 63);
	case COMPARE:
		return zero(d, 38, 39) && zero(d, 41, 63);
	case CRCGEN:
		if (!zero(d, 24, 31) || !zero(d, 38, 39) || !zero(d, 56, 63))
			return false;
		return flags_of(d) & F_READ_SEED ? zero(d, 40, 47)
						 : zero(d, 44, 55);
	}
	return false;
}

/* 0, or the status that a wrong descriptor gets. */
static uint8_t check(const struct work *w, const struct descriptor *d,
		     bool in_batch)
{
	uint8_t op = d->b[7];
	uint32_t flags = flags_of(d), size = (uint32_t)get(d, 32, 4);

	if ((op != NOOP && op != BATCH && op != COMPARE && op != CRCGEN) ||
	    (op == BATCH && in_batch))
		return 0x10;
	if (flags & ~flags_allowed(op, in_batch))
		return 0x11;
	if ((op == COMPARE || op == CRCGEN) &&
	    (flags & (F_RECORD | F_REQUEST)) != (F_RECORD | F_REQUEST))
		return 0x11;
	if (get(d, 36, 2) || !reserved_are_zero(d) ||
	    (get(d, 0, 4) & 0x7ff00000))
		return 0x12;
	if (op == BATCH) {
		if (size < 2 || size > w->config.max_batch)
			return 0x14;
		return get(d, 16, 8) % 64 ? 0x18 : 0;
	}
	if ((op == COMPARE || op == CRCGEN) &&
	    (size == 0 || size > w->config.max_transfer))
		return 0x13;
	if (op == CRCGEN && (flags & F_READ_SEED) && get(d, 48, 8) % 4)
		return 0x1c;
	return 0;
}

/* --- records ---------------------------------------------------------------- */

static void nap(uint64_t usec)
{
	struct timespec t = {
		.tv_sec = (time_t)(usec / 1000000),
		.tv_nsec = (long)(usec % 1000000 * 1000),
	};

	nanosleep(&t, NULL);
}

/*
 * The record, its status last; what is not defined for the status is rubbish.
 * Who asked has to have left it as it was: zero until it is written.
 */
static void answer(struct work *w, const struct descriptor *d,
		   const struct outcome *o)
{
	uint64_t at = get(d, 8, 8);
	uint8_t record[32], status;

	if (!(flags_of(d) & F_RECORD) || !o->status || at % 32)
		return;
	for (unsigned int i = 0; i < sizeof(record); i++)
		record[i] = (uint8_t)draw(w);
	record[1] = o->result;
	memcpy(record + 4, &o->done, 4);
	memcpy(record + 8, &o->fault, 8);
	if (o->has_value)
		memcpy(record + 16, &o->value, 4);
	if (o->late)
		nap(w->config.late_usec);
	if (memory_read(w, at, &status, 1) == 1 && status)
		w->counts.touched++;
	if (memory_write(w, at + 1, record + 1, sizeof(record) - 1))
		memory_write(w, at, &o->status, 1);
}

/* --- operations ------------------------------------------------------------- */

static struct outcome fault_at(uint64_t address, size_t done)
{
	return (struct outcome){
		.status = 0x03,
		.done = (uint32_t)done,
		.fault = (address + done) & ~(uint64_t)(PAGE - 1),
	};
}

static struct outcome do_crc(struct work *w, const struct descriptor *d)
{
	uint64_t source = get(d, 16, 8);
	size_t size = get(d, 32, 4), n;
	uint32_t flags = flags_of(d), seed = (uint32_t)get(d, 40, 4);
	struct outcome o = { .status = 0x01, .has_value = true };
	uint8_t *data = malloc(size);

	if (flags & F_READ_SEED && memory_read(w, get(d, 48, 8), &seed, 4) != 4)
		o.status = 0x20;
	n = memory_read(w, source, data, size);
	if (happens(w, w->config.once_in.fault))
		n = draw(w) % size;
	if (n < size) {
		o = fault_at(source, n);
		o.has_value = n > 0;
	}
	o.value = device_crc(data, n, seed, flags);
	free(data);
	return o;
}

static struct outcome do_compare(struct work *w, const struct descriptor *d)
{
	uint64_t one = get(d, 16, 8), other = get(d, 24, 8);
	size_t size = get(d, 32, 4), n, m, i = 0;
	struct outcome o = { .status = 0x01 };
	uint8_t *a = malloc(size), *b = malloc(size);

	n = memory_read(w, one, a, size);
	m = memory_read(w, other, b, size);
	n = n < m ? n : m;
	while (i < n && a[i] == b[i])
		i++;
	if (i < n) {
		o.result = 1;
		o.done = (uint32_t)i;
	} else if (n < size) {
		o = fault_at(n == m ? other : one, n);
	}
	if (o.status == 1 && flags_of(d) & F_CHECK &&
	    o.result != (d->b[40] & 1))
		o.status = 0x02;
	free(a);
	free(b);
	return o;
}

/* Something that is not the descriptor's fault. */
static bool mishap(struct work *w, const struct descriptor *d,
		   struct outcome *ret)
{
	static const uint8_t odd[] = { 0x0b, 0x3f, 0x40, 0x80, 0xff, 0x30 };
	const struct mishaps *once_in = &w->config.once_in;
	bool batch = d->b[7] == BATCH;
	struct outcome o = { .done = (uint32_t)draw(w) };

	if (happens(w, once_in->lost))
		o.status = 0;
	else if (!batch && happens(w, once_in->request))
		o.status = 0x04;
	else if (happens(w, once_in->refused))
		o.status = (uint8_t)(0x10 + draw(w) % 10);
	else if (happens(w, batch ? once_in->list_hardware : once_in->hardware))
		o.status = (uint8_t)(0x20 + draw(w) % 3) |
			   (uint8_t)(draw(w) & 1) << 7;
	else if (happens(w, once_in->odd))
		o.status = odd[draw(w) % sizeof(odd)];
	else
		return false;
	*ret = o;
	return true;
}

static struct outcome one(struct work *w, const struct descriptor *d,
			  bool in_batch)
{
	struct outcome o = { .status = check(w, d, in_batch) };

	w->counts.submitted++;
	if (o.status) {
		w->counts.refused++;
		return o;
	}
	if (mishap(w, d, &o))
		return o;
	if (d->b[7] == CRCGEN)
		o = do_crc(w, d);
	else if (d->b[7] == COMPARE)
		o = do_compare(w, d);
	else
		o.status = 0x01;
	o.late = happens(w, w->config.once_in.late);
	w->counts.done++;
	return o;
}

/* --- batches ---------------------------------------------------------------- */

/*
 * The members, in any order, but for those behind a fence; then the batch's
 * own record. The list is still as it was, or somebody has not left it alone.
 */
static struct outcome do_batch(struct work *w, const struct descriptor *d)
{
	size_t n = get(d, 32, 4), have, first;
	struct outcome o = { .status = 0x01 };
	struct descriptor *list = malloc(n * 64), *again = malloc(n * 64);

	have = memory_read(w, get(d, 16, 8), list, n * 64) / 64;
	if (happens(w, w->config.once_in.list_fault))
		have = draw(w) % n;
	if (have < n)
		o = (struct outcome){ .status = 0x06 };
	first = have ? draw(w) % have : 0;
	for (size_t i = 0; i < have; i++) {
		const struct descriptor *m = &list[(first + i) % have];
		struct outcome member = one(w, m, true);

		if (member.status != 0x01 && o.status == 0x01)
			o.status = 0x05;
		/* with the rest of the batch, or it is no batch any more */
		o.late |= member.late;
		member.late = false;
		answer(w, m, &member);
		/* lost for good: so is the batch, or it has been seen to */
		if (!member.status && draw(w) & 1)
			o.status = 0xfe;
	}
	o.done = (uint32_t)have;
	if (o.status == 0xfe)
		o.status = 0;
	if (have == n && memory_read(w, get(d, 16, 8), again, n * 64) / 64 == n)
		w->counts.touched += memcmp(list, again, n * 64) != 0;
	free(list);
	free(again);
	return o;
}

void execute(struct work *w)
{
	struct outcome o;

	if (w->d.b[7] != BATCH) {
		o = one(w, &w->d, false);
	} else {
		o.status = check(w, &w->d, false);
		if (o.status) {
			w->counts.refused++;
			o = (struct outcome){ .status = o.status };
		} else if (!mishap(w, &w->d, &o)) {
			o = do_batch(w, &w->d);
		}
	}
	answer(w, &w->d, &o);
}
