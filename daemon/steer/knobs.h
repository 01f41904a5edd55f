/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * knobs - the files in /sys/kernel/mm/ksm that we write
 *
 * Every original value goes into the ledger before the first change, every
 * intention before each write. Before a write the file is read: if it does not
 * hold what we wrote last, or found if that was what we wanted, somebody else
 * steers it (and be it that he put the original back); from then on that knob
 * is theirs, it is not written nor restored, and knobs_is_foreign() says so.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "files.h"

struct knobs;
struct ledger;

enum knob {
	KNOB_ADVISOR_MODE, /* first: while it is on, pages_to_scan is refused */
	KNOB_SMART_SCAN,
	KNOB_USE_ZERO_PAGES,
	KNOB_PAGES_TO_SCAN,
	KNOB_SLEEP_MILLISECS,
	KNOB_RUN,
	KNOB_MAX_,
};

enum {
	KNOB_ABSENT = 1, /* this kernel has no such file */
	KNOB_FOREIGN, /* somebody else writes it; left alone */
};

/* @dry_run: values are remembered, never written. 0 or negative errno. */
int knobs_new(const struct root *root, struct ledger *ledger, bool dry_run,
	      struct knobs **ret);
struct knobs *knobs_free(struct knobs *knobs);

/*
 * Write @value, unless it is there already. advisor_mode takes 0 (none) only.
 * Return: 0, KNOB_ABSENT, KNOB_FOREIGN or negative errno.
 */
int knobs_set(struct knobs *knobs, enum knob knob, uint64_t value);

/*
 * Put every original value back that nobody else has changed since, from the
 * ledger: also those of an earlier daemon that was killed. A run of 2 comes
 * back as 0: ksmd stops as it had, but nothing is un-merged.
 * Return: 0 or the first negative errno; the others are tried all the same.
 */
int knobs_restore(struct knobs *knobs);

bool knobs_is_foreign(const struct knobs *knobs, enum knob knob);

/* Name of the file. */
const char *knob_name(enum knob knob);
