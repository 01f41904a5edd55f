/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fakeframes - page tables and frames that are files
 *
 * A pagemap, a kpagecount and a kpageflags are arrays of 64-bit words, so
 * files will do. To be included below <cmocka.h>.
 */
#pragma once

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frames.h"
#include "kernel-api.h"

#define FAKEFRAMES_MERGED (KAPI_KPF_ANON | KAPI_KPF_KSM)

/* So many words, all of them 0. To be closed by the caller. */
static inline int fakeframes_words(uint64_t n)
{
	int fd = memfd_create("words", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(n * 8)), 0);
	return fd;
}

static inline void fakeframes_put(int fd, uint64_t at, uint64_t word)
{
	assert_int_equal(pwrite(fd, &word, sizeof(word), (off_t)(at * 8)), 8);
}

static inline struct frames fakeframes_new(uint64_t n)
{
	return (struct frames){
		.counts = fakeframes_words(n),
		.flags = fakeframes_words(n),
		.ksm_flag = true,
	};
}

static inline void fakeframes_set(const struct frames *frames, uint64_t pfn,
				  uint64_t count, uint64_t flags)
{
	fakeframes_put(frames->counts, pfn, count);
	fakeframes_put(frames->flags, pfn, flags);
}
