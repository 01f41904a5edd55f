/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ksmtuned.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define RAM_16G (16ULL << 30)

static char said[4096];

static void on_complaint(void *userdata, const char *file, unsigned int line,
			 const char *sentence)
{
	size_t n = strlen(said);

	(void)userdata;
	assert_string_equal(file, "conf");
	snprintf(said + n, sizeof(said) - n, "%u: %s\n", line, sentence);
}

static int parse(const char *text, struct ksmtuned *k)
{
	said[0] = '\0';
	return ksmtuned_parse("conf", text, strlen(text), on_complaint, NULL,
			      k);
}

static void expect(const char *text, enum ksmtuned_key key, int64_t number)
{
	struct ksmtuned k;

	assert_int_equal(parse(text, &k), 0);
	assert_true(k.keys[key].given);
	assert_int_equal(k.keys[key].number, number);
}

static void nothing_given_is_what_the_script_takes(void **state)
{
	static const int64_t usual[] = { 60, 10, 300, -50, 64, 1250, 20, 2048 };
	struct ksmtuned k;

	(void)state;
	assert_int_equal(parse("# KSM_SLEEP_MSEC=100\n\n \t# DEBUG=1", &k), 0);
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
		assert_false(k.keys[i].given);
		assert_int_equal(k.keys[i].number, usual[i]);
	}
}

static void plain_assignments_are_understood(void **state)
{
	(void)state;
	expect("KSM_SLEEP_MSEC=100", KSMTUNED_SLEEP_MSEC, 100);
	expect("  KSM_SLEEP_MSEC=100\t# slow\r\n", KSMTUNED_SLEEP_MSEC, 100);
	expect("KSM_NPAGES_DECAY='-20'", KSMTUNED_NPAGES_DECAY, -20);
	expect("KSM_NPAGES_MAX=\"5\"00", KSMTUNED_NPAGES_MAX, 500);
	expect("export KSM_NPAGES_MAX=7; DEBUG=1", KSMTUNED_NPAGES_MAX, 7);
	expect("DEBUG=1 KSM_NPAGES_MIN=1;", KSMTUNED_NPAGES_MIN, 1);
	expect("KSM_THRES_COEF=1\nKSM_THRES_COEF=2\n", KSMTUNED_THRES_COEF, 2);
	expect("LOGFILE='/var/log/a b; $c'", KSMTUNED_LOGFILE, 0);
}

static void nothing_is_run(void **state)
{
	static const char *const lines[] = {
		"KSM_SLEEP_MSEC=$(touch /tmp/run)",
		"KSM_SLEEP_MSEC=`id`",
		"KSM_SLEEP_MSEC=${OTHER:-5}",
		"KSM_SLEEP_MSEC=\"$X\"",
		"KSM_SLEEP_MSEC=5 touch /tmp/run",
		"KSM_SLEEP_MSEC=5; touch /tmp/run",
		"KSM_SLEEP_MSEC=5 && :",
		"KSM_SLEEP_MSEC=5>/tmp/run",
		"KSM_SLEEP_MSEC=5\\",
		"KSM_SLEEP_MSEC='5",
		"KSM_SLEEP_MSEC+=5",
		"KSM_SLEEP_MSEC = 5",
		". /etc/other",
		"if true; then KSM_SLEEP_MSEC=5; fi",
		"5=6",
		"=6",
	};
	struct ksmtuned k;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(parse(lines[i], &k), 1);
		assert_non_null(strstr(said, "no plain assignment"));
		assert_false(k.keys[KSMTUNED_SLEEP_MSEC].given);
	}
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
	struct ksmtuned k;

	(void)state;
	assert_int_equal(parse("\nKSM_NPAGES=5\nKSM_SLEEP_MSEC=1x\n"
			       "KSM_NPAGES_MAX=0\nKSM_SLEEP_MSEC=\n",
			       &k),
			 3);
	assert_non_null(strstr(said, "2: ksmtuned has no \"KSM_NPAGES\""));
	assert_non_null(strstr(said, "3: KSM_SLEEP_MSEC = \"1x\" is not"));
	assert_non_null(strstr(said, "4: KSM_NPAGES_MAX = \"0\" is not"));
	assert_int_equal(k.keys[KSMTUNED_NPAGES_MAX].number, 1250);
	assert_int_equal(k.keys[KSMTUNED_SLEEP_MSEC].number, 10);
}

