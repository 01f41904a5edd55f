/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "knobs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/journal.h>

#include "cleanup.h"
#include "ksm.h"
#include "ledger.h"
#include "log.h"

struct knobs {
	const struct root *root;
	struct ledger *ledger;
	bool dry_run;
	bool foreign[KNOB_MAX_];
};

static const char *const names[KNOB_MAX_] = {
	[KNOB_ADVISOR_MODE] = "advisor_mode",
	[KNOB_SMART_SCAN] = "smart_scan",
	[KNOB_USE_ZERO_PAGES] = "use_zero_pages",
	[KNOB_PAGES_TO_SCAN] = "pages_to_scan",
	[KNOB_SLEEP_MILLISECS] = "sleep_millisecs",
	[KNOB_RUN] = "run",
};

const char *knob_name(enum knob knob)
{
	return names[knob];
}

int knobs_new(const struct root *root, struct ledger *ledger, bool dry_run,
	      struct knobs **ret)
{
	struct knobs *knobs = calloc(1, sizeof(*knobs));

	if (!knobs)
		return -ENOMEM;
	knobs->root = root;
	knobs->ledger = ledger;
	knobs->dry_run = dry_run;
	*ret = knobs;
	return 0;
}

struct knobs *knobs_free(struct knobs *knobs)
{
	free(knobs);
	return NULL;
}

static const char *path_of(enum knob knob, char path[64])
{
	snprintf(path, 64, KSM_DIR "/%s", names[knob]);
	return path;
}

/* "none [scan-time]": the word in brackets; else the first word. */
static int value_read(const struct knobs *knobs, enum knob knob,
		      char ret[LEDGER_VALUE])
{
	char path[64], text[128], *open, *word = text;
	ssize_t n = file_read(knobs->root->sys, path_of(knob, path), text,
			      sizeof(text));

	if (n == -ENOENT)
		return KNOB_ABSENT;
	if (n < 0)
		return (int)n;
	open = strchr(text, '[');
	if (open)
		word = open + 1;
	word[strcspn(word, "]\n ")] = '\0';
	snprintf(ret, LEDGER_VALUE, "%.*s", LEDGER_VALUE - 1, word);
	return 0;
}

static int value_write(struct knobs *knobs, enum knob knob, const char *value)
{
	char path[64];

	return file_write(knobs->root->sys, path_of(knob, path), value);
}

/*
 * Whether @now is one of our values. A daemon killed between the ledger's line
 * and the write leaves the value before the last intention.
 */
static bool is_ours(const struct ledger_knob *k, const char *now)
{
	return !strcmp(now, k->wrote) || !strcmp(now, k->before);
}

/*
 * Switching the advisor's mode resets pages_to_scan (facts 1.8): its original
 * must be in the ledger before, and what the kernel makes of it is ours.
 */
static int advisor_side_effect(struct knobs *knobs, bool before)
{
	const char *name = names[KNOB_PAGES_TO_SCAN];
	char now[LEDGER_VALUE];
	int r = value_read(knobs, KNOB_PAGES_TO_SCAN, now);

	if (r)
		return r;
	if (before)
		return ledger_knob(knobs->ledger, name)
			       ? 0
			       : ledger_knob_found(knobs->ledger, name, now);
	return ledger_knob_writes(knobs->ledger, name, now);
}

static int value_set(struct knobs *knobs, enum knob knob, const char *value)
{
	const struct ledger_knob *k = ledger_knob(knobs->ledger, names[knob]);
	char now[LEDGER_VALUE];
	int r = value_read(knobs, knob, now);

	if (r)
		return r;
	if (k && strcmp(now, k->wrote[0] ? k->wrote : k->original) != 0) {
		knobs->foreign[knob] = true;
		log_event(
			LOG_WARNING, JOURNAL_KNOB_FOREIGN,
			LOG_FIELDS(LOG_TEXT("KNOB", names[knob]),
				   LOG_TEXT("VALUE", now)),
			"Somebody else has set %s to %s: leaving that knob to them",
			names[knob], now);
		return KNOB_FOREIGN;
	}
	/* also what is right already: what it is next tells of somebody else */
	if (!k)
		r = ledger_knob_found(knobs->ledger, names[knob], now);
	if (!strcmp(now, value))
		return 0;
	if (!r && knob == KNOB_ADVISOR_MODE)
		r = advisor_side_effect(knobs, true);
	if (!r)
		r = ledger_knob_writes(knobs->ledger, names[knob], value);
	if (r)
		return r;
	r = value_write(knobs, knob, value);
	if (r) {
		/* what stands there is no stranger's: it has been left */
		ledger_knob_writes(knobs->ledger, names[knob], now);
		return r;
	}
	return knob == KNOB_ADVISOR_MODE ? advisor_side_effect(knobs, false)
					 : 0;
}

int knobs_set(struct knobs *knobs, enum knob knob, uint64_t value)
{
	char text[LEDGER_VALUE];

	if (knobs->foreign[knob])
		return KNOB_FOREIGN;
	if (knobs->dry_run)
		return 0;
	if (knob == KNOB_ADVISOR_MODE)
		return value_set(knobs, knob, "none");
	snprintf(text, sizeof(text), "%" PRIu64, value);
	return value_set(knobs, knob, text);
}

static int restore_one(struct knobs *knobs, enum knob knob)
{
	const struct ledger_knob *k = ledger_knob(knobs->ledger, names[knob]);
	char now[LEDGER_VALUE];
	int r;

	if (!k)
		return 0;
	r = value_read(knobs, knob, now);
	if (r == KNOB_ABSENT)
		return -ENOENT; /* it was there: only hidden from us */
	if (r < 0)
		return r;
	if (strcmp(now, k->original) != 0 && is_ours(k, now) &&
	    !knobs->foreign[knob]) {
		/* run=2 would un-merge everything at once (facts 1.10) */
		bool un_merge = knob == KNOB_RUN && !strcmp(k->original, "2");

		r = value_write(knobs, knob, un_merge ? "0" : k->original);
		/* refused while the advisor, restored before, rules it */
		if (r == -EINVAL && knob == KNOB_PAGES_TO_SCAN)
			r = 0;
		if (r)
			return r;
	}
	ledger_knob_restored(knobs->ledger, names[knob]);
	return 0;
}

int knobs_restore(struct knobs *knobs)
{
	int first = 0;

	if (knobs->dry_run)
		return 0;
	for (int knob = 0; knob < KNOB_MAX_; knob++) {
		int r = restore_one(knobs, (enum knob)knob);

		if (r < 0 && !first)
			first = r;
	}
	return first;
}

bool knobs_is_foreign(const struct knobs *knobs, enum knob knob)
{
	return knobs->foreign[knob];
}
