/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *log_name = "ksmd-plus";
static bool log_debug_on;
static bool log_to_journal;

void log_open(const char *name, bool debug)
{
	log_name = name;
	log_debug_on = debug;
	log_to_journal = getenv("JOURNAL_STREAM") != NULL;
}

/* One write(2) per line, so that lines of several processes do not mix. */
static void log_write(int priority, const char *fmt, va_list ap, int error)
{
	char line[1024];
	int n;

	if (priority == LOG_DEBUG && !log_debug_on)
		return;
	if (log_to_journal)
		n = snprintf(line, sizeof(line), "<%d>", priority);
	else
		n = snprintf(line, sizeof(line), "%s: ", log_name);
	n += vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	if (error && n < (int)sizeof(line))
		n += snprintf(line + n, sizeof(line) - n, ": %s",
			      strerror(error));
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n] = '\n';
	line[n + 1] = '\0';
	fputs(line, stderr);
}

void log_line(int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_write(priority, fmt, ap, 0);
	va_end(ap);
}

int log_error_errno(int error, const char *fmt, ...)
{
	va_list ap;

	if (error < 0)
		error = -error;
	va_start(ap, fmt);
	log_write(LOG_ERR, fmt, ap, error);
	va_end(ap);
	return -error;
}
