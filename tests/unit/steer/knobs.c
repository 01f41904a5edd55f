/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "knobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "faketree.h"
#include "ledger.h"

#define KSM "sys/kernel/mm/ksm/"

static struct root root;
static struct ledger *ledger;
static struct knobs *knobs;
static int dir = -1;

/* What the kernel has at first; no newline of its own is needed. */
static const struct {
	const char *path, *text;
} files[] = {
	{ KSM "run", "0\n" },
	{ KSM "pages_to_scan", "100\n" },
	{ KSM "sleep_millisecs", "20\n" },
	{ KSM "smart_scan", "1\n" },
	{ KSM "use_zero_pages", "0\n" },
	{ KSM "advisor_mode", "[none] scan-time\n" },
};

static void daemon_begin(bool dry_run)
{
	assert_int_equal(ledger_open(dir, dry_run, &ledger), 0);
	assert_int_equal(knobs_new(&root, ledger, dry_run, &knobs), 0);
}

/* The ledger's file stays as a SIGKILL would leave it. */
static void daemon_die(void)
{
	knobs = knobs_free(knobs);
	ledger = ledger_close(ledger);
}

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		faketree_file(files[i].path, "%s", files[i].text);
	faketree_file("proc/x", "%s", "");
	faketree_file("run/x", "%s", "");
	if (root_open(faketree_top, &root))
		return -1;
	dir = open(faketree_top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	daemon_begin(false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	daemon_die();
	dir = close_fd(dir);
	root_close(&root);
	faketree_end();
	return 0;
}

static bool ledger_is_empty(void)
{
	daemon_die();
	daemon_begin(false);
	return faccessat(dir, "ledger", F_OK, 0) == 0 &&
	       !*faketree_text("ledger");
}

#define HAS(name, value) assert_string_equal(faketree_text(KSM name), value)

static void test_each_value_comes_back(void **state)
{
	(void)state;
	assert_int_equal(knobs_set(knobs, KNOB_SMART_SCAN, 0), 0);
	assert_int_equal(knobs_set(knobs, KNOB_USE_ZERO_PAGES, 1), 0);
	assert_int_equal(knobs_set(knobs, KNOB_PAGES_TO_SCAN, 1000), 0);
	assert_int_equal(knobs_set(knobs, KNOB_SLEEP_MILLISECS, 5), 0);
	assert_int_equal(knobs_set(knobs, KNOB_RUN, 1), 0);
	HAS("smart_scan", "0");
	HAS("use_zero_pages", "1");
	HAS("sleep_millisecs", "5");
	assert_int_equal(knobs_set(knobs, KNOB_SLEEP_MILLISECS, 10000), 0);
	HAS("sleep_millisecs", "10000");
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("run", "0");
	HAS("pages_to_scan", "100");
	HAS("sleep_millisecs", "20");
	HAS("smart_scan", "1");
	HAS("use_zero_pages", "0");
	assert_true(ledger_is_empty());
}

static void test_what_is_right_already_is_not_written(void **state)
{
	(void)state;
	faketree_file(KSM "run", "1\n");
	assert_int_equal(knobs_set(knobs, KNOB_RUN, 1), 0);
	assert_string_equal(ledger_knob(ledger, "run")->original, "1");
	assert_string_equal(ledger_knob(ledger, "run")->wrote, "");
	/* the newline that a write of ours would have left out */
	HAS("run", "1");
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("run", "1");
	assert_true(ledger_is_empty());
}

/* It was as we wanted it, so nothing was written; and then it was not. */
static void test_somebody_else_changes_what_was_right(void **state)
{
	(void)state;
	faketree_file(KSM "run", "1\n");
	assert_int_equal(knobs_set(knobs, KNOB_RUN, 1), 0);
	faketree_file(KSM "run", "0\n");
	assert_int_equal(knobs_set(knobs, KNOB_RUN, 1), KNOB_FOREIGN);
	HAS("run", "0");
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("run", "0");
	assert_true(ledger_is_empty());
}

static void test_the_original_is_written_down_first(void **state)
{
	const struct ledger_knob *k;

	(void)state;
	knobs_set(knobs, KNOB_SLEEP_MILLISECS, 5);
	k = ledger_knob(ledger, "sleep_millisecs");
	assert_string_equal(k->original, "20");
	assert_string_equal(k->wrote, "5");
}

static void test_somebody_else_writes(void **state)
{
	(void)state;
	knobs_set(knobs, KNOB_SLEEP_MILLISECS, 5);
	knobs_set(knobs, KNOB_PAGES_TO_SCAN, 1000);
	faketree_file(KSM "sleep_millisecs", "33\n");
	assert_false(knobs_is_foreign(knobs, KNOB_SLEEP_MILLISECS));
	assert_int_equal(knobs_set(knobs, KNOB_SLEEP_MILLISECS, 6),
			 KNOB_FOREIGN);
	HAS("sleep_millisecs", "33");
	assert_true(knobs_is_foreign(knobs, KNOB_SLEEP_MILLISECS));
	/* for good, even if he comes back to what we had; and only that one */
	faketree_file(KSM "sleep_millisecs", "5\n");
	assert_int_equal(knobs_set(knobs, KNOB_SLEEP_MILLISECS, 6),
			 KNOB_FOREIGN);
	assert_int_equal(knobs_set(knobs, KNOB_PAGES_TO_SCAN, 2000), 0);
	assert_false(knobs_is_foreign(knobs, KNOB_PAGES_TO_SCAN));
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("sleep_millisecs", "5");
	HAS("pages_to_scan", "100");
	assert_true(ledger_is_empty());
}

/* Noticed at the end only: his value stays as well. */
static void test_somebody_else_writes_last(void **state)
{
	(void)state;
	knobs_set(knobs, KNOB_RUN, 1);
	faketree_file(KSM "run", "2\n");
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("run", "2");
	assert_true(ledger_is_empty());
}

/* "echo 0 >run" of somebody who wants KSM to stop, which it had before us. */
static void test_somebody_else_puts_the_original_back(void **state)
{
	(void)state;
	knobs_set(knobs, KNOB_RUN, 1);
	faketree_file(KSM "run", "0\n");
	assert_int_equal(knobs_set(knobs, KNOB_RUN, 1), KNOB_FOREIGN);
	HAS("run", "0");
}

static void test_files_that_this_kernel_lacks(void **state)
{
	(void)state;
	faketree_drop(KSM "smart_scan");
	faketree_drop(KSM "advisor_mode");
	assert_int_equal(knobs_set(knobs, KNOB_SMART_SCAN, 0), KNOB_ABSENT);
	assert_int_equal(knobs_set(knobs, KNOB_ADVISOR_MODE, 0), KNOB_ABSENT);
	assert_null(ledger_knob(ledger, "smart_scan"));
	assert_int_equal(knobs_restore(knobs), 0);
	/* gone since: hidden from us, and not forgotten */
	knobs_set(knobs, KNOB_RUN, 1);
	faketree_drop(KSM "run");
	assert_int_equal(knobs_restore(knobs), -ENOENT);
	assert_false(ledger_is_empty());
	faketree_file(KSM "run", "1\n");
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("run", "0");
	assert_true(ledger_is_empty());
}

/* Facts 1.8: a new mode resets pages_to_scan. */
static void test_the_advisors_side_effect_is_ours(void **state)
{
	(void)state;
	faketree_file(KSM "advisor_mode", "none [scan-time]\n");
	faketree_file(KSM "pages_to_scan", "4711\n");
	assert_int_equal(knobs_set(knobs, KNOB_ADVISOR_MODE, 0), 0);
	HAS("advisor_mode", "none");
	assert_string_equal(ledger_knob(ledger, "advisor_mode")->original,
			    "scan-time");
	assert_string_equal(ledger_knob(ledger, "pages_to_scan")->original,
			    "4711");
	faketree_file(KSM "advisor_mode", "[none] scan-time\n");
	assert_int_equal(knobs_set(knobs, KNOB_PAGES_TO_SCAN, 1000), 0);
	assert_false(knobs_is_foreign(knobs, KNOB_PAGES_TO_SCAN));
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("advisor_mode", "scan-time");
	HAS("pages_to_scan", "4711");
	assert_true(ledger_is_empty());
}

static void test_dry_run_writes_nothing(void **state)
{
	(void)state;
	daemon_die();
	daemon_begin(true);
	for (int knob = 0; knob < KNOB_MAX_; knob++)
		assert_int_equal(knobs_set(knobs, (enum knob)knob, 7), 0);
	assert_int_equal(knobs_restore(knobs), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		assert_int_equal(strncmp(faketree_text(files[i].path),
					 files[i].text,
					 strlen(files[i].text) - 1),
				 0);
	daemon_die();
	assert_int_equal(faccessat(dir, "ledger", F_OK, 0), -1);
	daemon_begin(false);
}

static void test_the_next_start_restores_after_a_kill(void **state)
{
	(void)state;
	knobs_set(knobs, KNOB_SLEEP_MILLISECS, 5);
	knobs_set(knobs, KNOB_SLEEP_MILLISECS, 6);
	knobs_set(knobs, KNOB_RUN, 1);
	daemon_die();
	daemon_begin(false);
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("sleep_millisecs", "20");
	HAS("run", "0");
	assert_true(ledger_is_empty());
}

/* Killed between the ledger's line and the write: the value before stands. */
static void test_killed_before_the_last_write(void **state)
{
	(void)state;
	knobs_set(knobs, KNOB_SLEEP_MILLISECS, 5);
	ledger_knob_writes(ledger, "sleep_millisecs", "6");
	ledger_knob_found(ledger, "run", "0");
	ledger_knob_writes(ledger, "run", "1");
	daemon_die();
	daemon_begin(false);
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("sleep_millisecs", "20");
	HAS("run", "0");
	assert_true(ledger_is_empty());
}

/* After a kill somebody else has taken over. */
static void test_a_value_that_was_never_ours_stays(void **state)
{
	(void)state;
	knobs_set(knobs, KNOB_SLEEP_MILLISECS, 5);
	daemon_die();
	faketree_file(KSM "sleep_millisecs", "77\n");
	daemon_begin(false);
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("sleep_millisecs", "77");
	assert_true(ledger_is_empty());
}

/*
 * A write that fails is an error, and the knob is still ours. Read only as
 * ProtectKernelTunables= has it.
 */
static void test_a_file_that_cannot_be_written(void **state)
{
	char path[256];
	int r;

	(void)state;
	faketree_path(KSM "sleep_millisecs", path, sizeof(path));
	if (mount(path, path, "none", MS_BIND, "") < 0 ||
	    mount(path, path, "none", MS_BIND | MS_REMOUNT | MS_RDONLY, "")) {
		umount(path);
		print_message("needs a mount, which takes root\n");
		skip();
	}
	r = knobs_set(knobs, KNOB_SLEEP_MILLISECS, 5);
	if (r == -EROFS)
		r = knobs_set(knobs, KNOB_SLEEP_MILLISECS, 6);
	assert_int_equal(umount(path), 0);
	assert_int_equal(r, -EROFS);
	assert_false(knobs_is_foreign(knobs, KNOB_SLEEP_MILLISECS));
	/* it may be written again: go on as if nothing had been */
	assert_int_equal(knobs_set(knobs, KNOB_SLEEP_MILLISECS, 7), 0);
	HAS("sleep_millisecs", "7");
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("sleep_millisecs", "20");
}

static void test_a_restore_that_fails_is_tried_again(void **state)
{
	char path[256];
	int r;

	(void)state;
	knobs_set(knobs, KNOB_SLEEP_MILLISECS, 5);
	knobs_set(knobs, KNOB_RUN, 1);
	faketree_path(KSM "sleep_millisecs", path, sizeof(path));
	if (mount(path, path, "none", MS_BIND, "") < 0 ||
	    mount(path, path, "none", MS_BIND | MS_REMOUNT | MS_RDONLY, "")) {
		umount(path);
		print_message("needs a mount, which takes root\n");
		skip();
	}
	r = knobs_restore(knobs);
	assert_int_equal(umount(path), 0);
	assert_int_equal(r, -EROFS);
	/* the others were restored all the same */
	HAS("run", "0");
	daemon_die();
	daemon_begin(false);
	assert_int_equal(knobs_restore(knobs), 0);
	HAS("sleep_millisecs", "20");
	assert_true(ledger_is_empty());
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_each_value_comes_back),
		TEST(test_what_is_right_already_is_not_written),
		TEST(test_the_original_is_written_down_first),
		TEST(test_somebody_else_changes_what_was_right),
		TEST(test_somebody_else_writes),
		TEST(test_somebody_else_writes_last),
		TEST(test_somebody_else_puts_the_original_back),
		TEST(test_files_that_this_kernel_lacks),
		TEST(test_the_advisors_side_effect_is_ours),
		TEST(test_dry_run_writes_nothing),
		TEST(test_the_next_start_restores_after_a_kill),
		TEST(test_killed_before_the_last_write),
		TEST(test_a_value_that_was_never_ours_stays),
		TEST(test_a_file_that_cannot_be_written),
		TEST(test_a_restore_that_fails_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
