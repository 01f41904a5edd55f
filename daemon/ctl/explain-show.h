/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * explain-show - an explanation as text and as JSON
 */
#pragma once

#include "explain.h"
#include "screen.h"

struct json_object;

struct explanation {
	bool daemon; /* it has answered */
	struct explain_rows host;
	struct explained_vec processes;
};

void explain_print(const struct screen *screen, const struct explanation *e);
struct json_object *explain_json(const struct explanation *e);
