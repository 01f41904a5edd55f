/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows and columns are scaled to 1 first, since they count pages that are met
 * once as well as contents that are met a hundred times. The entering column
 * is that of the steepest descent, and after many steps the first that
 * descends (Bland), which cannot go in circles.
 */
#include "simplex.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* What is smaller than this, beside 1, is an error of rounding. */
#define TINY 1e-11
/* An artificial variable that is left with less is gone. */
#define FEASIBLE 1e-7

/*
 * Columns: x, a slack for each row, a surplus for each row, an artificial
 * variable for each row. The last row is what is to be made least, the last
 * column the right side.
 */
struct tableau {
	size_t n_rows; /* two for each of the program's: above and below */
	size_t n_x;
	size_t n_columns;
	size_t n_real; /* columns below this are not artificial */
	double *a;
	double *scale; /* of the columns of x */
	size_t *basis; /* by row */
};

static double *cell(const struct tableau *t, size_t row, size_t column)
{
	return &t->a[row * (t->n_columns + 1) + column];
}

static void tableau_clear(struct tableau *t)
{
	free(t->a);
	free(t->scale);
	free(t->basis);
}

static void pivot(struct tableau *t, size_t row, size_t column)
{
	double by = *cell(t, row, column);

	for (size_t c = 0; c <= t->n_columns; c++)
		*cell(t, row, c) /= by;
	for (size_t r = 0; r <= t->n_rows; r++) {
		double factor = *cell(t, r, column);

		if (r == row || factor == 0)
			continue;
		for (size_t c = 0; c <= t->n_columns; c++)
			*cell(t, r, c) -= factor * *cell(t, row, c);
		*cell(t, r, column) = 0;
	}
	t->basis[row] = column;
}

/* The column that enters, or SIZE_MAX: nothing descends any more. */
static size_t entering(const struct tableau *t, bool first)
{
	double best = -TINY;
	size_t found = SIZE_MAX;

	for (size_t c = 0; c < t->n_real; c++) {
		double cost = *cell(t, t->n_rows, c);

		if (cost >= best)
			continue;
		best = cost;
		found = c;
		if (first)
			break;
	}
	return found;
}

/* The row that leaves, or SIZE_MAX: there is no bound. */
static size_t leaving(const struct tableau *t, size_t column)
{
	double best = INFINITY;
	size_t found = SIZE_MAX;

	for (size_t r = 0; r < t->n_rows; r++) {
		double a = *cell(t, r, column), ratio;

		if (a <= TINY)
			continue;
		ratio = *cell(t, r, t->n_columns) / a;
		if (ratio < best - TINY ||
		    (ratio < best + TINY && found != SIZE_MAX &&
		     t->basis[r] < t->basis[found])) {
			best = MIN(best, ratio);
			found = r;
		}
	}
	return found;
}

/* Make the last row least. False where that does not end. */
static bool descend(struct tableau *t)
{
	size_t most = 50 * t->n_columns;

	for (size_t i = 0; i < most; i++) {
		size_t column = entering(t, i > most / 2), row;

		if (column == SIZE_MAX)
			return true;
		row = leaving(t, column);
		if (row == SIZE_MAX)
			return false;
		pivot(t, row, column);
	}
	return false;
}

static int tableau_make(const struct simplex *p, struct tableau *t)
{
	t->n_rows = 2 * p->n_rows;
	t->n_x = p->n_columns;
	t->n_real = p->n_columns + t->n_rows;
	t->n_columns = t->n_real + p->n_rows;
	t->a = calloc((t->n_rows + 1) * (t->n_columns + 1), sizeof(*t->a));
	t->scale = calloc(t->n_x, sizeof(*t->scale));
	t->basis = calloc(t->n_rows, sizeof(*t->basis));
	return t->a && t->scale && t->basis ? 0 : -ENOMEM;
}

/* Rows 2i: a x + slack = high; rows 2i + 1: a x - surplus + artificial = low */
static void tableau_fill(const struct simplex *p, struct tableau *t)
{
	for (size_t c = 0; c < t->n_x; c++) {
		double most = 0;

		for (size_t i = 0; i < p->n_rows; i++)
			most = MAX(most, p->a[i * t->n_x + c] / p->high[i]);
		t->scale[c] = most > 0 ? most : 1;
	}
	for (size_t i = 0; i < p->n_rows; i++) {
		size_t above = 2 * i, below = above + 1;

		for (size_t c = 0; c < t->n_x; c++)
			*cell(t, above, c) = *cell(t, below, c) =
				p->a[i * t->n_x + c] / p->high[i] / t->scale[c];
		*cell(t, above, t->n_x + above) = 1;
		*cell(t, above, t->n_columns) = 1;
		*cell(t, below, t->n_x + below) = -1;
		*cell(t, below, t->n_real + i) = 1;
		*cell(t, below, t->n_columns) = p->low[i] / p->high[i];
		t->basis[above] = t->n_x + above;
		t->basis[below] = t->n_real + i;
	}
}

/* The first phase: some x, without artificial variables. */
static bool feasible(struct tableau *t)
{
	for (size_t r = 1; r < t->n_rows; r += 2)
		for (size_t c = 0; c <= t->n_columns; c++)
			if (c < t->n_real || c == t->n_columns)
				*cell(t, t->n_rows, c) -= *cell(t, r, c);
	if (!descend(t) || -*cell(t, t->n_rows, t->n_columns) > FEASIBLE)
		return false;
	for (size_t r = 0; r < t->n_rows; r++) {
		size_t best = 0;

		if (t->basis[r] < t->n_real)
			continue;
		for (size_t c = 1; c < t->n_real; c++)
			if (fabs(*cell(t, r, c)) > fabs(*cell(t, r, best)))
				best = c;
		if (fabs(*cell(t, r, best)) > TINY)
			pivot(t, r, best);
	}
	return true;
}

/* The least of @sign times the value, from where the tableau stands. */
static bool least(struct tableau *t, const double *value, double sign,
		  double *ret)
{
	double most = TINY;

	for (size_t c = 0; c < t->n_x; c++)
		most = MAX(most, fabs(value[c] / t->scale[c]));
	memset(cell(t, t->n_rows, 0), 0, (t->n_columns + 1) * sizeof(*t->a));
	for (size_t c = 0; c < t->n_x; c++)
		*cell(t, t->n_rows, c) = sign * value[c] / t->scale[c] / most;
	for (size_t r = 0; r < t->n_rows; r++) {
		double cost = *cell(t, t->n_rows, t->basis[r]);

		for (size_t c = 0; cost != 0 && c <= t->n_columns; c++)
			*cell(t, t->n_rows, c) -= cost * *cell(t, r, c);
	}
	if (!descend(t))
		return false;
	*ret = -*cell(t, t->n_rows, t->n_columns) * most * sign;
	return true;
}

int simplex_range(const struct simplex *p, double *ret_least,
		  double *ret_greatest)
{
	_cleanup_(tableau_clear) struct tableau t = { 0 };
	double low, high;
	int r = tableau_make(p, &t);

	if (r)
		return r;
	tableau_fill(p, &t);
	if (!feasible(&t) || !least(&t, p->value, 1, &low) ||
	    !least(&t, p->value, -1, &high))
		return SIMPLEX_NONE;
	*ret_least = low;
	*ret_greatest = high;
	return 0;
}
