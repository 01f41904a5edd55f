/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan-show - a plan as text and as JSON
 */
#pragma once

#include "choose.h"
#include "ctl.h"
#include "plan.h"
#include "survey.h"

struct plan_report {
	const struct survey *survey;
	const struct plan *plan;
	const struct chosen_vec *chosen; /* the excluded ones are named */
	bool zero_pages; /* the configuration's */
	bool complete; /* false: it was stopped */
	uint64_t cpu_usec; /* of us */
};

struct json_object *plan_json(const struct plan_report *report);

/* What a plan by sample shows as well: what it took and takes, ... */
void plan_json_time(struct json_object *object,
		    const struct plan_report *report, uint64_t n_merging);
/* ... as null what only a whole plan knows, of all or of one process ... */
void plan_json_unknown(struct json_object *object);
/* ... and whom it leaves out. */
struct json_object *plan_json_excluded(const struct plan_report *report);
void plan_print_excluded(const struct screen *screen,
			 const struct plan_report *report);

/* 0 or -ENOMEM. */
int plan_print(const struct screen *screen, const struct plan_report *report);
