/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log - one line per event, on stderr
 *
 * With a journal on the other side of stderr ($JOURNAL_STREAM is set) a line
 * begins with its syslog priority, "<6>", as sd-daemon(3) describes; elsewhere
 * with the program's name. Only the layers steer, service and ctl log above
 * debug level.
 */
#pragma once

#include <stdbool.h>
#include <syslog.h>

/*
 * Set the program's name (a string that outlives all logging) and whether
 * debug lines are printed. Call once, before the first line.
 */
void log_open(const char *name, bool debug);

/* Print one line of syslog(3) @priority; a newline is added. */
void log_line(int priority, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Like log_line() at LOG_ERR, with ": " and the text of @error appended.
 * @error is positive or negative errno.
 *
 * Return: @error as a negative number, for `return log_error_errno(r, ...)`.
 */
int log_error_errno(int error, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	 log_line(LOG_DEBUG, __VA_ARGS__)
