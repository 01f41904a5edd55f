/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "activity.h"

#include "cleanup.h"

/* Below 1/1000 of a CPU a process hardly runs: the timers of a program that
 * has nothing to do take less. From 1/100 on it is busy. */
#define CALM_PART 1000
#define BUSY_PART 100
/* CPU time is told in ticks; what is used between two looks may be one more
 * or less, and looks in quick succession would tell nothing. */
#define TICK_USEC 10000
#define LOOKS	  64 /* in the time after which one sleeps, at most */
/* Rests are no longer than 2^6 times what they were at first. */
#define WAKINGS_MOST 6U

void activity_step(struct activity_seen *seen, uint64_t now_usec,
		   uint64_t cpu_usec, uint64_t rest_usec)
{
	uint64_t time, cpu;

	if (!seen->usec || now_usec <= seen->usec ||
	    cpu_usec < seen->cpu_usec) {
		seen->calm_usec = now_usec;
		seen->usec = now_usec;
		seen->cpu_usec = cpu_usec;
		return;
	}
	time = now_usec - seen->usec;
	if (time < rest_usec / LOOKS)
		return;
	cpu = cpu_usec - seen->cpu_usec;
	seen->usec = now_usec;
	seen->cpu_usec = cpu_usec;
	if (cpu > time / CALM_PART + TICK_USEC) {
		if (seen->is == ACTIVITY_ASLEEP)
			seen->wakings = MIN(seen->wakings + 1, WAKINGS_MOST);
		seen->calm_usec = now_usec;
	}
	if (cpu > time / BUSY_PART + TICK_USEC)
		seen->busy_usec = now_usec;
	/*
	 * Half as long, so that of two who stop at about the same time none
	 * is busy while the other is asleep already.
	 */
	if (seen->busy_usec && now_usec - seen->busy_usec <= rest_usec / 2)
		seen->is = ACTIVITY_BUSY;
	else if (now_usec - seen->calm_usec >= rest_usec << seen->wakings)
		seen->is = ACTIVITY_ASLEEP;
	else
		seen->is = ACTIVITY_UNKNOWN;
}
