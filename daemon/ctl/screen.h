/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screen - text for people: units, colour, line width
 *
 * Colour and line breaks are for a terminal only; into a pipe or a file goes
 * plain text with one line per item.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct screen {
	FILE *out;
	bool terminal;
	bool colour;
	size_t width; /* columns; SIZE_MAX where lines are never broken */
};

enum screen_style {
	SCREEN_BOLD,
	SCREEN_DIM,
	SCREEN_GREEN,
	SCREEN_YELLOW,
	SCREEN_RED,
	SCREEN_STYLE_MAX_,
};

/* What @out is: $NO_COLOR, $TERM and $COLUMNS are respected. */
struct screen screen_open(FILE *out);

/* The escape sequences around styled text; "" without colour. */
const char *screen_on(const struct screen *screen, enum screen_style style);
const char *screen_off(const struct screen *screen);

/*
 * Print @text, broken between words, and a newline. The cursor stands in
 * column @indent, where further lines begin too. Control characters in @text
 * become '?'.
 */
void screen_wrap(const struct screen *screen, size_t indent, const char *text);

/* Room for any of the following. */
#define SCREEN_NUMBER 32

/* "1.46 GiB", "0 B". Return: @buf. */
char *screen_bytes(uint64_t bytes, char buf[SCREEN_NUMBER]);

/* "350 ms", "4.0 s", "3 min 20 s", "2 h 5 min". Return: @buf. */
char *screen_usec(uint64_t usec, char buf[SCREEN_NUMBER]);

/* "1,234,567". Return: @buf. */
char *screen_count(uint64_t count, char buf[SCREEN_NUMBER]);
