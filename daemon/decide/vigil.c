/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vigil.h"

#include "cleanup.h"

static void part_look(struct vigil_part *part, const struct vigil_sample *s,
		      uint64_t lived_usec)
{
	if (!part->known || !s->busy || s->count != part->count)
		part->still_usec = 0;
	else if (!s->starved)
		part->still_usec += lived_usec;
	part->known = true;
	part->count = s->count;
}

uint32_t vigil_look(struct vigil *vigil, uint64_t now_usec,
		    uint64_t interval_usec, const struct vigil_sample *samples,
		    size_t n)
{
	uint64_t lived_usec = 0, beyond_usec = 0;
	uint32_t worst = VIGIL_NONE;

	if (vigil->last_usec && now_usec > vigil->last_usec)
		lived_usec = MIN(now_usec - vigil->last_usec, interval_usec);
	vigil->last_usec = now_usec;
	for (size_t i = 0; i < MIN(n, (size_t)VIGIL_PARTS); i++) {
		const struct vigil_part *part = &vigil->parts[i];

		part_look(&vigil->parts[i], &samples[i], lived_usec);
		if (part->still_usec <= samples[i].patience_usec + beyond_usec)
			continue;
		beyond_usec = part->still_usec - samples[i].patience_usec;
		worst = (uint32_t)i;
	}
	return worst;
}
