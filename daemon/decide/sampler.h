/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sampler - which regions to read now, and how much of them
 *
 * A new region is read in full, unless a process of the same program has been
 * read already: then one page in SAMPLER_STRIDE is, whose twins are in the
 * index by now, and what lies around the hits; the rest of it follows when
 * what that found has been merged. Duplicates come in runs (design section 1:
 * 155 pages on average in guests), so this finds them for a part of the work.
 *
 * A region that is known is not read in full again until it changes: a few
 * pages, chosen at random each time, are compared with their stored
 * checksums. While they are as they were it cools, and is looked at ever more
 * rarely; one that has changed is read in full, and if that brings no
 * duplicates it does not become quite so hot again, so that memory which
 * changes all the time is left alone most of the time.
 *
 * Pages that have come since are read with any look, and what is merged or
 * shared already costs a look at pagemap.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pagemask.h"

/* Shorter runs than this may be missed at first. */
#define SAMPLER_STRIDE 8U
/* Pages compared with what they were. A change of a quarter of a region is
 * noticed at once in 9 of 10 cases. */
#define SAMPLER_FEW_PAGES 8U
/* Between two looks at a region: 5 s when it is hot, 320 s when it is cold. */
#define SAMPLER_HOT_SEC	 5U
#define SAMPLER_COLD_MAX 6U
/* At rest for this long or longer, it may be forgotten for something new: two
 * looks have found it as it was, the second 15 s after it was read or later. */
#define SAMPLER_REST_SHED 2U

enum sampler_look {
	SAMPLER_NOTHING,
	SAMPLER_PROBE, /* one page in SAMPLER_STRIDE */
	SAMPLER_AROUND, /* what lies around the hits of a probe */
	SAMPLER_NEW, /* pagemap, and the pages that are not known */
	SAMPLER_FEW, /* ... and a few of those that are */
	SAMPLER_ALL,
	SAMPLER_HINTED, /* pages that somebody points at, and no others */
};

enum heat_state {
	HEAT_NEW, /* never looked at */
	HEAT_PROBED, /* not all of its pages are known */
	HEAT_KNOWN,
	HEAT_CHANGED, /* to be read in full */
};

/* All zero for a new region. */
struct heat {
	uint32_t due_sec;
	uint8_t cold; /* exponent of the back-off */
	uint8_t state; /* enum heat_state */
};

/* What a look has brought, in pages. */
struct look_result {
	uint32_t n_checked;
	uint32_t n_new; /* not known before */
	uint32_t n_changed; /* not what they were, or gone */
	uint32_t n_found; /* with a twin, to be settled */
	uint32_t n_broken; /* were merged, and are written */
	uint32_t n_wasted; /* a pulse was spent on them, and they are written */
};

/*
 * What to do with a region now. @probe: a new one need not be read in full at
 * once. @pending: it has duplicates of which one wants to know what became.
 */
enum sampler_look sampler_choose(const struct heat *heat, uint32_t now_sec,
				 bool probe, bool pending);

/* A look has been made. */
void sampler_learn(struct heat *heat, enum sampler_look look,
		   const struct look_result *result, uint32_t now_sec);

/* How long a known region has been at rest, 0 to SAMPLER_COLD_MAX. */
unsigned int sampler_rest(const struct heat *heat);

/* There is a reason to read the region in full now. */
void sampler_heat(struct heat *heat);

/*
 * The pages that @look need not read, of a region whose pages @known have
 * checksums and @merged are merged. @hits: for SAMPLER_AROUND, those of the
 * probe; for SAMPLER_HINTED, the pages. @random: any number for each look.
 */
void sampler_skip(enum sampler_look look, const struct pagemask *known,
		  const struct pagemask *merged, const struct pagemask *hits,
		  uint64_t random, struct pagemask *ret);

/*
 * Pass over a process again after so many seconds, of which the last @calm
 * passes brought nothing new. @maps_usec: CPU that it takes to read the mappings
 * of all processes once; that shall stay below a quarter of the daemon's share.
 */
uint32_t sampler_pass_sec(unsigned int calm, uint64_t maps_usec,
			  uint32_t share_permyriad);

/* How probes of a process have gone so far, in pages. */
struct probing {
	uint64_t n_probed;
	uint64_t n_hits;
	uint64_t n_around; /* read around hits, */
	uint64_t n_found; /* ... and those with twins */
};

/* Whether probes do not pay: there are hardly any hits, or runs are so short
 * that most of what lies around hits is no duplicate. */
bool sampler_probes_in_vain(const struct probing *probing);
