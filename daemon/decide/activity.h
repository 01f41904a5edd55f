/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * activity - whether a process uses its memory at all
 *
 * nuKSM (IV-A) places a page by those who use it, and takes that from access
 * bits before the copies are merged. Stock kernels tell us none of that. Of
 * /proc/kpageflags, ACTIVE stays 0 with the multi-gen LRU, IDLE wants an option
 * that Debian leaves out, and REFERENCED is only set by reclaim - and by our
 * own reading: 6,400 accesses to 64 pages left all flags as they were, reading
 * them once through /proc/PID/mem set it on all. PAGEMAP_SCAN knows no accesses; clearing /proc/PID/clear_refs
 * would lead reclaim astray. And who uses a merged page, of all that map it,
 * nothing would tell.
 *
 * What is known for certain is less: a process that does not run uses nothing.
 * So whoever has slept for long does not count where sharers of a page are
 * busy. In between nothing is known, and everybody counts. Who wakes up after
 * all is believed to sleep half as readily from then on: pages do not go to
 * and fro with somebody's timer.
 */
#pragma once

#include <stdint.h>

enum activity {
	ACTIVITY_UNKNOWN,
	ACTIVITY_ASLEEP, /* it has hardly run for long */
	ACTIVITY_BUSY, /* it has run not long ago */
};

/* What was seen of one process; all zero at first. */
struct activity_seen {
	uint64_t usec; /* of the last look, */
	uint64_t cpu_usec; /* ... and what it had used then */
	uint64_t busy_usec; /* last seen busy */
	uint64_t calm_usec; /* has hardly run since then */
	uint32_t wakings;
	enum activity is;
};

/*
 * Take in that it has used @cpu_usec in its life. @rest_usec: what hardly runs
 * for so long is asleep.
 */
void activity_step(struct activity_seen *seen, uint64_t now_usec,
		   uint64_t cpu_usec, uint64_t rest_usec);
