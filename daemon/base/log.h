/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log - one line per event, and what may act on an event besides people
 *
 * Lines go to stderr. With a journal on its other side ($JOURNAL_STREAM names
 * it) a line begins with its syslog priority, "<6>", as sd-daemon(3)
 * describes; elsewhere with the program's name. A program that has a better
 * way to the journal gives it as a sink.
 *
 * What an operator may act on is an event: it has an id of
 * <ksmd-plus/journal.h> and fields, which a sink gets and stderr does not.
 * What an unprivileged process can bring about is a limited event.
 *
 * Only the layers steer, service and ctl log above debug level, and only the
 * thread of the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

/* One of an event's fields: a text, or a number where that is NULL. */
struct log_field {
	const char *name; /* upper case, without KSMDPLUS_ */
	const char *text;
	uint64_t number;
};

#define LOG_TEXT(n, t)                                                         \
	{                                                                      \
		.name = (n), .text = (t)                                       \
	}
#define LOG_NUMBER(n, x)                                                       \
	{                                                                      \
		.name = (n), .number = (x)                                     \
	}
/* Ends with an empty field. */
#define LOG_FIELDS(...) ((const struct log_field[]){ __VA_ARGS__, { 0 } })

struct log_record {
	int priority;
	const char *text; /* one line */
	const char *message_id; /* NULL: a line, no event */
	const struct log_field *fields; /* NULL: none */
	uint64_t suppressed; /* like it, not shown before it */
	int error; /* errno, or 0 */
};

/* What a place in the code may still say. Starts as zeroes. */
struct log_limit {
	uint64_t begun_usec;
	uint64_t suppressed;
	unsigned int n;
};

/* At most so many from one place in so much time. */
#define LOG_LIMIT_LINES 10U
#define LOG_LIMIT_USEC	(60 * 1000 * 1000ULL)

/*
 * Set the program's name (a string that outlives all logging) and whether
 * debug lines are printed. Call once, before the first line.
 */
void log_open(const char *name, bool debug);

/* True if stderr leads to the journal. */
bool log_is_journal(void);

/* Lines go to @sink; those for which it is false to stderr after all. */
void log_set_sink(bool (*sink)(const struct log_record *record));

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

/* Like log_line(), for an event. @fields: LOG_FIELDS() or NULL. */
void log_event(int priority, const char *message_id,
	       const struct log_field *fields, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Like log_error_errno(), for an event. */
int log_event_errno(int error, const char *message_id,
		    const struct log_field *fields, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * True if @limit allows one more at @now_usec; else it is counted.
 * @ret_suppressed: with true, those counted since the last that was allowed.
 */
bool log_limit_allows(struct log_limit *limit, uint64_t now_usec,
		      uint64_t *ret_suppressed);

/* Call log_event_limited(). */
void log_event_within(struct log_limit *limit, int priority,
		      const char *message_id, const struct log_field *fields,
		      const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* log_event() that is limited for each place in the code that calls it. */
#define log_event_limited(...)                                                 \
	do {                                                                   \
		static struct log_limit log_limit_here;                        \
                                                                               \
		log_event_within(&log_limit_here, __VA_ARGS__);                \
	} while (0)

#define log_error(...)	 log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	 log_line(LOG_DEBUG, __VA_ARGS__)
