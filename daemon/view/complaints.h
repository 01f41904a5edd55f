/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * complaints - what is wrong with a configuration, said once per fault
 *
 * A sentence says what is wrong, what was expected and what stays in force.
 * They are counted for ever and passed on up to a limit, because a file that
 * was never a configuration has a fault on every line.
 */
#pragma once

#include <stddef.h>

#include "config.h"

/* Room for a quoted piece of the user's text. */
#define COMPLAINTS_QUOTE_SIZE 72

struct complaints {
	config_complain_fn complain;
	void *userdata;
	int n;
};

/* One more, about @line of @file (0: the file as a whole). */
void complaints_add(struct complaints *complaints, const char *file,
		    unsigned int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Say how many were not passed on, if any, and return how many there were. */
int complaints_finish(struct complaints *complaints, const char *file);

/*
 * @text between quotes in @buf, cut with dots where it is long, and fit for a
 * terminal.
 *
 * Return: @buf.
 */
const char *complaints_quote(char buf[COMPLAINTS_QUOTE_SIZE], const char *text);
