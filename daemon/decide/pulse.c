/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pulse.h"

#include "cleanup.h"
#include "clock.h"

/* Facts 1.3: judge after three completed scans. */
#define JUDGE_SCANS 3U
/* With the promise kept, wait this long for more than was promised, beside
 * the time that ksmd sleeps. */
#define QUIET_USEC (20 * USEC_PER_MSEC)
/* On top of what the work may take: ksmd is nicer than others, and may wait
 * long for a CPU. Nothing is lost meanwhile, only no round begins. */
#define STARVING_USEC (30 * USEC_PER_SEC)
/* A ksmd that has work moves at least this often. */
#define IDLE_USEC (3 * USEC_PER_SEC)
/* First guess, between a merged page's cost and a merging one's. */
#define PAGE_NSEC_GUESS 2000U
/* What merging a page costs, and passing over one that is merged: facts 1.6 */
#define MERGE_NSEC	7000U
#define PASS_NSEC_GUESS 300U
/* The dearest page there is: facts 1.6, times two. */
#define PAGE_NSEC_WORST 14000ULL

/* What is left of the share, with @used_nsec used in @usec. */
static int64_t spare(int64_t nsec, uint64_t usec, uint64_t used_nsec,
		     uint32_t cpu_permyriad)
{
	int64_t most = (int64_t)(PULSE_SPARE_USEC * cpu_permyriad / 10);

	/* a longer time fills it, whatever was missing */
	if (usec >= 10 * PULSE_SPARE_USEC)
		return most;
	nsec += (int64_t)(usec * cpu_permyriad / 10) - (int64_t)used_nsec;
	return MIN(nsec, most);
}

static uint32_t share_now(const struct pulse *p)
{
	return p->spare_nsec > 0 ? MAX(p->cpu_permyriad, PULSE_BURST_PERMYRIAD)
				 : p->cpu_permyriad;
}

static void pace_set(struct pulse *p)
{
	uint32_t share = share_now(p);
	uint64_t pages = PULSE_BATCH_NSEC / MAX(p->page_nsec, 1U);
	uint64_t batch, sleep;

	pages = MIN(MAX(pages, (uint64_t)PULSE_MIN_PAGES),
		    (uint64_t)PULSE_MAX_PAGES);
	batch = pages * p->page_nsec;
	/* batch / (batch + sleep) = share */
	sleep = batch * (10000 - share) / share;
	p->pace.pages_to_scan = (uint32_t)pages;
	/* rounded up, and never 0: ksmd would spin (facts 1.8) */
	p->pace.sleep_msec = (uint32_t)MAX((sleep + 999999) / 1000000,
					   (uint64_t)1);
}

void pulse_begin(struct pulse *p, const struct pulse_sample *now,
		 uint64_t promised, uint64_t registered, uint32_t cpu_permyriad)
{
	uint64_t work_usec = registered * PAGE_NSEC_WORST / 1000 *
			     (JUDGE_SCANS + 1) * 10000 / cpu_permyriad;
	int64_t left = spare(p->spare_nsec, now->now_usec - p->last.now_usec, 0,
			     cpu_permyriad);

	*p = (struct pulse){
		.start = *now,
		.last = *now,
		.promised = promised,
		.registered = registered,
		.deadline_usec = now->now_usec + STARVING_USEC + work_usec,
		.scan_count = now->full_scans,
		.growth_usec = now->now_usec,
		.active_usec = now->now_usec,
		.page_nsec = PAGE_NSEC_GUESS,
		.cpu_permyriad = cpu_permyriad,
		.spare_nsec = left,
	};
	pace_set(p);
}

/* Follow the measured cost, by halves: a scan's phases differ widely. */
static void cost_learn(struct pulse *p, const struct pulse_sample *now)
{
	uint64_t pages = now->scanned - p->last.scanned;
	uint64_t nsec = now->ksmd_nsec - p->last.ksmd_nsec;
	uint32_t share = share_now(p);
	uint64_t cost;

	p->spare_nsec = spare(p->spare_nsec, now->now_usec - p->last.now_usec,
			      nsec, p->cpu_permyriad);
	if (pages >= PULSE_MIN_PAGES) {
		cost = MIN(MAX(nsec / pages, 50ULL), PAGE_NSEC_WORST);
		p->page_nsec = (uint32_t)((p->page_nsec + cost) / 2);
	}
	if (pages >= PULSE_MIN_PAGES || share != share_now(p))
		pace_set(p);
}

enum pulse_verdict pulse_step(struct pulse *p, const struct pulse_sample *now)
{
	uint64_t quiet_usec;

