/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * live - a terminal that is drawn on, and put back as it was
 *
 * The alternate screen, keys as they are pressed, no cursor, lines that are
 * never broken. Only lines that differ from what stands there are sent, so
 * that it can be used over a slow connection. What is said on stderr
 * meanwhile is said after the end, where it can be read.
 *
 * There can be one in a process: signals are its business while it lives.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIVE_LINE_SIZE 1024

enum live_style { LIVE_PLAIN, LIVE_BOLD, LIVE_REVERSE };

enum live_event {
	LIVE_TIME, /* nothing happened for so long */
	LIVE_KEY,
	LIVE_RESIZED, /* or continued: everything has to be drawn anew */
	LIVE_END, /* SIGINT, SIGTERM, SIGHUP, or the terminal is gone */
};

/* Keys that are no characters. */
enum {
	LIVE_KEY_UP = 256,
	LIVE_KEY_DOWN,
	LIVE_KEY_PAGE_UP,
	LIVE_KEY_PAGE_DOWN,
	LIVE_KEY_HOME,
};

struct live;

/* 0, or negative errno: -ENOTTY where stdin or stdout is no terminal. */
int live_open(struct live **ret);
struct live *live_close(struct live *live);

size_t live_rows(const struct live *live);
size_t live_columns(const struct live *live);

/*
 * What is to stand in line @row: @text is cut at the right edge, and control
 * characters become '?'. Lines that are not put stay as they are.
 */
void live_put(struct live *live, size_t row, enum live_style style,
	      const char *text);

/* Send what has changed. */
void live_show(struct live *live);

/* Wait for something to happen; *ret_key is set for LIVE_KEY. */
enum live_event live_wait(struct live *live, uint64_t usec, int *ret_key);
