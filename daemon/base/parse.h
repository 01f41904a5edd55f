/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parse - values as people write them: "10%", "256M", "5min", "yes"
 *
 * Strings in, codes out, nothing printed and no locale. Digits are ASCII, a
 * decimal point may be followed by up to six of them, blanks may stand
 * between a number and its unit and nowhere else. A value that would have to
 * be rounded to be stored is rounded down.
 *
 * Each function returns 0, -EINVAL where @text is not such a value, or
 * -ERANGE where it is one that does not fit in *ret.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* "42" */
int parse_u64(const char *text, uint64_t *ret);

/* yes, no, true, false, on, off, 1, 0, in any case */
int parse_bool(const char *text, bool *ret);

/* "12.5%" is 1250. What is finer than a hundredth is -EINVAL, not rounded. */
int parse_permyriad(const char *text, uint64_t *ret);

/* "4096", "256M", "1.5G" (K, M, G, T: powers of 1024), "1%" of @whole */
int parse_bytes(const char *text, uint64_t whole, uint64_t *ret);

/* "200s", "5min", "100ms"; us, ms, s, min, h, d; without a unit seconds */
int parse_usec(const char *text, uint64_t *ret);
