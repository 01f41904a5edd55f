/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "utf8.h"

static const char *log_name = "ksmd-plus";
static bool log_debug_on;
static bool log_to_journal;
static bool (*log_sink)(const struct log_record *record);

/* A child whose stderr was redirected has the variable all the same. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
	       st.st_ino == inode;
}

void log_open(const char *name, bool debug)
{
	log_name = name;
	log_debug_on = debug;
	log_to_journal = is_journal();
}

bool log_is_journal(void)
{
	return log_to_journal;
}

void log_set_sink(bool (*sink)(const struct log_record *record))
{
	log_sink = sink;
}

/* One write(2) per line, so that lines of several processes do not mix. */
static void write_stderr(const struct log_record *record)
{
	char line[1100];
	int n;

	if (log_to_journal)
		n = snprintf(line, sizeof(line), "<%d>%s\n", record->priority,
			     record->text);
	else
		n = snprintf(line, sizeof(line), "%s: %s\n", log_name,
			     record->text);
	if (n >= (int)sizeof(line))
		line[sizeof(line) - 2] = '\n';
	fputs(line, stderr);
}

/* Names of processes are theirs to choose: no second line, no escapes. */
static void log_write(struct log_record *record, const char *fmt, va_list ap)
{
	char raw[1024], text[sizeof(raw)];
	int n;

	if (record->priority == LOG_DEBUG && !log_debug_on)
		return;
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	if (record->error && n < (int)sizeof(raw))
		n += snprintf(raw + n, sizeof(raw) - n, ": %s",
			      strerror(record->error));
	if (record->suppressed && n < (int)sizeof(raw))
		snprintf(raw + n, sizeof(raw) - n,
			 " (%" PRIu64 " more like it were not shown)",
			 record->suppressed);
	record->text = utf8_clean(raw, text, sizeof(text));
	if (!log_sink || !log_sink(record))
		write_stderr(record);
	record->text = NULL;
}

void log_line(int priority, const char *fmt, ...)
{
	struct log_record record = { .priority = priority };
	va_list ap;

	va_start(ap, fmt);
	log_write(&record, fmt, ap);
	va_end(ap);
}

int log_error_errno(int error, const char *fmt, ...)
{
	struct log_record record = { .priority = LOG_ERR, .error = abs(error) };
	va_list ap;

	va_start(ap, fmt);
	log_write(&record, fmt, ap);
	va_end(ap);
	return -record.error;
}

void log_event(int priority, const char *message_id,
	       const struct log_field *fields, const char *fmt, ...)
{
	struct log_record record = { .priority = priority,
				     .message_id = message_id,
				     .fields = fields };
	va_list ap;

	va_start(ap, fmt);
	log_write(&record, fmt, ap);
	va_end(ap);
}

int log_event_errno(int error, const char *message_id,
		    const struct log_field *fields, const char *fmt, ...)
{
	struct log_record record = { .priority = LOG_ERR,
				     .message_id = message_id,
				     .fields = fields,
				     .error = abs(error) };
	va_list ap;

	va_start(ap, fmt);
	log_write(&record, fmt, ap);
	va_end(ap);
	return -record.error;
}

bool log_limit_allows(struct log_limit *limit, uint64_t now_usec,
		      uint64_t *ret_suppressed)
{
	if (now_usec - limit->begun_usec >= LOG_LIMIT_USEC) {
		limit->begun_usec = now_usec;
		limit->n = 0;
	}
	if (limit->n >= LOG_LIMIT_LINES) {
		limit->suppressed++;
		return false;
	}
	limit->n++;
	*ret_suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}

void log_event_within(struct log_limit *limit, int priority,
		      const char *message_id, const struct log_field *fields,
		      const char *fmt, ...)
{
	struct log_record record = { .priority = priority,
				     .message_id = message_id,
				     .fields = fields };
	va_list ap;

	if (!log_limit_allows(limit, clock_usec(CLOCK_MONOTONIC),
			      &record.suppressed))
		return;
	va_start(ap, fmt);
	log_write(&record, fmt, ap);
	va_end(ap);
}
