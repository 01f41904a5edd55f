/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "evidence.h"

#include "reader.h"
#include "track.h"
#include "watch.h"

struct source {
	const struct track *track;
	const struct watched *watched;
};

static struct planning_region source_region(const void *userdata, size_t i)
{
	const struct source *s = userdata;
	const struct region *region =
		track_region(s->track, s->watched->regions.v[i].number);

	return (struct planning_region){ region->base, region->huge,
					 &region->duplicate };
}

int evidence_ranges(const struct track *track, const struct watched *w,
		    const struct planning_limits *limits, struct ranges *ret,
		    uint64_t *ret_wanted)
{
	struct source source = { track, w };
	struct planning_process process = {
		.vmas = &w->vmas,
		.n_mappings = w->n_mappings,
		.n_regions = w->regions.n,
		.region = source_region,
		.userdata = &source,
	};

	return planning_ranges(&process, limits, ret, ret_wanted);
}

void evidence_covered(const struct track *track, const struct watched *w,
		      uint64_t *n_all, uint64_t *n_covered)
{
	for (size_t i = 0; i < w->regions.n; i++) {
		const struct region *region =
			track_region(track, w->regions.v[i].number);
		struct pagemask eligible, mergeable;

		reader_masks(&w->vmas, region->base, &eligible, &mergeable);
		for (unsigned int k = 0; k < PAGEMASK_WORDS; k++)
			mergeable.words[k] &= region->duplicate.words[k];
		*n_all += pagemask_count(&region->duplicate);
		*n_covered += pagemask_count(&mergeable);
	}
}
