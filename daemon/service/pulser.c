/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pulser.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <ksmd-plus/journal.h>

#include "cleanup.h"
#include "clock.h"
#include "knobs.h"
#include "ksm.h"
#include "log.h"
#include "process.h"

/* A pulse for less, 1 MiB, is no news: there may be one each second. */
#define NEWS_PAGES 256U

struct pulser {
	const struct root *root;
	struct knobs *knobs;
	pid_t ksmd;
	struct pulser_settings settings;
	struct pulse pulse;
	struct pulse_credit credit;
	uint64_t baseline;
	bool stuck;
	struct pulse_pace resting; /* sleep_msec 0: not resting */
	void (*told)(void *userdata, const struct pulser_event *event);
	void *told_userdata;
};

int pulser_new(const struct root *root, struct knobs *knobs, pid_t ksmd,
	       const struct pulser_settings *settings, struct pulser **ret)
{
	struct pulser *pulser = calloc(1, sizeof(*pulser));

	if (!pulser)
		return -ENOMEM;
	pulser->root = root;
	pulser->knobs = knobs;
	pulser->ksmd = ksmd;
	pulser->settings = *settings;
	pulse_credit_init(&pulser->credit, clock_usec(CLOCK_MONOTONIC));
	*ret = pulser;
	return 0;
}

struct pulser *pulser_free(struct pulser *pulser)
{
	free(pulser);
	return NULL;
}

void pulser_set(struct pulser *pulser, const struct pulser_settings *settings)
{
	pulser->settings = *settings;
}

void pulser_listen(struct pulser *pulser,
		   void (*told)(void *userdata,
				const struct pulser_event *event),
		   void *userdata)
{
	pulser->told = told;
	pulser->told_userdata = userdata;
}

static void tell(const struct pulser *pulser, const char *result)
{
	const struct pulse *p = &pulser->pulse;

	if (pulser->told)
		pulser->told(pulser->told_userdata,
			     &(struct pulser_event){
				     .began = !result,
				     .promised = p->promised,
				     .registered = p->registered,
				     .saved = p->gained,
				     .usec = p->last.now_usec -
					     p->start.now_usec,
				     .ksmd_cpu_usec = (p->last.ksmd_nsec -
						       p->start.ksmd_nsec) /
						      1000,
				     .result = result,
			     });
}

static int sample_take(const struct pulser *pulser, struct pulse_sample *ret)
{
	struct ksm_counters c;
	struct process_stat st;
	int r = ksm_read(pulser->root, &c);
	bool known;

	if (r)
		return r;
	known = pulser->ksmd &&
		!process_stat_read(pulser->root, pulser->ksmd, &st);
	*ret = (struct pulse_sample){
		.now_usec = clock_usec(CLOCK_MONOTONIC),
		.saved = ksm_balance(&c),
		.full_scans = c.full_scans,
		.scanned = c.pages_scanned,
		.runnable = !known || st.state == 'R',
		.blocked = known && st.state == 'D',
	};
	if (pulser->ksmd)
		process_cpu_nsec(pulser->root, pulser->ksmd, &ret->ksmd_nsec);
	return 0;
}

/* 0, KNOB_FOREIGN or negative errno, which has been logged. */
static int knob_write(struct pulser *pulser, enum knob knob, uint64_t value)
{
	int r = knobs_set(pulser->knobs, knob, value);

	if (r < 0)
		return log_event_errno(r, JOURNAL_KNOB_REFUSED,
				       LOG_FIELDS(LOG_TEXT("KNOB",
							   knob_name(knob))),
				       "Cannot write %s", knob_name(knob));
	return r == KNOB_ABSENT ? 0 : r;
}

/* The sleep is written last: a changed value is what wakes ksmd. */
static void pace_write(struct pulser *pulser, const struct pulse_pace *pace)
{
	knob_write(pulser, KNOB_PAGES_TO_SCAN, pace->pages_to_scan);
	knob_write(pulser, KNOB_SLEEP_MILLISECS, pace->sleep_msec);
}

static bool differ(uint32_t a, uint32_t b)
{
	return MAX(a, b) - MIN(a, b) > MIN(a, b) / 5;
}

/* Enough of a change to be worth a write: a fifth. */
static bool pace_differs(const struct pulse_pace *a, const struct pulse_pace *b)
{
	return differ(a->pages_to_scan, b->pages_to_scan) ||
	       differ(a->sleep_msec, b->sleep_msec);
}

static void rest(struct pulser *pulser, const struct pulse_pace *pace)
{
	knob_write(pulser, KNOB_ADVISOR_MODE, 0);
	/* a baseline may well leave out what never merges */
	knob_write(pulser, KNOB_SMART_SCAN, pulser->baseline > 0);
	pace_write(pulser, pace);
	pulser->resting = *pace;
}

