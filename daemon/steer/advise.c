/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "advise.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attempt.h"
#include "cleanup.h"
#include "clock.h"
#include "injectee.h"
#include "kernel-api.h"
#include "tracee.h"

/*
 * How long a stop may become. The last call may go over it: a hold of 1 ms at
 * the 99th percentile is the promise.
 */
#define HOLD_NSEC (500 * NSEC_PER_USEC)

/* With fewer pieces than this, mapping a page for them is the longer way. */
#define VECTOR_MIN 5

/*
 * Pieces in one call. An isolated range costs 2 to 3 us: about 200 us, after
 * which the clock is looked at.
 */
#define VECTOR_MAX 64

/* Restart codes of the kernel, which a tracer sees. */
#define ERESTARTSYS	      512
#define ERESTART_RESTARTBLOCK 516

static struct iovec vector[VECTOR_MAX];
static_assert(sizeof(vector) <= PAGE_BYTES, "the scratch page is one page");

bool advise_has_vectors(void)
{
	static char page[2 * PAGE_BYTES];
	uintptr_t start = ((uintptr_t)page + PAGE_BYTES - 1) & -PAGE_BYTES;
	struct iovec iov = { (void *)start, PAGE_BYTES };

	return syscall(__NR_process_madvise, KAPI_PIDFD_SELF_THREAD, &iov, 1,
		       MADV_NORMAL, 0) == (long)PAGE_BYTES;
}

static int advice_of(const struct attempt *a)
{
	return a->op == INJECT_MERGEABLE ? MADV_MERGEABLE : MADV_UNMERGEABLE;
}

static int scratch_map(struct attempt *a, struct tracee *t)
{
	/* No accounting, so that it joins none of the program's mappings. */
	const uint64_t args[6] = {
		0,
		PAGE_BYTES,
		PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		(uint64_t)-1,
		0,
	};
	int64_t value;
	int r = tracee_call(t, SYS_mmap, args, &value);

	if (r)
		return r;
	if (value < 0 && value >= -4095)
		return 0;
	a->injectee->scratch = (uint64_t)value;
	a->injectee->scratch_word = 0;
	return 0;
}

int advise_drop_scratch(struct attempt *a, struct tracee *t)
{
	const uint64_t args[6] = { a->injectee->scratch, PAGE_BYTES };
	uint64_t word;
	int64_t value;
	int r;

	if (!a->injectee->scratch)
		return 0;
	if (tracee_peek(t, a->injectee->scratch, &word) == 0 &&
	    word == a->injectee->scratch_word) {
		r = tracee_call(t, SYS_munmap, args, &value);
		if (r)
			return r;
	}
	a->injectee->scratch = 0;
	return 0;
}

/*
 * What the kernel's answer @value to one piece means. A hole in the range is
 * no failure: the rest is marked.
 */
static void take_answer(struct attempt *a, int64_t value)
{
	if (value == 0 || value == -ENOMEM) {
		if (value)
			a->error = ENOMEM;
		a->n_done++;
	} else if (value == -EINTR ||
		   (value <= -ERESTARTSYS && value >= -ERESTART_RESTARTBLOCK)) {
		a->result = INJECT_RETRY;
		a->reason = INJECT_REASON_SIGNAL;
	} else {
		a->result = INJECT_FAILED;
		a->error = (int)-value;
	}
}

static int advise_one(struct attempt *a, struct tracee *t)
{
	const struct range *range = &a->pieces->v[a->n_done].range;
	const uint64_t args[6] = { range->start, range->end - range->start,
				   (uint64_t)advice_of(a) };
	int64_t value;
	int r = tracee_call(t, SYS_madvise, args, &value);

	if (!r)
		take_answer(a, value);
	return r;
}

/* Fill the vector with the next pieces; their number. */
static size_t vector_fill(const struct attempt *a)
{
	uint32_t n_pages = 0;
	size_t n = 0;

	while (n < VECTOR_MAX && a->n_done + n < a->pieces->n) {
		const struct piece *piece = &a->pieces->v[a->n_done + n];

		n_pages += piece->n_pages;
		if (n && n_pages > PIECES_MAX_PAGES)
			break;
		vector[n++] = (struct iovec){
			(void *)(uintptr_t)piece->range.start,
			piece->range.end - piece->range.start,
		};
	}
	return n;
}

/*
 * One call for the next pieces. The kernel stops at the first range that it
 * has something to say about and tells how many bytes came before: that piece
 * is then done alone, to hear what it is.
 */
static int advise_vector(struct attempt *a, struct tracee *t)
{
	size_t n = vector_fill(a), done = 0;
	const uint64_t args[6] = {
		(uint64_t)KAPI_PIDFD_SELF_THREAD,
		a->injectee->scratch,
		n,
		(uint64_t)advice_of(a),
		0,
	};
	int64_t value;
	int r;

	if (n == 1)
		return advise_one(a, t);
	if (tracee_write(t, a->injectee->scratch, vector,
			 n * sizeof(vector[0])) < 0) {
		a->vectors = false;
		return 0;
	}
	a->injectee->scratch_word = (uint64_t)(uintptr_t)vector[0].iov_base;
	r = tracee_call(t, __NR_process_madvise, args, &value);
	if (r)
		return r;
	/* Refused as a whole, by an LSM for example: do without. */
	if (value < 0 && value != -ENOMEM)
		a->vectors = false;
	while (done < n && value >= (int64_t)vector[done].iov_len)
		value -= (int64_t)vector[done++].iov_len;
	a->n_done += done;
	return done < n ? advise_one(a, t) : 0;
}

/* Whether the next call, if it is like the last, would make it too long. */
static bool held_enough(const struct tracee *t, uint64_t last_nsec)
{
	return tracee_held_nsec(t) + last_nsec > HOLD_NSEC;
}

int advise_pieces(struct attempt *a, struct tracee *t)
{
	uint64_t before;
	int r = 0;

	a->result = INJECT_DONE;
	if (a->vectors && a->pieces->n >= VECTOR_MIN)
		r = scratch_map(a, t);
	while (!r && a->n_done < a->pieces->n && a->result == INJECT_DONE) {
		before = tracee_held_nsec(t);
		if (a->injectee->scratch && a->vectors)
			r = advise_vector(a, t);
		else
			r = advise_one(a, t);
		if (!r && a->result == INJECT_DONE &&
		    a->n_done < a->pieces->n &&
		    held_enough(t, tracee_held_nsec(t) - before))
			a->result = INJECT_MORE;
	}
	return r ? r : advise_drop_scratch(a, t);
}
