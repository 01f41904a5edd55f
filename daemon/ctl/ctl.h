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
};

struct ctl {
	const char *socket; /* of the daemon */
	bool json;
	struct screen screen;
};

struct verb {
	const char *name;
	const char *summary; /* for the program's --help */
	const char *help; /* the verb's own, after "Usage:" */
	bool json; /* prints data, so --json applies */
	int (*run)(const struct ctl *ctl); /* returns CTL_* */
};

extern const struct verb verb_status, verb_list, verb_pause, verb_resume,
	verb_rescan, verb_doctor;
