/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * search - where in what is sorted
 */
#pragma once

#include <stddef.h>

/*
 * The first index of @n at which @condition holds; @n: at none. It is an
 * expression of @i, and holds at all that follow the first.
 */
#define search_first(n, i, condition)                                          \
	({                                                                     \
		size_t low_ = 0, high_ = (n);                                  \
                                                                               \
		while (low_ < high_) {                                         \
			size_t i = low_ + (high_ - low_) / 2;                  \
                                                                               \
			if (condition)                                         \
				high_ = i;                                     \
			else                                                   \
				low_ = i + 1;                                  \
		}                                                              \
		low_;                                                          \
	})
