/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unknown is not F(m) but y(m) = m f F(m), the frames of such contents that
 * are met on average: all coefficients are at most 1 then. m is taken from a
 * grid: each number at first, then steps of GRID_STEP, between which n(k)
 * bends by less than SLACK.
 *
 * The rows of the program are n(k) for small k, sums of them for greater
 * ones, and for what is met often (ESTIMATE_OFTEN) two: the number of contents,
 * and the number of frames, which alone fixes what a few large ones hold.
 */
#include "estimate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "simplex.h"

#define GRID_EACH 32U
#define GRID_STEP 1.05
#define SLACK	  0.005

/* k from here to below the next; the last is ESTIMATE_OFTEN. */
static const unsigned int bins[] = {
	1, 2, 3, 4, 5, 6, 8, 11, 16, ESTIMATE_OFTEN
};

#define N_BINS	  (ARRAY_SIZE(bins) - 1)
#define ROW_OFTEN N_BINS
#define ROW_PAGES (N_BINS + 1)
#define N_ROWS	  (N_BINS + 2)

/*
 * Of the normal distribution: outside of it lies on either side what is left
 * over by ESTIMATE_CONFIDENCE, divided by 2 x (N_ROWS + 1 for zeros).
 */
#define DEVIATIONS 2.87

/*
 * Steps towards the greatest likelihood. What is not there loses 1 in 2/f of
 * itself with each; the guess is no better than the interval anyway.
 */
#define LIKELIHOOD_STEPS     300
#define LIKELIHOOD_STEPS_MAX 10000

struct model {
	size_t n; /* of the grid; */
	size_t n_seldom; /* without what is met often for certain */
	double *m;
	double *freed; /* by m */
	double *p; /* [row * n + i]: how much of y(m) is met so */
	double *chances; /* [k * n + i]: that m frames are met k times, k below
			  * ESTIMATE_OFTEN */
};

void estimate_met(struct estimate_sample *s, uint64_t k)
{
	if (k < ARRAY_SIZE(s->times)) {
		s->times[k] += k > 0;
		return;
	}
	s->more++;
	s->more_frames += k;
	s->most = MAX(s->most, k);
}

double estimate_share(uint64_t n)
{
	return n > 65536 ? 256 / sqrt((double)n) : 1;
}

/* --- bounds ---------------------------------------------------------------- */

/* Those of the mean of what has come out as @n; @spread: 1 for Poisson. */
static void bounds(double n, double spread, double *ret_low, double *ret_high)
{
	double z = DEVIATIONS * spread, a = 0, b;

	if (n > 0)
		a = 1 - 1 / (9 * n) - z / (3 * sqrt(n));
	b = 1 - 1 / (9 * (n + 1)) + z / (3 * sqrt(n + 1));
	*ret_low = a > 0 ? n * a * a * a : 0;
	*ret_high = (n + 1) * b * b * b;
}

/*
 * Frames of contents that are met often. Where a content is about as often
 * met as ESTIMATE_OFTEN says, it is chance whether it counts at all; what
 * lies far above scatters as k does.
 */
static void bounds_often(const struct estimate_sample *s, double n,
			 double *ret_low, double *ret_high)
{
	double variance = n * (1 - s->share), off;

	for (unsigned int k = ESTIMATE_OFTEN / 2; k < ARRAY_SIZE(s->times);
	     k++) {
		double size = MAX(k, ESTIMATE_OFTEN);

		variance += (double)s->times[k] * size * size;
	}
	off = DEVIATIONS * sqrt(variance);
	*ret_low = MAX(n - off, 0);
	*ret_high = n + off + 6 * ESTIMATE_OFTEN;
}

/* --- the model ------------------------------------------------------------- */

static double power(double base, double n)
{
	return exp(n * log(base));
}

/* What merging @m frames of equal content frees: as forecast.c counts. */
static double freed(double m, uint64_t max_sharing)
{
	double n = m - 1;

	return n - floor(n / (double)MAX(max_sharing, (uint64_t)2));
}

static void model_clear(struct model *model)
{
	free(model->m);
	free(model->freed);
	free(model->p);
	free(model->chances);
}

