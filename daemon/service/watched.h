/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watched - a process that is looked at, and what each part keeps about it
 *
 * One record, counted references: the list of watch.h holds one, and whatever
 * is under way for it another.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ksmd-plus/inject.h>
#include <ksmd-plus/types.h>

#include "account.h"
#include "process.h"
#include "rules.h"
#include "sampler.h"
#include "vec.h"
#include "vmas.h"
#include "worth.h"

struct accounts_group;

/* A region of the process that is tracked. */
struct watched_region {
	uint64_t base;
	uint32_t number; /* in struct track */
	struct heat heat;
	uint16_t merged; /* pages, at the last look */
	bool huge;
};

struct watched_regions VEC(struct watched_region);

/* What service/accounting knows of it. The counters only grow; each look at
 * the accounts takes in what has come since the one before. */
struct watched_account {
	struct account_book book;
	struct worth worth;
	uint64_t cpu_nsec; /* of threads that were at work on it */
	uint64_t cpu_taken_nsec;
	uint64_t broken; /* pages since the last look: merged, and written */
	uint64_t wasted; /* ... on which a pulse was spent, and written */
	uint64_t merging; /* pages, as the kernel counts them */
	uint64_t records; /* that ksmd keeps for it */
	unsigned int judged_from; /* number of the pass */
	struct accounts_group *target, *unit, *guest; /* guest may be NULL */
};

struct watched {
	unsigned int refs; /* the list's and one for each job or request */
	uint32_t number; /* its place in the list, for region->owner */
	struct process process;
	struct process_facts facts;
	enum mode mode;
	char *target; /* owned; "" for what registered itself */
	char rule[64];
	uint32_t domain;
	bool gone; /* exited or exec'ed: nothing may be done to it */
	bool dropped; /* off the list: gone, or no longer named */
	bool mute; /* its memory map is locked: nothing is asked of it */
	bool fresh; /* its mappings were never read */
	bool first_pass; /* its pages were not all looked at yet */
	bool reference; /* read in full at first: others like it are probed */
	bool probe; /* in this pass, new regions are probed */

	/* rereading; see sampler.h */
	uint64_t found_usec;
	uint64_t pass_usec; /* the next pass */
	unsigned int n_passes;
	uint64_t resident; /* pages, when the last pass began */
	uint64_t map_usec; /* CPU to read its mappings */
	unsigned int calm; /* passes that brought nothing new */
	bool again; /* begin this pass again */
	bool news; /* this pass has brought something */
	struct probing probing;

	/* when the hook for hints rests; see readers.h */
	uint64_t io_bytes;
	uint32_t io_epoch;

	/* from the last look at its mappings */
	struct vmas vmas;
	uint64_t mapped_usec; /* when they were read */
	uint64_t
		relieved_usec; /* when it got its ranges back for what was read */
	bool mapping; /* they are being read because of a hint */
	size_t n_mappings;
	struct watched_regions regions; /* by base */
	uint64_t present_pages;
	uint64_t sparse;
	uint64_t regions_lost;

	struct watched_account account;

	/* enrolment */
	bool held; /* loses more than it wins: nothing new for a while */
	bool whole_done;
	enum inject_reason skip; /* never to be tried again, and why */
	bool shares; /* its parent's memory: that one is read and counted */
	enum inject_reason last; /* why the last try has to be repeated */
	int error; /* errno of the last refused call */
	uint64_t retry_usec; /* not before */
	unsigned int n_tries;
	uint64_t wanted_pages; /* duplicates at the last planning */

	bool ended; /* the end of all has come to it */
};

/*
 * Whether it is registered as a whole: not with mappings of more than 64 GiB,
 * fifteen parts in sixteen of which are empty. Taking that back looks at each
 * page, present or not (mm/ksm.c, break_ksm(): 16 s for a TiB, measured on
 * 6.18), and so does ksmd before it knows better. Those get ranges.
 */
#define WATCHED_VAST_BYTES (64ULL << 30)
#define WATCHED_VAST_PARTS 16U
bool watched_is_whole(const struct watched *watched);

/* Whether its memory can be looked at; not where @watched is NULL. */
static inline bool watched_is_readable(const struct watched *watched)
{
	return watched && !watched->gone && !watched->mute;
}

/* A process is new for this long: what it makes us do is a beginning. */
#define WATCH_NEW_USEC 30000000ULL
bool watched_is_new(const struct watched *watched);

/* It was found while it filled its memory: much more has come since its first
 * pass began, which therefore has to begin again. */
bool watched_is_growing(const struct watched *watched);

/* The region at @base, or NULL if there is none. */
struct watched_region *watched_region_at(struct watched *watched,
					 uint64_t base);

/*
 * A record with one reference, by what @verdict says of it. Takes over what
 * @process and @facts hold and clears them; NULL without memory.
 */
struct watched *watched_new(struct process *process,
			    struct process_facts *facts,
			    const struct rule_verdict *verdict);
struct watched *watched_ref(struct watched *watched);
struct watched *watched_unref(struct watched *watched);

/* All that are watched, each at its number; NULL where nobody is. */
struct watched_list VEC(struct watched *);

/* Give @watched a number; the reference goes to the list. 0 or -ENOMEM. */
int watched_list_add(struct watched_list *list, struct watched *watched);

/* For watch_has_reference() and watch_registered(). */
bool watched_list_has_reference(const struct watched_list *list,
				const struct watched *watched);
uint64_t watched_list_registered(const struct watched_list *list);