static void a_null_byte_or_a_long_line_is_no_assignment(void **state)
{
	static const char null[] = "KSM_SLEEP_MSEC=5\0#\nDEBUG=1\n";
	char text[2000] = "KSM_SLEEP_MSEC=";
	struct ksmtuned k;

	(void)state;
	said[0] = '\0';
	assert_int_equal(ksmtuned_parse("conf", null, sizeof(null) - 1,
					on_complaint, NULL, &k),
			 1);
	assert_false(k.keys[KSMTUNED_SLEEP_MSEC].given);
	assert_true(k.keys[KSMTUNED_DEBUG].given);
	memset(text + 15, '1', sizeof(text) - 16);
	assert_int_equal(parse(text, &k), 1);
}

/* As ksmtuned's script computes it. */
static void the_pace_is_that_of_the_script(void **state)
{
	struct ksmtuned k;

	(void)state;
	parse("KSM_SLEEP_MSEC=100\nKSM_NPAGES_MAX=1000\n", &k);
	/* 4,194,304 pages, 1,000 at a time, each 100 ms */
	assert_int_equal(ksmtuned_scan_seconds(&k, RAM_16G), 420);
	/* half the memory, twice the sleep */
	assert_int_equal(ksmtuned_scan_seconds(&k, RAM_16G / 2), 420);
	/* not below 10 ms: 100 times the memory takes ten times as long */
	assert_int_equal(ksmtuned_scan_seconds(&k, RAM_16G * 100), 4195);
	parse("KSM_SLEEP_MSEC=1000000000\nKSM_NPAGES_MAX=1\n", &k);
	assert_true(ksmtuned_scan_seconds(&k, 1ULL << 62) > 1000000);
	assert_true(ksmtuned_scan_seconds(&k, 0) > 0);
}

static void check_printed(const char *text, const char *line)
{
	_cleanup_free_ char *got = NULL;
	struct config config;
	struct ksmtuned k;
	size_t len;
	FILE *out = open_memstream(&got, &len);

	assert_non_null(out);
	parse(text, &k);
	said[0] = '\0';
	ksmtuned_print(&k, "/etc/ksmtuned.conf", RAM_16G, out);
	fclose(out);
	assert_non_null(strstr(got, line));
	assert_int_equal(config_parse("conf", got, len, RAM_16G, on_complaint,
				      NULL, &config),
			 0);
	config_clear(&config);
}

static void what_is_printed_is_a_configuration(void **state)
{
	(void)state;
	check_printed("", "\n;target_scan_time = 200s\n");
	check_printed("KSM_SLEEP_MSEC=100", "\ntarget_scan_time = 336s\n");
	check_printed("KSM_NPAGES_MAX=1000000000", "\ntarget_scan_time = 1s\n");
	check_printed("KSM_NPAGES_MAX=1\nKSM_SLEEP_MSEC=1000",
		      "\ntarget_scan_time = 86400s\n");
	check_printed("DEBUG=1", "journalctl");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given_is_what_the_script_takes),
		cmocka_unit_test(plain_assignments_are_understood),
		cmocka_unit_test(nothing_is_run),
		cmocka_unit_test(what_is_wrong_is_told_with_its_line),
		cmocka_unit_test(a_null_byte_or_a_long_line_is_no_assignment),
		cmocka_unit_test(the_pace_is_that_of_the_script),
		cmocka_unit_test(what_is_printed_is_a_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
