/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pulse - when ksmd should run, how fast, and when it has done its work
 *
 * A merge takes up to three completed scans (facts 1.3), so a pulse lasts
 * until what was promised is merged and nothing more comes, or until three
 * full scans have passed and the last one brought nothing, or until its time
 * is over. The pace of ksmd is set by batch and sleep so that it keeps to its
 * share of a CPU; the cost of a page is measured as it goes, since it depends
 * on what there is: 0.3 us for a merged page, 7 us for one that merges.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pulse_pace {
	uint32_t pages_to_scan;
	uint32_t sleep_msec;
};

/* What is observed now. */
struct pulse_sample {
	uint64_t now_usec;
	int64_t saved; /* pages: pages_sharing + ksm_zero_pages; any number */
	uint64_t full_scans;
	uint64_t scanned; /* pages_scanned; 0 where the kernel has none */
	uint64_t ksmd_nsec; /* its CPU time */
	bool runnable; /* it runs or wants a CPU; also where nobody knows */
	bool blocked; /* it waits for somebody's lock */
};

enum pulse_verdict {
	PULSE_GO_ON,
	PULSE_MERGED, /* the promise is kept */
	PULSE_STALLED, /* three scans, and the last brought nothing; or ksmd
			* sleeps, because nothing is registered */
	PULSE_STUCK, /* ksmd has waited for a lock for too long */
	PULSE_TIMEOUT,
};

struct pulse {
	struct pulse_sample start;
	struct pulse_sample last;
	struct pulse_pace pace;
	uint64_t promised;
	uint64_t registered;
	uint64_t gained; /* sum of all growth: saved falls when others exit */
	uint64_t deadline_usec;
	uint64_t scan_gained; /* gained when full_scans last moved */
	uint64_t scan_count; /* full_scans then */
	uint64_t idle_scans; /* completed scans that brought nothing */
	uint64_t growth_usec; /* when gained last grew */
	uint64_t active_usec; /* when ksmd was last seen to do something */
	uint32_t page_nsec; /* cost of a page, smoothed */
	uint32_t cpu_permyriad;
	int64_t spare_nsec; /* of CPU, that its share has left it */
};

/*
 * A batch lasts about this long: a write to "run" waits for its end, and a
 * pulse cannot stop sooner.
 */
#define PULSE_BATCH_NSEC 25000000ULL
#define PULSE_MIN_PAGES	 500U
#define PULSE_MAX_PAGES	 60000U

/* Rest: often enough to free what dead processes left behind, cheap enough to
 * cost less than a thousandth of a CPU. */
#define PULSE_REST_PAGES 500U
#define PULSE_REST_MSEC	 10000U
/* Where a baseline is kept, ksmd wakes this often. */
#define PULSE_BASE_MSEC 500U

/*
 * ksmd's share is one of some seconds, not of each: of what it did not use, so
 * much is kept, and while that lasts a pulse takes nearly a whole CPU: for 4 s
 * at 70 %.
 */
#define PULSE_SPARE_USEC      1500000ULL
#define PULSE_BURST_PERMYRIAD 9500U

/*
 * Begin a pulse that is to save @promised pages. @pulse: all zero, or the last
 * one. @registered: pages that ksmd has to look at in a full scan, as far as
 * known; bounds the time. @cpu_permyriad: ksmd's share of a CPU, 1 to 10000.
 */
void pulse_begin(struct pulse *pulse, const struct pulse_sample *now,
		 uint64_t promised, uint64_t registered,
		 uint32_t cpu_permyriad);

/* Take in a sample; pulse->pace is what the knobs should be now. */
enum pulse_verdict pulse_step(struct pulse *pulse,
			      const struct pulse_sample *now);

/*
 * A pulse passes over everything that is registered, merged or not, up to
 * three times. Where it saves one page in PULSE_PAYS of them that is paid for:
 * 29 us for each, beside the 7 that its merge takes anyway. For less there is
 * a credit that grows by a hundredth of a CPU and pays what such pulses cost:
 * what is small and rare is merged soon, what is small and comes all the time
 * goes together. One page in PULSE_OWES may be merged on a debt.
 *
 * Fewer and larger pulses while guests boot were tried (each to wait for up to
 * 3 s): 4 instead of 8, for the same CPU, since each then takes more scans.
 */
#define PULSE_PAYS	       32U
#define PULSE_OWES	       256U
#define PULSE_CREDIT_PERMYRIAD 100U
/* To begin with, and at most; or what one pulse costs, if that is more. */
#define PULSE_CREDIT_USEC 2000000U
/* Small promises wait this long for others. */
#define PULSE_GATHER_USEC 500000U

struct pulse_credit {
	int64_t usec; /* of ksmd's CPU; below 0: a debt */
	uint64_t updated_usec;
	uint32_t pass_nsec; /* what passing over a page costs, as learnt */
};

void pulse_credit_init(struct pulse_credit *credit, uint64_t now_usec);

/*
 * Whether a pulse pays for itself, or there is credit for it: to save
 * @promised pages with @registered in all, the oldest promise being of
 * @waited_usec ago.
 */
bool pulse_is_worth(struct pulse_credit *credit, uint64_t now_usec,
		    uint64_t promised, uint64_t registered,
		    uint64_t waited_usec);

/* A pulse is over: what it has cost beside its merges is paid. */
void pulse_credit_pay(struct pulse_credit *credit, const struct pulse *pulse);

/*
 * The pace between pulses. @baseline: pages that a full scan has to pass over
 * in @target_usec, as the kernel's scan-time advisor would have it; 0: none.
 */
struct pulse_pace pulse_rest(uint64_t baseline, uint64_t target_usec);

const char *pulse_verdict_name(enum pulse_verdict verdict);
