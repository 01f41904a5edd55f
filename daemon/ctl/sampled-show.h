/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sampled-show - what a sample says, as text and as JSON
 */
#pragma once

#include "plan-show.h"
#include "sampled.h"

/* report->plan is not looked at. */
struct json_object *sampled_json(const struct plan_report *report,
				 const struct sampled *sampled);

/* 0 or -ENOMEM. */
int sampled_print(const struct screen *screen, const struct plan_report *report,
		  const struct sampled *sampled);