/* What m may be, from 1 on, up to what the most met content can have. */
static int grid_make(const struct estimate_sample *s, struct model *model)
{
	double k = (double)MAX(s->most, (uint64_t)ARRAY_SIZE(s->times));
	double m = 1;
	double last = (k + 6 * sqrt(k) + 20) / s->share;
	size_t room = GRID_EACH + 2 + (size_t)(log(last) / log(GRID_STEP));

	model->m = calloc(room, sizeof(*model->m));
	if (!model->m)
		return -ENOMEM;
	do {
		model->m[model->n++] = m;
		m = m < GRID_EACH ? m + 1 : round(m * GRID_STEP);
	} while (m <= last && model->n < room);
	return 0;
}

/*
 * The chances of one m. Counted up from k = 0 where that does not vanish;
 * where it does, m is met often, for certain.
 */
static void chances_fill(struct model *model, size_t i, double f)
{
	double m = model->m[i], p, least = 1;
	size_t n = model->n;

	if (f >= 1)
		p = 0;
	else
		p = power(1 - f, m);
	for (unsigned int k = 0; k < ESTIMATE_OFTEN; k++) {
		if (f >= 1)
			p = k == m;
		model->chances[k * n + i] = p;
		least -= p;
		if (f < 1)
			p = k < m ? p * (m - k) / (k + 1) * f / (1 - f) : 0;
	}
	least = MAX(least, 0.0);
	for (size_t b = 0; b < N_BINS; b++)
		for (unsigned int k = bins[b]; k < bins[b + 1]; k++)
			model->p[b * n + i] += model->chances[k * n + i] /
					       (m * f);
	model->p[ROW_OFTEN * n + i] = least / (m * f);
	/* of the frames: 1 less those that are met with fewer others */
	model->p[ROW_PAGES * n + i] = 1;
	for (unsigned int k = 1; k < ESTIMATE_OFTEN; k++)
		model->p[ROW_PAGES * n + i] -= k * model->chances[k * n + i] /
					       (m * f);
	model->p[ROW_PAGES * n + i] = MAX(model->p[ROW_PAGES * n + i], 0.0);
}

static int model_make(const struct estimate_sample *s, uint64_t max_sharing,
		      struct model *model)
{
	int r = grid_make(s, model);

	if (r)
		return r;
	model->freed = calloc(model->n, sizeof(*model->freed));
	model->p = calloc(N_ROWS * model->n, sizeof(*model->p));
	model->chances = calloc(ESTIMATE_OFTEN * model->n,
				sizeof(*model->chances));
	if (!model->freed || !model->p || !model->chances)
		return -ENOMEM;
	for (size_t i = 0; i < model->n; i++) {
		model->freed[i] = freed(model->m[i], max_sharing);
		model->n_seldom += model->m[i] * s->share < 4 * ESTIMATE_OFTEN;
		chances_fill(model, i, s->share);
	}
	return 0;
}

/* --- the interval ---------------------------------------------------------- */

/* What was met, row by row. */
static void rows_fill(const struct estimate_sample *s, double rows[N_ROWS])
{
	memset(rows, 0, N_ROWS * sizeof(*rows));
	for (size_t b = 0; b < N_BINS; b++)
		for (unsigned int k = bins[b]; k < bins[b + 1]; k++)
			rows[b] += (double)s->times[k];
	rows[ROW_OFTEN] = (double)s->more;
	rows[ROW_PAGES] = (double)s->more_frames;
	for (unsigned int k = ESTIMATE_OFTEN; k < ARRAY_SIZE(s->times); k++) {
		rows[ROW_OFTEN] += (double)s->times[k];
		rows[ROW_PAGES] += (double)s->times[k] * k;
	}
}

static int interval_find(const struct estimate_sample *s,
			 const struct model *model,
			 struct estimate_interval *ret)
{
	_cleanup_free_ double *value = calloc(model->n, sizeof(*value));
	double rows[N_ROWS], low[N_ROWS], high[N_ROWS];
	struct simplex program = {
		N_ROWS, model->n, model->p, low, high, value
	};
	int r = SIMPLEX_NONE;

	if (!value)
		return -ENOMEM;
	for (size_t i = 0; i < model->n; i++)
		value[i] = model->freed[i] / (model->m[i] * s->share);
	rows_fill(s, rows);
	for (size_t i = 0; i < N_ROWS; i++) {
		if (i == ROW_PAGES)
			bounds_often(s, rows[i], &low[i], &high[i]);
		else
			bounds(rows[i], 1, &low[i], &high[i]);
		low[i] *= 1 - SLACK;
		high[i] *= 1 + SLACK;
	}
	/* what does not fit is one of those 5 in 100: wider, until it does */
	for (unsigned int tries = 0; r == SIMPLEX_NONE && tries < 16; tries++) {
		r = simplex_range(&program, &ret->low, &ret->high);
		for (size_t i = 0; i < N_ROWS; i++) {
			low[i] *= 0.9;
			high[i] *= 1.1;
		}
	}
	return r;
}

