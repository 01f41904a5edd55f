/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sampler.h"

#include "cleanup.h"

/* A process is passed over after 1 s, and after up to 64 s if it is calm. */
#define CALM_MAX 6U
/* However many there are, once an hour. */
#define PASS_SEC_MAX 3600U
/* So many probes say whether there is anything, and so many pages around hits
 * how long runs are. */
#define HITS_JUDGE_PAGES 4096U
#define RUNS_JUDGE_PAGES 2048U

enum sampler_look sampler_choose(const struct heat *heat, uint32_t now_sec,
				 bool probe, bool pending)
{
	switch ((enum heat_state)heat->state) {
	case HEAT_NEW:
		return probe ? SAMPLER_PROBE : SAMPLER_ALL;
	case HEAT_PROBED:
		return SAMPLER_NEW;
	case HEAT_CHANGED:
		return SAMPLER_ALL;
	default:
		if (now_sec >= heat->due_sec)
			return SAMPLER_FEW;
		return pending ? SAMPLER_NEW : SAMPLER_NOTHING;
	}
}

static void cool(struct heat *heat, unsigned int cold, uint32_t now_sec)
{
	heat->state = HEAT_KNOWN;
	heat->cold = (uint8_t)MIN(cold, SAMPLER_COLD_MAX);
	heat->due_sec = now_sec + (SAMPLER_HOT_SEC << heat->cold);
}

void sampler_learn(struct heat *heat, enum sampler_look look,
		   const struct look_result *result, uint32_t now_sec)
{
	switch (look) {
	case SAMPLER_PROBE:
		heat->state = HEAT_PROBED;
		break;
	case SAMPLER_NEW:
		if (heat->state == HEAT_PROBED)
			cool(heat, 0, now_sec);
		break;
	case SAMPLER_FEW:
		if (result->n_changed)
			heat->state = HEAT_CHANGED;
		else
			cool(heat, result->n_new ? 0 : heat->cold + 1U,
			     now_sec);
		break;
	case SAMPLER_ALL:
		if (result->n_found || heat->state == HEAT_NEW)
			cool(heat, 0, now_sec);
		else
			cool(heat, heat->cold / 2U + 1, now_sec);
		break;
	default:
		break;
	}
}

unsigned int sampler_rest(const struct heat *heat)
{
	return heat->state == HEAT_KNOWN ? heat->cold : 0;
}

void sampler_heat(struct heat *heat)
{
	if (heat->state == HEAT_KNOWN)
		heat->state = HEAT_CHANGED;
}

/* splitmix64: Steele, Lea, Flood, OOPSLA 2014, figure 17. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static void few_choose(const struct pagemask *known,
		       const struct pagemask *merged, uint64_t random,
		       struct pagemask *skip)
{
	/* pages that are no longer known or merged cost a try; a region with
	 * few that count is looked at in fewer places */
	for (unsigned int i = 0; i < 4 * SAMPLER_FEW_PAGES; i++) {
		unsigned int page = random_next(&random) % REGION_PAGES;

		if (pagemask_test(known, page) && !pagemask_test(merged, page))
			pagemask_clear(skip, page);
		if (pagemask_count(known) - pagemask_count(skip) >=
		    SAMPLER_FEW_PAGES)
			break;
	}
}

void sampler_skip(enum sampler_look look, const struct pagemask *known,
		  const struct pagemask *merged, const struct pagemask *hits,
		  uint64_t random, struct pagemask *ret)
{
	*ret = *known;
	switch (look) {
	case SAMPLER_ALL:
		memset(ret, 0, sizeof(*ret));
		break;
	case SAMPLER_FEW:
		few_choose(known, merged, random, ret);
		break;
	case SAMPLER_PROBE:
		memset(ret, 0xff, sizeof(*ret));
		for (unsigned int i = random % SAMPLER_STRIDE; i < REGION_PAGES;
		     i += SAMPLER_STRIDE)
			pagemask_clear(ret, i);
		break;
	case SAMPLER_AROUND:
		memset(ret, 0xff, sizeof(*ret));
		for (unsigned int i = pagemask_next(hits, 0); i < REGION_PAGES;
		     i = pagemask_next(hits, i + 1)) {
			unsigned int from = i - MIN(i, SAMPLER_STRIDE - 1);
			unsigned int to = MIN(i + SAMPLER_STRIDE, REGION_PAGES);

			for (unsigned int k = from; k < to; k++)
				if (!pagemask_test(known, k))
					pagemask_clear(ret, k);
		}
		break;
	case SAMPLER_HINTED:
		for (unsigned int i = 0; i < PAGEMASK_WORDS; i++)
			ret->words[i] = ~hits->words[i];
		break;
	default:
		break;
	}
}

uint32_t sampler_pass_sec(unsigned int calm, uint64_t maps_usec,
			  uint32_t share_permyriad)
{
	uint64_t least = maps_usec * 4 / 100 / MAX(share_permyriad, 1U);

	if (!calm)
		return 1;
	return MAX(1U << MIN(calm, CALM_MAX),
		   (uint32_t)MIN(least, (uint64_t)PASS_SEC_MAX));
}

bool sampler_probes_in_vain(const struct probing *p)
{
	if (p->n_probed >= HITS_JUDGE_PAGES && p->n_hits * 64 < p->n_probed)
		return true;
	return p->n_around >= RUNS_JUDGE_PAGES && p->n_found * 3 < p->n_around;
}
