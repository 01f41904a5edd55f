/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "explaining.h"

#include <string.h>

#include "cleanup.h"
#include "pagemask.h"
#include "planning.h"
#include "reader.h"
#include "track.h"
#include "watch.h"

enum reason explaining_of_inject(enum inject_reason reason)
{
	static const enum reason reasons[INJECT_REASON_MAX_] = {
		[INJECT_REASON_NOT_STOPPING] = REASON_NOT_STOPPING,
		[INJECT_REASON_GROUP_STOPPED] = REASON_GROUP_STOPPED,
		[INJECT_REASON_TRACED] = REASON_TRACED,
		[INJECT_REASON_SIGNAL] = REASON_SIGNAL,
		[INJECT_REASON_RSEQ] = REASON_RSEQ,
		[INJECT_REASON_SECCOMP] = REASON_SECCOMP,
		[INJECT_REASON_32BIT] = REASON_32BIT,
		[INJECT_REASON_USER_DISPATCH] = REASON_USER_DISPATCH,
		[INJECT_REASON_NO_SYSCALL_INSN] = REASON_NO_SYSCALL_INSN,
		[INJECT_REASON_NO_THREAD] = REASON_NO_THREAD,
		[INJECT_REASON_SHARED_MM] = REASON_SHARED_MM,
		[INJECT_REASON_PERMISSION] = REASON_PERMISSION,
	};

	return (unsigned int)reason < INJECT_REASON_MAX_ ? reasons[reason]
							 : REASON_NONE;
}

/* Pages of one process by what is known of them. */
struct counts {
	uint64_t by[REASON_MAX_];
	uint64_t seen;
};

/* How many of @left are in @of; those are left no more. */
static uint64_t take(struct pagemask *left, const struct pagemask *of)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < PAGEMASK_WORDS; i++) {
		n += (uint64_t)__builtin_popcountll(left->words[i] &
						    of->words[i]);
		left->words[i] &= ~of->words[i];
	}
	return n;
}

/* Each page counts once, by what says most; whoever has no verdict is alone
 * with its content. */
static void region_count(const struct watched *w, const struct region *r,
			 struct counts *c)
{
	enum reason unregistered = planning_is_held(r->huge, &r->duplicate)
					   ? REASON_HUGE_HELD
					   : REASON_NOT_ENROLLED;
	struct pagemask left = r->known, eligible, registered, failed, rejected;

	c->seen += pagemask_count(&left);
	reader_masks(&w->vmas, r->base, &eligible, &registered);
	for (unsigned int i = 0; i < PAGEMASK_WORDS; i++) {
		registered.words[i] &= r->duplicate.words[i];
		/* with both another has their checksum, not their content */
		failed.words[i] = r->failed.words[i] & ~r->rejected.words[i];
		rejected.words[i] = r->rejected.words[i] & ~r->failed.words[i];
	}
	c->by[REASON_MERGED] += take(&left, &r->merged);
	c->by[REASON_WAITS_FOR_PULSE] += take(&left, &registered);
	c->by[unregistered] += take(&left, &r->duplicate);
	c->by[REASON_EXTRA_REFERENCES] += take(&left, &failed);
	c->by[REASON_CANDIDATES] += take(&left, &r->candidate);
	c->by[REASON_VOLATILE] += take(&left, &rejected);
	c->by[REASON_NO_TWIN] += pagemask_count(&left);
}

static void count(const struct track *track, const struct watched *w,
		  struct counts *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < w->regions.n; i++)
		region_count(w, track_region(track, w->regions.v[i].number), c);
	if ((w->fresh || w->first_pass) && w->present_pages > c->seen)
		c->by[REASON_NOT_LOOKED_AT] = w->present_pages - c->seen;
}

/* Why nothing can be enrolled, whatever is found. */
static enum reason refusal(const struct watched *w, const char **ret_detail)
{
	if (w->mute)
		return REASON_MAP_LOCKED;
	if (w->skip)
		return explaining_of_inject(w->skip);
	if (w->last)
		return explaining_of_inject(w->last);
	if (w->error) {
		*ret_detail = strerror(w->error);
		return REASON_REFUSED;
	}
	return REASON_NONE;
}

/* Duplicates that are too few for the huge pages they lie in. */
static bool holds_back(const struct track *track, const struct watched *w)
{
	for (size_t i = 0; i < w->regions.n; i++) {
		const struct region *region =
			track_region(track, w->regions.v[i].number);

		if (pagemask_next(&region->duplicate, 0) < REGION_PAGES &&
		    planning_is_held(region->huge, &region->duplicate))
			return true;
	}
	return false;
}

enum reason explaining_note(const struct track *track, const struct watched *w,
			    const char **ret_detail)
{
	const char *detail = "";
	enum reason reason = refusal(w, &detail);

	if (ret_detail)
		*ret_detail = detail;
	if (reason)
		return reason;
	if (w->held)
		return REASON_KEEPS_BREAKING;
	if (w->regions_lost)
		return REASON_INDEX_FULL;
	return holds_back(track, w) ? REASON_HUGE_HELD : REASON_NONE;
}

size_t explaining_rows(const struct track *track, const struct watched *w,
		       struct reason_status ret[EXPLAINING_MAX])
{
	static const enum reason order[] = {
		REASON_MERGED,	  REASON_WAITS_FOR_PULSE,  REASON_NOT_ENROLLED,
		REASON_HUGE_HELD, REASON_EXTRA_REFERENCES, REASON_CANDIDATES,
		REASON_VOLATILE,  REASON_NO_TWIN,	   REASON_NOT_LOOKED_AT,
	};
	const char *detail = "";
	enum reason reason = refusal(w, &detail);
	struct counts c;
	size_t n = 0;

	if (reason)
		ret[n++] = (struct reason_status){ reason, 0, detail };
	if (w->held)
		ret[n++] = (struct reason_status){ REASON_KEEPS_BREAKING, 0,
						   "" };
	if (w->regions_lost)
		ret[n++] = (struct reason_status){ REASON_INDEX_FULL, 0, "" };
	if (w->fresh)
		ret[n++] = (struct reason_status){ REASON_NOT_LOOKED_AT, 0,
						   "" };
	count(track, w, &c);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (c.by[order[i]] &&
		    !(w->fresh && order[i] == REASON_NOT_LOOKED_AT))
			ret[n++] = (struct reason_status){ order[i],
							   c.by[order[i]], "" };
	return n;
}
