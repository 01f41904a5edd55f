/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"

static struct {
	unsigned int n;
	int priority;
	int error;
	char text[1100];
	char id[40];
	char first[16];
	uint64_t number;
	uint64_t suppressed;
} got;

static bool sink(const struct log_record *record)
{
	got.n++;
	got.priority = record->priority;
	got.error = record->error;
	got.suppressed = record->suppressed;
	snprintf(got.text, sizeof(got.text), "%s", record->text);
	snprintf(got.id, sizeof(got.id), "%s",
		 record->message_id ? record->message_id : "");
	got.first[0] = '\0';
	if (record->fields) {
		snprintf(got.first, sizeof(got.first), "%s",
			 record->fields[0].text);
		got.number = record->fields[1].number;
		assert_null(record->fields[2].name);
	}
	return true;
}

static int setup(void **state)
{
	(void)state;
	memset(&got, 0, sizeof(got));
	log_open("test", false);
	log_set_sink(sink);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_set_sink(NULL);
	return 0;
}

static void test_event(void **state)
{
	(void)state;
	log_event(LOG_NOTICE, "0123",
		  LOG_FIELDS(LOG_TEXT("COMM", "worker"), LOG_NUMBER("N", 7)),
		  "one %s", "line");
	assert_int_equal(got.n, 1);
	assert_int_equal(got.priority, LOG_NOTICE);
	assert_string_equal(got.text, "one line");
	assert_string_equal(got.id, "0123");
	assert_string_equal(got.first, "worker");
	assert_int_equal(got.number, 7);
}

static void test_errno(void **state)
{
	(void)state;
	assert_int_equal(log_event_errno(-EPERM, "0", NULL, "Cannot"), -EPERM);
	assert_int_equal(got.priority, LOG_ERR);
	assert_int_equal(got.error, EPERM);
	assert_string_equal(got.text, "Cannot: Operation not permitted");
	assert_int_equal(log_error_errno(ENOENT, "Cannot"), -ENOENT);
	assert_string_equal(got.id, "");
}

/* A process may call itself what it likes: the line stays one line. */
static void test_names_cannot_forge_lines(void **state)
{
	(void)state;
	log_warning("%s (pid 1)", "a\n<0>panic\033[2J\x7f");
	assert_string_equal(got.text, "a?<0>panic?[2J? (pid 1)");
	log_warning("%s (pid 1)", "\302\2332J\u202e\xff\u00e4");
	assert_string_equal(got.text, "?2J??\u00e4 (pid 1)");
}

static void test_long_lines_are_cut(void **state)
{
	static char longer[3000];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	log_event_errno(EIO, "0", NULL, "%s", longer);
	assert_int_equal(strlen(got.text), 1023);
}

static void test_debug_is_asked_for(void **state)
{
	(void)state;
	log_debug("unseen");
	assert_int_equal(got.n, 0);
	log_open("test", true);
	log_debug("seen");
	assert_int_equal(got.n, 1);
}

static void test_limit(void **state)
{
	struct log_limit limit = { 0 };
	uint64_t suppressed = 99, now = 5 * LOG_LIMIT_USEC;

	(void)state;
	for (unsigned int i = 0; i < LOG_LIMIT_LINES; i++) {
		assert_true(log_limit_allows(&limit, now + i, &suppressed));
		assert_int_equal(suppressed, 0);
	}
	suppressed = 99;
	for (unsigned int i = 0; i < 1000; i++)
		assert_false(log_limit_allows(&limit, now + LOG_LIMIT_USEC - 1,
					      &suppressed));
	assert_int_equal(suppressed, 99);
	assert_true(
		log_limit_allows(&limit, now + LOG_LIMIT_USEC, &suppressed));
	assert_int_equal(suppressed, 1000);
	assert_true(
		log_limit_allows(&limit, now + LOG_LIMIT_USEC, &suppressed));
	assert_int_equal(suppressed, 0);
}

/* Each place counts for itself: one that is flooded silences no other. */
static void test_limited_by_place(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3 * LOG_LIMIT_LINES; i++)
		log_event_limited(LOG_WARNING, "0", NULL, "flood");
	assert_int_equal(got.n, LOG_LIMIT_LINES);
	log_event_limited(LOG_WARNING, "1", NULL, "another");
	assert_int_equal(got.n, LOG_LIMIT_LINES + 1);
	assert_string_equal(got.text, "another");
}

static void test_says_what_it_left_out(void **state)
{
	struct log_limit limit = { .suppressed = 12 };

	(void)state;
	log_event_within(&limit, LOG_WARNING, "0", NULL, "flood");
	assert_int_equal(got.suppressed, 12);
	assert_string_equal(got.text, "flood (12 more like it were not shown)");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_event),
		TEST(test_errno),
		TEST(test_names_cannot_forge_lines),
		TEST(test_long_lines_are_cut),
		TEST(test_debug_is_asked_for),
		TEST(test_limit),
		TEST(test_limited_by_place),
		TEST(test_says_what_it_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
