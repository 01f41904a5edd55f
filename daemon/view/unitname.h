/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unitname - names of systemd's units, and what may be said in their files
 */
#pragma once

#include <stdbool.h>

#define UNIT_NAME_MAX 256 /* with the null byte, as systemd has it */

struct unit_name {
	char name[UNIT_NAME_MAX]; /* with its type */
	const char *section; /* of the file, for programs it starts; static */
	const char *interface; /* of the bus; static */
	bool template; /* "name@.service" */
};

enum {
	UNIT_NAME_BAD = 1, /* no unit can be called that */
	UNIT_NAME_OTHER, /* a unit that starts no program */
};

/* @text without a type is a service. 0 or one of the above. */
int unit_name_parse(const char *text, struct unit_name *ret);

/*
 * The template of an instance: "a@.service" for "a@b.service".
 * False if @name is none.
 */
bool unit_name_template(const char *name, char ret[UNIT_NAME_MAX]);
