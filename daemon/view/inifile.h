/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inifile - an INI file as sections and entries, each with its line
 *
 * inih splits and trims "KEY = VALUE" lines and drops comments. What a
 * configuration needs beyond that is done here, in the function that hands
 * inih its lines: the number of the line (not every build of inih tells it,
 * and on errors all tell only the first), sections with and without entries,
 * names of any length, and a word about every line that is not understood.
 *
 *	; or # begin a comment at the start of a line, and after a blank
 *	[NAME]
 *	KEY = VALUE
 *
 * Blanks around all three do not count, and so a line that begins with blanks
 * does not continue the one above. A line that is not text (null bytes, other
 * control characters, not UTF-8) or longer than INIFILE_LINE_MAX is broken.
 */
#pragma once

#include <stddef.h>

/* A cgroup's path may have PATH_MAX bytes; a key stands before it. */
#define INIFILE_LINE_MAX 4200

struct inifile_ops {
	/*
	 * A section begins. @name is NULL if its header was broken, and then
	 * broken() has been called: what follows belongs to no section.
	 */
	int (*section)(void *userdata, unsigned int line, const char *name);
	int (*entry)(void *userdata, unsigned int line, const char *key,
		     const char *value);
	/* @sentence says what is wrong, what was expected and what is ignored. */
	int (*broken)(void *userdata, unsigned int line, const char *sentence);
};

/*
 * Parse the @len bytes at @text. Strings given to @ops last until they return;
 * each returns 0, or negative errno to stop. Not for several threads at once
 * (inih's options are global).
 *
 * Return: 0, -ENOMEM, or what one of @ops returned.
 */
int inifile_parse(const char *text, size_t len, const struct inifile_ops *ops,
		  void *userdata);
