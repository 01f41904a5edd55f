/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ctl - what main gives to every verb of ksmd-plusctl
 */
#pragma once

#include <stdbool.h>

#include "screen.h"

enum {
	CTL_DONE = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_WARNED = 3, /* of doctor: no problem, but warnings */
};

/* An option of one verb; no two verbs have different ones of one name. */
struct verb_option {
	const char *name;
	/* Its name in --help; NULL: takes none; "[=NAME]": may be left out. */
	const char *argument;
	const char *help;
};

#define VERB_OPTIONS_MAX 16

/* An option as it was given. */
struct given {
	const char *name;
	const char *value; /* NULL where it takes none */
};

struct ctl {
	const char *socket; /* of the daemon */
	bool json;
	struct screen screen;
	const struct given *given; /* in their order */
	size_t n_given;
	char *const *operands; /* what stands after the verb */
	size_t n_operands;
	void (*sigpipe)(int); /* what was done at SIGPIPE before us */
};

struct verb {
	const char *name;
	const char *summary; /* for the program's --help */
	const char *help; /* the verb's own, after "Usage:" */
	const char *operands; /* in the line after "Usage:"; NULL: takes none */
	const struct verb_option *options; /* up to a name of NULL; or NULL */
	bool dashes; /* operands are another program's: they follow "--" */
	bool json; /* prints data, so --json applies */
	int (*run)(const struct ctl *ctl); /* returns CTL_* */
};

extern const struct verb verb_status, verb_list, verb_pause, verb_resume,
	verb_rescan, verb_doctor, verb_plan, verb_explain, verb_metrics,
	verb_run, verb_top, verb_enable, verb_disable, verb_import;