/* --- the best guess -------------------------------------------------------- */

/* One step of expectation and maximisation: @f is F by the grid. */
static void likelihood_step(const struct estimate_sample *s,
			    const struct model *model, double *f, double *next)
{
	size_t n = model->n_seldom;

	memset(next, 0, n * sizeof(*next));
	for (unsigned int k = 1; k < ESTIMATE_OFTEN; k++) {
		const double *p = &model->chances[k * model->n];
		double mean = 0;

		for (size_t i = 0; s->times[k] && i < n; i++)
			mean += f[i] * p[i];
		for (size_t i = 0; mean > 0 && i < n; i++)
			next[i] += p[i] * (double)s->times[k] / mean;
	}
	for (size_t i = 0; i < n; i++) {
		double seen = 0;

		for (unsigned int k = 1; k < ESTIMATE_OFTEN; k++)
			seen += model->chances[k * model->n + i];
		f[i] = seen > 1e-12 ? f[i] * next[i] / seen : 0;
	}
}

/* Met often: each for itself. Else: by the likeliest F, unseen ones too. */
static int best_find(const struct estimate_sample *s, const struct model *model,
		     uint64_t max_sharing, double *ret)
{
	_cleanup_free_ double *f = calloc(2 * model->n, sizeof(*f));
	unsigned int steps = LIKELIHOOD_STEPS;
	double sum = 0;

	if (!f)
		return -ENOMEM;
	steps += (unsigned int)fmin(50 / s->share, LIKELIHOOD_STEPS_MAX);
	for (size_t i = 0; i < model->n_seldom; i++)
		f[i] = power(model->m[i], -3);
	for (unsigned int i = 0; i < steps; i++)
		likelihood_step(s, model, f, f + model->n);
	for (size_t i = 0; i < model->n_seldom; i++)
		for (unsigned int k = 0; k < ESTIMATE_OFTEN; k++)
			sum += f[i] * model->freed[i] *
			       model->chances[k * model->n + i];
	for (unsigned int k = ESTIMATE_OFTEN; k < ARRAY_SIZE(s->times); k++)
		sum += (double)s->times[k] * freed(k / s->share, max_sharing);
	if (s->more)
		sum += (double)s->more *
		       freed((double)s->more_frames / (double)s->more /
				     s->share,
			     max_sharing);
	*ret = sum;
	return 0;
}

/* --- zeros ----------------------------------------------------------------- */

static void zeros_find(const struct estimate_sample *s, uint64_t max_sharing,
		       bool zero_pages, struct estimate_interval *ret)
{
	double low, high;

	bounds((double)s->zeros, sqrt(1 - s->share), &low, &high);
	ret->best = (double)s->zeros / s->share;
	ret->low = low / s->share;
	ret->high = high / s->share;
	if (zero_pages)
		return;
	ret->low = ret->low > 1 ? freed(ret->low, max_sharing) : 0;
	ret->best = ret->best > 1 ? freed(ret->best, max_sharing) : 0;
	ret->high = ret->high > 1 ? freed(ret->high, max_sharing) : 0;
}

int estimate_freed(const struct estimate_sample *s, uint64_t max_sharing,
		   bool zero_pages, struct estimate_interval *ret_contents,
		   struct estimate_interval *ret_zeros)
{
	_cleanup_(model_clear) struct model model = { 0 };
	struct estimate_interval i = { 0 };
	int r = model_make(s, max_sharing, &model);

	if (!r)
		r = interval_find(s, &model, &i);
	if (r == SIMPLEX_NONE) /* as good as impossible; nothing is known */
		i = (struct estimate_interval){ .high = INFINITY };
	if (r >= 0)
		r = best_find(s, &model, max_sharing, &i.best);
	if (r)
		return r;
	i.low = floor(i.low + SLACK);
	i.high = ceil(i.high);
	i.best = fmin(fmax(i.best, i.low), i.high);
	*ret_contents = i;
	zeros_find(s, max_sharing, zero_pages, ret_zeros);
	return 0;
}
