/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock - times as unsigned 64-bit counts whose names carry the unit
 */
#pragma once

#include <stdint.h>
#include <time.h>

#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC  1000000ULL
#define NSEC_PER_USEC 1000ULL
#define NSEC_PER_SEC  1000000000ULL

/* Nanoseconds of @id, for example CLOCK_MONOTONIC; cannot fail. */
static inline uint64_t clock_nsec(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static inline uint64_t clock_usec(clockid_t id)
{
	return clock_nsec(id) / NSEC_PER_USEC;
}
