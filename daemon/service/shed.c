/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shed.h"

#include "cleanup.h"
#include "sampler.h"
#include "track.h"
#include "watch.h"

static uint64_t shed_process(struct watched *w, struct track *track,
			     unsigned int rest, uint64_t need)
{
	size_t kept = 0;
	uint64_t n = 0;

	for (size_t i = 0; i < w->regions.n; i++) {
		struct watched_region *wr = &w->regions.v[i];

		if (n < need && sampler_rest(&wr->heat) == rest &&
		    track_is_barren(track, wr->number)) {
			track_region_remove(track, wr->number);
			n++;
		} else {
			w->regions.v[kept++] = *wr;
		}
	}
	w->regions.n = kept;
	w->regions_lost += n;
	return n;
}

uint64_t shed(struct watched *const *list, size_t n, struct track *track,
	      const struct watched *by, uint64_t wanted)
{
	uint64_t room = track_room(track);
	uint64_t need = wanted - MIN(wanted, room), done = 0;

	for (unsigned int rest = SAMPLER_COLD_MAX; rest >= SAMPLER_REST_SHED;
	     rest--)
		for (size_t i = 0; i < n && done < need; i++)
			if (list[i] && list[i]->found_usec < by->found_usec)
				done += shed_process(list[i], track, rest,
						     need - done);
	return done;
}
