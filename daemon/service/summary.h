/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * summary - one line an hour in the journal: what is saved, and what it took
 *
 * The line is an event whose fields are plain numbers, so that a journal that
 * is kept shows what merging was worth over months. CPU is that of the time
 * since the line before, savings are those of the moment.
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

struct daemon_status;
struct summary;

#define SUMMARY_USEC (3600 * 1000 * 1000ULL)

/* The figures of one line. */
struct summary_figures {
	uint64_t bytes_saved;
	uint64_t processes;
	uint64_t interval_usec;
	uint64_t daemon_cpu_usec;
	uint64_t ksmd_cpu_usec;
};

/*
 * What has happened between @before and @now, @interval_usec apart. A counter
 * that went back, as ksmd's does where it was started anew, counts from 0.
 */
struct summary_figures summary_between(const struct daemon_status *before,
				       const struct daemon_status *now,
				       uint64_t interval_usec);

/* Asks @status whenever a line is due. Return: 0 or negative errno. */
int summary_new(sd_event *event,
		void (*status)(void *userdata, struct daemon_status *ret),
		void *userdata, struct summary **ret);
struct summary *summary_free(struct summary *summary);

/* All processes were looked at once: say so. */
void summary_started(const struct summary *summary);

/* A line now: the last one, before the end. NULL is allowed. */
void summary_write(struct summary *summary);
