/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vec - a growing array of any type
 *
 *	struct ranges VEC(struct range);
 *	struct ranges ranges = { 0 };
 *
 *	r = vec_push(&ranges, ((struct range){ a, b }));
 *	vec_free(&ranges);
 *
 * An all-zero vec is empty and owns nothing.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The body of a struct: `struct NAME VEC(TYPE);` */
#define VEC(type)                                                              \
	{                                                                      \
		type *v;                                                       \
		size_t n;                                                      \
		size_t cap;                                                    \
	}

static inline int vec_grow(void **v, size_t *cap, size_t need, size_t size)
{
	size_t want = *cap ? *cap : 8;
	void *p;

	if (need <= *cap)
		return 0;
	while (want < need)
		want += want / 2 + 1;
	p = reallocarray(*v, want, size);
	if (!p)
		return -ENOMEM;
	*v = p;
	*cap = want;
	return 0;
}

/* Make room for @need elements. 0 or -ENOMEM; on failure nothing changed. */
#define vec_reserve(vec, need)                                                 \
	vec_grow((void **)&(vec)->v, &(vec)->cap, (need), sizeof(*(vec)->v))

/* Append @item. 0 or -ENOMEM; on failure nothing changed. */
#define vec_push(vec, item)                                                    \
	(vec_reserve(vec, (vec)->n + 1) ? -ENOMEM                              \
					: ((vec)->v[(vec)->n++] = (item), 0))

#define vec_free(vec)                                                          \
	do {                                                                   \
		free((vec)->v);                                                \
		(vec)->v = NULL;                                               \
		(vec)->n = (vec)->cap = 0;                                     \
	} while (0)
