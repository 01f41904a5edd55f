/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pulser - makes ksmd run and rest as decide/pulse says
 *
 * Joins the kernel's counters, the pulse's decisions and the knobs. Once it
 * has begun the first pulse the knobs are ours: between pulses ksmd rests.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pulse.h"

struct knobs;
struct pulser;
struct root;

struct pulser_settings {
	uint32_t ksmd_cpu_permyriad; /* of one CPU, during a pulse */
	uint64_t target_scan_usec;
	bool zero_pages;
};

/* @ksmd: pid of the kernel thread, 0 if unknown. 0 or -ENOMEM. */
int pulser_new(const struct root *root, struct knobs *knobs, pid_t ksmd,
	       const struct pulser_settings *settings, struct pulser **ret);
struct pulser *pulser_free(struct pulser *pulser);
void pulser_set(struct pulser *pulser, const struct pulser_settings *settings);

/* A pulse has begun, or ended with what is in the other members. */
struct pulser_event {
	bool began;
	uint64_t promised; /* pages */
	uint64_t registered;
	uint64_t saved;
	uint64_t usec;
	uint64_t ksmd_cpu_usec;
	const char *result; /* pulse_verdict_name() */
};

/* Call @told at the begin and end of each pulse; NULL: nobody any more. */
void pulser_listen(struct pulser *pulser,
		   void (*told)(void *userdata,
				const struct pulser_event *event),
		   void *userdata);

/* If ksmd is running, for others or from before, let it rest: from now on it
 * runs when there is evidence. */
void pulser_take_over(struct pulser *pulser);

/*
 * While it rests, ksmd shall pass over @pages in the time that the settings
 * tell; 0: no such wish, only the dead have to be buried.
 */
void pulser_baseline(struct pulser *pulser, uint64_t pages);

/* See pulse_is_worth(); while ksmd is stuck, nothing is. */
bool pulser_is_worth(struct pulser *pulser, uint64_t promised,
		     uint64_t registered, uint64_t waited_usec);

/*
 * Wake ksmd to save @promised of @registered pages.
 * Return: 0, 1 if ksmd cannot be made to run, or negative errno.
 */
int pulser_begin(struct pulser *pulser, uint64_t promised, uint64_t registered);

/* To be called every 20 ms or so during a pulse. */
enum pulse_verdict pulser_poll(struct pulser *pulser);

/* When pulser_poll() says that it is over, whatever has come of it. */
uint64_t pulser_deadline_usec(const struct pulser *pulser);

/*
 * The pulse is over: rest, and say what came of it.
 * Return: pages that are promised still, because ksmd got more than half way
 * and had no time for the rest, as beside many who want the CPU, or is stuck.
 */
uint64_t pulser_end(struct pulser *pulser, enum pulse_verdict verdict);

/*
 * Whether ksmd was found waiting for a lock, which is that of a memory map of
 * which something is registered (mm/ksm.c: scan_get_next_rmap_item()), and has
 * not gone on since. Nothing is merged on the whole machine meanwhile.
 */
bool pulser_is_stuck(struct pulser *pulser);

/* What to say then. */
#define PULSER_STUCK                                                           \
	"ksmd waits for a lock, most likely that of the memory map of a process that is merged: nothing is merged on this machine until it gets it"
