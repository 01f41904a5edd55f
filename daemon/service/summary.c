/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <ksmd-plus/journal.h>
#include <ksmd-plus/status.h>
#include <ksmd-plus/types.h>

#include "clock.h"
#include "log.h"

/* An hour that is a minute longer wakes no CPU for itself. */
#define SLACK_USEC (60 * USEC_PER_SEC)

struct summary {
	void (*status)(void *userdata, struct daemon_status *ret);
	void *userdata;
	sd_event_source *timer;
	struct daemon_status before; /* its numbers alone; no pointer is read */
	uint64_t before_usec;
};

static uint64_t since(uint64_t before, uint64_t now)
{
	return now >= before ? now - before : now;
}

static uint64_t processes(const struct daemon_status *status)
{
	uint64_t n = 0;

	for (size_t i = 0; i < status->n_targets; i++)
		n += status->targets[i].processes;
	return n;
}

struct summary_figures summary_between(const struct daemon_status *before,
				       const struct daemon_status *now,
				       uint64_t interval_usec)
{
	return (struct summary_figures){
		.bytes_saved = now->pages_saved * PAGE_BYTES,
		.processes = processes(now),
		.interval_usec = interval_usec,
		.daemon_cpu_usec = since(before->daemon_cpu_usec,
					 now->daemon_cpu_usec),
		.ksmd_cpu_usec = since(before->ksmd_cpu_usec,
				       now->ksmd_cpu_usec),
	};
}

void summary_write(struct summary *summary)
{
	uint64_t usec = clock_usec(CLOCK_MONOTONIC);
	struct summary_figures f;
	struct daemon_status now;

	if (!summary)
		return;
	summary->status(summary->userdata, &now);
	f = summary_between(&summary->before, &now,
			    usec - summary->before_usec);
	log_event(
		LOG_INFO, JOURNAL_SUMMARY,
		LOG_FIELDS(LOG_NUMBER("BYTES_SAVED", f.bytes_saved),
			   LOG_NUMBER("PROCESSES", f.processes),
			   LOG_NUMBER("INTERVAL_USEC", f.interval_usec),
			   LOG_NUMBER("DAEMON_CPU_USEC", f.daemon_cpu_usec),
			   LOG_NUMBER("KSMD_CPU_USEC", f.ksmd_cpu_usec)),
		"Saving %.1f MiB in %" PRIu64
		" processes; in %.1f minutes ksmd-plus took %.2f s of CPU, ksmd %.2f s",
		(double)f.bytes_saved / (1 << 20), f.processes,
		(double)f.interval_usec / (60 * USEC_PER_SEC),
		(double)f.daemon_cpu_usec / USEC_PER_SEC,
		(double)f.ksmd_cpu_usec / USEC_PER_SEC);
	summary->before = now;
	summary->before_usec = usec;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)usec;
	summary_write(userdata);
	sd_event_source_set_time(source,
				 clock_usec(CLOCK_MONOTONIC) + SUMMARY_USEC);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

int summary_new(sd_event *event,
		void (*status)(void *userdata, struct daemon_status *ret),
		void *userdata, struct summary **ret)
{
	struct summary *summary = calloc(1, sizeof(*summary));
	int r;

	if (!summary)
		return -ENOMEM;
	summary->status = status;
	summary->userdata = userdata;
	summary->before_usec = clock_usec(CLOCK_MONOTONIC);
	r = sd_event_add_time(event, &summary->timer, CLOCK_MONOTONIC,
			      summary->before_usec + SUMMARY_USEC, SLACK_USEC,
			      on_timer, summary);
	if (r < 0) {
		free(summary);
		return r;
	}
	*ret = summary;
	return 0;
}

struct summary *summary_free(struct summary *summary)
{
	if (!summary)
		return NULL;
	sd_event_source_unref(summary->timer);
	free(summary);
	return NULL;
}

void summary_started(const struct summary *summary)
{
	struct daemon_status now;

	summary->status(summary->userdata, &now);
	log_event(LOG_INFO, JOURNAL_STARTED,
		  LOG_FIELDS(LOG_TEXT("VERSION", KSMD_PLUS_VERSION),
			     LOG_NUMBER("PROCESSES", processes(&now))),
		  "ksmd-plus " KSMD_PLUS_VERSION " manages %" PRIu64
		  " processes",
		  processes(&now));
}