static struct pulse_pace rest_pace(const struct pulser *pulser)
{
	return pulse_rest(pulser->baseline, pulser->settings.target_scan_usec);
}

void pulser_take_over(struct pulser *pulser)
{
	struct pulse_pace pace = rest_pace(pulser);
	struct ksm_counters c;

	pulser->resting.sleep_msec = 0;
	if (ksm_read(pulser->root, &c) == 0 && c.run == 1)
		rest(pulser, &pace);
}

void pulser_baseline(struct pulser *pulser, uint64_t pages)
{
	struct pulse_pace pace;

	pulser->baseline = pages;
	pace = rest_pace(pulser);
	if (pulser->resting.sleep_msec && pace_differs(&pulser->resting, &pace))
		rest(pulser, &pace);
}

/* It goes on when it is seen not to wait, or has done something since. */
bool pulser_is_stuck(struct pulser *pulser)
{
	struct pulse_sample now;

	if (!pulser->stuck || sample_take(pulser, &now) ||
	    (now.blocked && now.ksmd_nsec == pulser->pulse.last.ksmd_nsec))
		return pulser->stuck;
	log_info("ksmd goes on");
	pulser->stuck = false;
	return false;
}

bool pulser_is_worth(struct pulser *pulser, uint64_t promised,
		     uint64_t registered, uint64_t waited_usec)
{
	return !pulser_is_stuck(pulser) &&
	       pulse_is_worth(&pulser->credit, clock_usec(CLOCK_MONOTONIC),
			      promised, registered, waited_usec);
}

int pulser_begin(struct pulser *pulser, uint64_t promised, uint64_t registered)
{
	struct pulse_sample now;
	int r = sample_take(pulser, &now);

	if (r)
		return r;
	pulse_begin(&pulser->pulse, &now, promised, registered,
		    pulser->settings.ksmd_cpu_permyriad);
	knob_write(pulser, KNOB_ADVISOR_MODE, 0);
	knob_write(pulser, KNOB_SMART_SCAN, 0);
	if (pulser->settings.zero_pages)
		knob_write(pulser, KNOB_USE_ZERO_PAGES, 1);
	pace_write(pulser, &pulser->pulse.pace);
	r = knob_write(pulser, KNOB_RUN, 1);
	pulser->resting.sleep_msec = 0;
	if (r) {
		struct pulse_pace pace = rest_pace(pulser);

		rest(pulser, &pace);
	} else {
		tell(pulser, NULL);
	}
	return r;
}

enum pulse_verdict pulser_poll(struct pulser *pulser)
{
	struct pulse_pace before = pulser->pulse.pace;
	enum pulse_verdict verdict;
	struct pulse_sample now;

	if (sample_take(pulser, &now))
		return PULSE_TIMEOUT;
	verdict = pulse_step(&pulser->pulse, &now);
	if (verdict != PULSE_GO_ON)
		return verdict;
	if (pace_differs(&before, &pulser->pulse.pace))
		pace_write(pulser, &pulser->pulse.pace);
	else
		pulser->pulse.pace = before;
	return PULSE_GO_ON;
}

uint64_t pulser_deadline_usec(const struct pulser *pulser)
{
	return pulser->pulse.deadline_usec;
}

uint64_t pulser_end(struct pulser *pulser, enum pulse_verdict verdict)
{
	const struct pulse *p = &pulser->pulse;
	bool unfinished = verdict == PULSE_STUCK ||
			  (verdict == PULSE_TIMEOUT &&
			   p->gained >= p->promised / 2);
	struct pulse_pace pace = rest_pace(pulser);

	rest(pulser, &pace);
	pulse_credit_pay(&pulser->credit, p);
	log_line(
		p->promised >= NEWS_PAGES ? LOG_INFO : LOG_DEBUG,
		"Pulse: %" PRIu64 " of %" PRIu64
		" promised pages saved in %.1f s with %.2f s of ksmd's CPU (%s)",
		p->gained, p->promised,
		(double)(p->last.now_usec - p->start.now_usec) / 1e6,
		(double)(p->last.ksmd_nsec - p->start.ksmd_nsec) / 1e9,
		pulse_verdict_name(verdict));
	tell(pulser, pulse_verdict_name(verdict));
	pulser->stuck = verdict == PULSE_STUCK;
	if (pulser->stuck)
		log_event_limited(LOG_WARNING, JOURNAL_KSMD_STUCK, NULL,
				  PULSER_STUCK);
	return unfinished ? p->promised - MIN(p->gained, p->promised) : 0;
}