	cost_learn(p, now);
	if (now->runnable || now->ksmd_nsec != p->last.ksmd_nsec ||
	    now->full_scans != p->last.full_scans)
		p->active_usec = now->now_usec;
	if (now->saved > p->last.saved) {
		p->gained += (uint64_t)(now->saved - p->last.saved);
		p->growth_usec = now->now_usec;
	}
	p->last = *now;
	if (now->full_scans != p->scan_count) {
		p->idle_scans = p->gained > p->scan_gained
					? 0
					: p->idle_scans + now->full_scans -
						  p->scan_count;
		p->scan_count = now->full_scans;
		p->scan_gained = p->gained;
	}
	quiet_usec = QUIET_USEC + p->pace.sleep_msec * USEC_PER_MSEC;
	if (p->gained >= p->promised &&
	    now->now_usec >= p->growth_usec + quiet_usec)
		return PULSE_MERGED;
	if (now->full_scans >= p->start.full_scans + JUDGE_SCANS + 1 &&
	    p->idle_scans)
		return p->gained >= p->promised ? PULSE_MERGED : PULSE_STALLED;
	if (now->now_usec >=
	    p->active_usec + IDLE_USEC + p->pace.sleep_msec * USEC_PER_MSEC)
		return now->blocked ? PULSE_STUCK : PULSE_STALLED;
	return now->now_usec >= p->deadline_usec ? PULSE_TIMEOUT : PULSE_GO_ON;
}

void pulse_credit_init(struct pulse_credit *credit, uint64_t now_usec)
{
	*credit = (struct pulse_credit){ .usec = PULSE_CREDIT_USEC,
					 .updated_usec = now_usec,
					 .pass_nsec = PASS_NSEC_GUESS };
}

bool pulse_is_worth(struct pulse_credit *credit, uint64_t now_usec,
		    uint64_t promised, uint64_t registered,
		    uint64_t waited_usec)
{
	int64_t cost =
		(int64_t)(registered * JUDGE_SCANS * credit->pass_nsec / 1000);
	uint64_t since = now_usec - MIN(now_usec, credit->updated_usec);

	credit->updated_usec = now_usec;
	credit->usec += (int64_t)(since * PULSE_CREDIT_PERMYRIAD / 10000);
	credit->usec = MIN(credit->usec, MAX(cost, (int64_t)PULSE_CREDIT_USEC));
	if (!promised || promised * PULSE_PAYS >= registered)
		return promised > 0;
	if (promised * PULSE_OWES >= registered && credit->usec >= 0)
		return true;
	return waited_usec >= PULSE_GATHER_USEC && credit->usec >= cost;
}

void pulse_credit_pay(struct pulse_credit *credit, const struct pulse *p)
{
	uint64_t nsec = p->last.ksmd_nsec - p->start.ksmd_nsec;
	uint64_t scanned = p->last.scanned - p->start.scanned;
	uint64_t merging = p->gained * MERGE_NSEC;
	uint64_t passing = nsec - MIN(nsec, merging);

	if (p->promised * PULSE_PAYS < p->registered)
		credit->usec -= (int64_t)(passing / 1000);
	if (scanned >= PULSE_MIN_PAGES) {
		uint64_t cost = MIN(MAX(passing / scanned, 50ULL),
				    PAGE_NSEC_WORST);

		credit->pass_nsec = (uint32_t)(credit->pass_nsec + cost) / 2;
	}
}

struct pulse_pace pulse_rest(uint64_t baseline, uint64_t target_usec)
{
	uint64_t wakes = MAX(target_usec / (PULSE_BASE_MSEC * USEC_PER_MSEC),
			     (uint64_t)1);
	uint64_t pages = (baseline + wakes - 1) / wakes;

	if (pages * PULSE_REST_MSEC <= PULSE_REST_PAGES * PULSE_BASE_MSEC)
		return (struct pulse_pace){ PULSE_REST_PAGES, PULSE_REST_MSEC };
	return (struct pulse_pace){
		(uint32_t)MIN(pages, (uint64_t)PULSE_MAX_PAGES), PULSE_BASE_MSEC
	};
}

const char *pulse_verdict_name(enum pulse_verdict verdict)
{
	static const char *const names[] = {
		[PULSE_GO_ON] = "goes on",
		[PULSE_MERGED] = "merged what was promised",
		[PULSE_STALLED] = "nothing more to merge",
		[PULSE_STUCK] = "ksmd waits for a lock",
		[PULSE_TIMEOUT] = "out of time",
	};

	return names[verdict];
}
