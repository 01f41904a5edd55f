/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * simplex - the least and the greatest value that a sum can have
 *
 * A small dense linear program in its ordinary two phases: over all x >= 0
 * with low[i] <= a[i] x <= high[i], the least and the greatest of value x. For
 * some dozens of rows and some hundreds of columns, all coefficients of a and
 * all bounds at least 0.
 */
#pragma once

#include <stddef.h>

enum {
	SIMPLEX_NONE = 1, /* no x meets all rows, or none was found */
};

struct simplex {
	size_t n_rows;
	size_t n_columns;
	const double *a; /* [row * n_columns + column] */
	const double *low; /* by row; */
	const double *high; /* above 0 */
	const double *value; /* by column */
};

/* Return: 0, SIMPLEX_NONE or -ENOMEM. */
int simplex_range(const struct simplex *program, double *ret_least,
		  double *ret_greatest);
