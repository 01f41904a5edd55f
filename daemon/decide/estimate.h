/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * estimate - what merging would free, from some of the frames
 *
 * Every frame is taken with the same chance f, each for itself. Of a content
 * that m frames hold, k are met, binomially distributed: of a pair both only
 * with f^2, which is why what is seen must not simply be scaled up. Let F(m) be
 * the number of contents that m frames hold, and n(k) the number of those that
 * were met k times; then
 *
 *	E n(k) = sum over m of F(m) (m over k) f^k (1 - f)^(m - k)
 *
 * and what is wanted is sum F(m) freed(m), freed(m) about m - 1. This is the
 * problem of unseen species. No estimator is good for every F (Charikar,
 * Chaudhuri, Motwani, Narasayya: Towards Estimation Error Guarantees for
 * Distinct Values, PODS 2000), and the only unbiased one (Goodman 1949) has
 * coefficients that explode as f^-m. So we do not choose an F, but ask for all:
 *
 * The interval is the least and the greatest sum F(m) freed(m) over all F >= 0
 * for which every E n(k) lies within the bounds that the n(k) we met allow: a
 * linear program in F (Efron, Thisted: How many words did Shakespeare know?
 * Biometrika 63, 1976; Valiant, Valiant: Estimating the Unseen, STOC 2011).
 * n(k) is a sum of independent events, so its bounds are those of Poisson
 * (Hoeffding 1956: it scatters less), in the approximation of Wilson and
 * Hilferty, and ESTIMATE_CONFIDENCE is divided among them all (Bonferroni).
 * Where one cannot know (contents on two or on three frames, with a small f)
 * the interval is wide.
 *
 * In between, the best guess is the F of greatest likelihood (Norris, Pollock:
 * Non-parametric MLE for Poisson species abundance models, 1998).
 *
 * Nothing is supposed about memory: chance is in the choice alone. So frames
 * must be taken for themselves, not regions: equal ones stand side by side.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The chance that what is true lies within the interval, at least. */
#define ESTIMATE_CONFIDENCE 0.95

/*
 * Contents that are met as often as this are counted one by one: k of them
 * means k / f frames, within a fifth.
 */
#define ESTIMATE_OFTEN 24U

struct estimate_sample {
	double share; /* f: above 0, at most 1 */
	uint64_t times[2 * ESTIMATE_OFTEN]; /* n(k), but for zeros; [0]: 0 */
	uint64_t more; /* contents that were met still more often; */
	uint64_t more_frames; /* how often together, */
	uint64_t most; /* and the one that was met most */
	uint64_t zeros; /* frames of zeros that were met */
};

/* Frames. */
struct estimate_interval {
	double low, best, high;
};

/* A content, not zeros, was met @k times. */
void estimate_met(struct estimate_sample *sample, uint64_t k);

/*
 * What merging all contents would free, and all zeros. @max_sharing: of that
 * many sharers one keeps its frame; @zero_pages: zeros need no frame at all.
 * Return: 0 or -ENOMEM.
 */
int estimate_freed(const struct estimate_sample *sample, uint64_t max_sharing,
		   bool zero_pages, struct estimate_interval *ret_contents,
		   struct estimate_interval *ret_zeros);

/*
 * The share of @n frames to take if nobody says: what meets about 3,000 pairs
 * both of whose frames are there, if one frame in ten is one of a pair. For
 * that the number of frames taken grows with the root of @n only: 1 of 256 MiB
 * (all), 1/4 of 4 GiB, 1/64 of 1 TiB.
 */
double estimate_share(uint64_t n);
