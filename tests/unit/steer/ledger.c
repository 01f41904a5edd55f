/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "cleanup.h"
#include "faketree.h"
#include "files.h"

static const struct process_id one = { 4711, 99999 };
static const struct process_id two = { 4711, 100000 }; /* the pid again */

static struct ledger *ledger;
static int dir = -1;

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	dir = open(faketree_top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0;
}

static int teardown(void **state)
{
	(void)state;
	ledger = ledger_close(ledger);
	dir = close_fd(dir);
	faketree_end();
	return 0;
}

static void begin(void)
{
	assert_int_equal(ledger_open(dir, false, &ledger), 0);
}

/* SIGKILL: the file stays as it is, whatever closing would do to it. */
static void die_and_begin(void)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	assert_int_equal(file_read_all(dir, "ledger", &text, &len), 0);
	ledger_close(ledger);
	faketree_file("ledger", "%s", text);
	begin();
}

static void begin_with(const char *text)
{
	faketree_file("ledger", "%s", text);
	begin();
}

static bool file_exists(void)
{
	return faccessat(dir, "ledger", F_OK, 0) == 0;
}

static void test_a_file_only_while_there_is_something_in_it(void **state)
{
	(void)state;
	begin();
	ledger = ledger_close(ledger);
	assert_false(file_exists());
	begin();
	assert_int_equal(ledger_knob_found(ledger, "run", "0"), 0);
	ledger = ledger_close(ledger);
	assert_true(file_exists());
	begin();
	ledger_knob_restored(ledger, "run");
	ledger = ledger_close(ledger);
	assert_false(file_exists());
}

static void test_knobs_are_known_after_a_kill(void **state)
{
	const struct ledger_knob *k;

	(void)state;
	begin();
	assert_null(ledger_knob(ledger, "run"));
	ledger_knob_found(ledger, "run", "0");
	/* killed between the line and the write: nothing was intended yet */
	die_and_begin();
	k = ledger_knob(ledger, "run");
	assert_non_null(k);
	assert_string_equal(k->original, "0");
	assert_string_equal(k->wrote, "");
	assert_string_equal(k->before, "");
	ledger_knob_writes(ledger, "run", "1");
	die_and_begin();
	k = ledger_knob(ledger, "run");
	assert_string_equal(k->wrote, "1");
	assert_string_equal(k->before, "");
	/* only what was found first is the original */
	ledger_knob_found(ledger, "run", "1");
	ledger_knob_writes(ledger, "run", "2");
	ledger_knob_writes(ledger, "run", "3");
	/* a kill before the last write leaves the one before */
	die_and_begin();
	k = ledger_knob(ledger, "run");
	assert_string_equal(k->original, "0");
	assert_string_equal(k->wrote, "3");
	assert_string_equal(k->before, "2");
	assert_null(ledger_knob(ledger, "ru"));
	ledger_knob_restored(ledger, "run");
	die_and_begin();
	assert_null(ledger_knob(ledger, "run"));
}

/* A request that is continued tells of its last ranges again and again. */
static void test_a_range_is_written_once(void **state)
{
	const struct range ranges[] = { { 0x1000, 0x3000 },
					{ 0x5000, 0x9000 },
					{ 0x6000, 0x7000 } };
	const struct range longer = { 0x5000, 0xa000 };

	(void)state;
	begin();
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ledger_enrols(ledger, one, ranges + i, 3 - i),
				 0);
	assert_int_equal(ledger_process(ledger, one)->ranges.n, 2);
	assert_int_equal(ledger_enrols(ledger, one, &longer, 1), 0);
	assert_int_equal(ledger_process(ledger, one)->ranges.n, 3);
}

static void test_processes_are_known_after_a_kill(void **state)
{
	const struct range ranges[] = { { 0x1000, 0x3000 },
					{ 0x7ffffffff000, 0x800000000000 } };
	const struct ledger_process *p, *list;

	(void)state;
	begin();
	assert_int_equal(ledger_enrols(ledger, one, ranges, 2), 0);
	assert_int_equal(ledger_whole(ledger, two), 0);
	die_and_begin();
	assert_int_equal(ledger_processes(ledger, &list), 2);
	p = ledger_process(ledger, one);
	assert_non_null(p);
	assert_false(p->whole);
	assert_int_equal(p->ranges.n, 2);
	assert_memory_equal(p->ranges.v, ranges, sizeof(ranges));
	p = ledger_process(ledger, two);
	assert_true(p->whole);
	assert_int_equal(p->ranges.n, 0);
	/* forgotten is forgotten, and the namesake is another */
	ledger_forget(ledger, one);
	ledger_forget(ledger, one);
	die_and_begin();
	assert_null(ledger_process(ledger, one));
	assert_non_null(ledger_process(ledger, two));
	/* and may come back */
	assert_int_equal(ledger_enrols(ledger, one, ranges, 1), 0);
	die_and_begin();
	assert_int_equal(ledger_process(ledger, one)->ranges.n, 1);
}

/* What is not ours, or of a later version, does not keep the rest from it. */
/* Who was given all back is known for his heirs, and to a next daemon; what is
 * marked again is not forgotten. */
static void test_given_back_and_forgotten_later(void **state)
{
	const struct range range = { 0x10000, 0x20000 };
	const struct ledger_process *p;

	(void)state;
	begin();
	assert_int_equal(ledger_program(ledger, one, 0x7ffc0), 0);
	assert_int_equal(ledger_enrols(ledger, one, &range, 1), 0);
	assert_int_equal(ledger_enrols(ledger, two, &range, 1), 0);
	ledger_given_back(ledger, one);
	ledger_given_back(ledger, two);
	p = ledger_relative(ledger, 0x7ffc0);
	assert_non_null(p);
	assert_true(p->given_back);
	assert_int_equal(p->ranges.n, 1);
	assert_int_equal(ledger_enrols(ledger, two, &range, 1), 0);
	ledger_forget_given_back(ledger);
	assert_null(ledger_process(ledger, one));
	p = ledger_process(ledger, two);
	assert_non_null(p);
	assert_false(p->given_back);
	ledger_given_back(ledger, two);
	assert_int_equal(ledger_whole(ledger, two), 0);
	ledger_forget_given_back(ledger);
	assert_non_null(ledger_process(ledger, two));
	ledger_given_back(ledger, two);
	die_and_begin();
	assert_false(ledger_process(ledger, two)->given_back);
	ledger_given_back(ledger, two);
	ledger_forget_given_back(ledger);
	ledger = ledger_close(ledger);
	assert_false(file_exists());
}

static void test_lines_that_mean_nothing_are_skipped(void **state)
{
	const struct ledger_process *list;

	(void)state;
	begin_with("\n\nknob\nknob run\nfrobnicate 1 2 3\n"
		   "wrote sleep_millisecs 5\n"
		   "enrol 1 2 3\nenrol x y z w\nenrol 1\n"
		   "forget 1\nforget 5 6\nrestored\nrestored nothing\n"
		   "knob a_name_that_is_much_longer_than_any_knob_has 5\n"
		   "\xff\xfe\x01\n"
		   "knob pages_to_scan 100\n");
	assert_non_null(ledger_knob(ledger, "pages_to_scan"));
	assert_null(ledger_knob(ledger, "run"));
	assert_null(ledger_knob(ledger, "sleep_millisecs"));
	assert_int_equal(ledger_processes(ledger, &list), 0);
}

/* A range that is none would have to be trusted by whoever withdraws it. */
static void test_ranges_that_are_none_are_skipped(void **state)
{
	const struct ledger_process *p;

	(void)state;
	begin_with("enrol 1 2 1000 1000\n"
		   "enrol 1 2 1000 0\n"
		   "enrol 1 2 1001 1000\n"
		   "enrol 1 2 1000 1001\n"
		   "enrol 1 2 fffffffffffff000 2000\n"
		   "enrol -1 2 1000 1000\n"
		   "enrol 0 2 1000 1000\n"
		   "whole -1 2\n");
	p = ledger_process(ledger, (struct process_id){ 1, 2 });
	assert_non_null(p);
	assert_int_equal(p->ranges.n, 1);
	assert_int_equal(ledger_processes(ledger, &p), 1);
}

/* Half a line is one whose change was not made. */
static void test_a_torn_last_line_does_not_count(void **state)
{
	const struct ledger_process *p;

	(void)state;
	begin_with("knob run 0\nwrote run 1\nwrote run 2");
	assert_string_equal(ledger_knob(ledger, "run")->wrote, "1");
	/* and what is written next stands on a line of its own */
	ledger_knob_found(ledger, "sleep_millisecs", "20");
	die_and_begin();
	assert_non_null(ledger_knob(ledger, "sleep_millisecs"));
	ledger = ledger_close(ledger);
	begin_with("enrol 1 2 7f0000000000 10000\nenrol 1 2 7f0000200000 10");
	p = ledger_process(ledger, (struct process_id){ 1, 2 });
	assert_int_equal(p->ranges.n, 1);
}

/*
 * The file system is full in the middle of a line: that change is refused,
 * and the next line is not appended to what is left of it.
 */
static void test_a_line_cut_short_by_a_full_disk(void **state)
{
	struct rlimit old, tight;
	struct stat st;

	(void)state;
	begin();
	ledger_knob_found(ledger, "run", "0");
	assert_int_equal(fstatat(dir, "ledger", &st, 0), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = (rlim_t)st.st_size + 5;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_true(ledger_knob_found(ledger, "smart_scan", "1") < 0);
	assert_true(ledger_knob_writes(ledger, "run", "1") < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_null(ledger_knob(ledger, "smart_scan"));
	assert_string_equal(ledger_knob(ledger, "run")->wrote, "");
	assert_int_equal(ledger_knob_found(ledger, "sleep_millisecs", "20"), 0);
	die_and_begin();
	assert_non_null(ledger_knob(ledger, "sleep_millisecs"));
	assert_null(ledger_knob(ledger, "smart_scan"));
	assert_string_equal(ledger_knob(ledger, "run")->wrote, "");
}

/* All that the ledger says, as a text. */
static void say(char *text, size_t size)
{
	static const char *const names[] = { "run", "smart_scan" };
	const struct ledger_process *list;
	size_t n = ledger_processes(ledger, &list), at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < 2; i++) {
		const struct ledger_knob *k = ledger_knob(ledger, names[i]);

		if (k)
			at += (size_t)snprintf(text + at, size - at,
					       "%s %s %s %s;", k->name,
					       k->original, k->wrote,
					       k->before);
	}
	for (size_t i = 0; i < n; i++) {
		at += (size_t)snprintf(text + at, size - at, "%d %d",
				       list[i].id.pid, list[i].whole);
		for (size_t k = 0; k < list[i].ranges.n; k++)
			at += (size_t)snprintf(
				text + at, size - at, " %llx-%llx",
				(unsigned long long)list[i].ranges.v[k].start,
				(unsigned long long)list[i].ranges.v[k].end);
	}
	assert_true(at < size);
}

static void begin_with_part(const char *text, size_t len)
{
	faketree_file("ledger", "%.*s", (int)len, text);
	begin();
}

/* What is told is what the whole lines before the cut tell, no more. */
static void test_cut_at_every_byte(void **state)
{
	static const char text[] =
		"knob run 0\nwrote run 1\nenrol 7 99 7f0000000000 10000\n"
		"knob smart_scan 1\nwrote smart_scan 0\nwrote run 12\n"
		"enrol 7 99 7f0000200000 1000\nwhole 8 100\n"
		"restored smart_scan\nheir 9 123 7 99\nforget 7 99\n"
		"whole 9 123\nprogram 9 123 7ffc0\nprogram 9 123 0\n"
		"wrote run 120\n";
	char whole_lines[512], cut[512], before[512] = "";
	unsigned int n_changes = 0;

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		size_t lines = len;

		while (lines && text[lines - 1] != '\n')
			lines--;
		begin_with_part(text, lines);
		say(whole_lines, sizeof(whole_lines));
		ledger = ledger_close(ledger);
		begin_with_part(text, len);
		say(cut, sizeof(cut));
		assert_string_equal(cut, whole_lines);
		/* and it is continued after its last whole line */
		ledger_knob_found(ledger, "sleep_millisecs", "20");
		die_and_begin();
		say(cut, sizeof(cut));
		assert_string_equal(cut, whole_lines);
		assert_non_null(ledger_knob(ledger, "sleep_millisecs"));
		ledger = ledger_close(ledger);
		n_changes += strcmp(before, cut) != 0;
		strcpy(before, cut);
	}
	assert_int_equal(n_changes, 14);
}

/* A disk that is full at the start: what stands there is continued. */
static void test_begun_on_a_full_disk(void **state)
{
	const char *text = "knob run 0\nwrote run 1\nwrote ru";
	struct rlimit old, tight;
	struct stat st;

	(void)state;
	faketree_file("ledger", "%s", text);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	begin();
	assert_true(ledger_knob_found(ledger, "smart_scan", "1") < 0);
	assert_int_equal(fstatat(dir, "ledger.new", &st, 0), -1);
	/* no room to say that it is undone, but for a file without it */
	ledger_knob_restored(ledger, "run");
	assert_null(ledger_knob(ledger, "run"));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	ledger_knob_found(ledger, "sleep_millisecs", "20");
	die_and_begin();
	assert_non_null(ledger_knob(ledger, "sleep_millisecs"));
	assert_null(ledger_knob(ledger, "run"));
}

/* To undo it where nothing can be written: the file stays as it is. */
static void test_read_only(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	(void)state;
	faketree_file("ledger", "knob run 0\nwrote run 1\nwrote ru");
	assert_int_equal(ledger_read(dir, &ledger), 0);
	assert_string_equal(ledger_knob(ledger, "run")->wrote, "1");
	ledger_knob_restored(ledger, "run");
	assert_null(ledger_knob(ledger, "run"));
	ledger = ledger_close(ledger);
	assert_int_equal(file_read_all(dir, "ledger", &text, &len), 0);
	assert_string_equal(text, "knob run 0\nwrote run 1\nwrote ru");
}

static ino_t inode(off_t *ret_size)
{
	struct stat st;

	assert_int_equal(fstatat(dir, "ledger", &st, 0), 0);
	if (ret_size)
		*ret_size = st.st_size;
	return st.st_ino;
}

static void write_many(unsigned int n)
{
	char value[16];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(value, sizeof(value), "%u", i);
		assert_int_equal(ledger_knob_writes(ledger, "sleep_millisecs",
						    value),
				 0);
	}
}

static void test_the_file_does_not_grow_for_ever(void **state)
{
	off_t size;

	(void)state;
	begin();
	ledger_knob_found(ledger, "sleep_millisecs", "20");
	write_many(60000);
	inode(&size);
	assert_true(size < 1200000);
	die_and_begin();
	assert_string_equal(ledger_knob(ledger, "sleep_millisecs")->original,
			    "20");
	assert_string_equal(ledger_knob(ledger, "sleep_millisecs")->wrote,
			    "59999");
	assert_string_equal(ledger_knob(ledger, "sleep_millisecs")->before,
			    "59998");
}

/* Much that is needed is not written anew at each change. */
static void test_a_large_file_is_not_rewritten_all_the_time(void **state)
{
	unsigned int n_rewritten = 0;
	ino_t last = 0;

	(void)state;
	begin();
	ledger_knob_found(ledger, "sleep_millisecs", "20");
	for (uint64_t i = 0; i < 40000; i++) {
		struct range r = { i << 13, (i << 13) + 4096 };

		assert_int_equal(ledger_enrols(ledger, one, &r, 1), 0);
	}
	for (unsigned int i = 0; i < 300; i++) {
		write_many(1);
		n_rewritten += inode(NULL) != last;
		last = inode(NULL);
	}
	assert_true(n_rewritten < 10);
	die_and_begin();
	assert_int_equal(ledger_process(ledger, one)->ranges.n, 40000);
}

/* What a rewriting that was killed has left is no ledger. */
static void test_killed_while_rewriting(void **state)
{
	(void)state;
	faketree_file("ledger.new", "knob run 7\nkno");
	begin_with("knob run 0\n");
	assert_string_equal(ledger_knob(ledger, "run")->original, "0");
}

static void test_dry_run_keeps_all_in_memory(void **state)
{
	const struct range range = { 0x1000, 0x2000 };

	(void)state;
	faketree_file("ledger", "knob run 0\n");
	assert_int_equal(ledger_open(dir, true, &ledger), 0);
	assert_null(ledger_knob(ledger, "run"));
	assert_int_equal(ledger_knob_found(ledger, "smart_scan", "1"), 0);
	assert_int_equal(ledger_knob_writes(ledger, "smart_scan", "0"), 0);
	assert_int_equal(ledger_enrols(ledger, one, &range, 1), 0);
	assert_string_equal(ledger_knob(ledger, "smart_scan")->wrote, "0");
	assert_int_equal(ledger_process(ledger, one)->ranges.n, 1);
	ledger = ledger_close(ledger);
	assert_string_equal(faketree_text("ledger"), "knob run 0");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_file_only_while_there_is_something_in_it),
		TEST(test_knobs_are_known_after_a_kill),
		TEST(test_a_range_is_written_once),
		TEST(test_processes_are_known_after_a_kill),
		TEST(test_given_back_and_forgotten_later),
		TEST(test_lines_that_mean_nothing_are_skipped),
		TEST(test_ranges_that_are_none_are_skipped),
		TEST(test_a_torn_last_line_does_not_count),
		TEST(test_a_line_cut_short_by_a_full_disk),
		TEST(test_cut_at_every_byte),
		TEST(test_begun_on_a_full_disk),
		TEST(test_read_only),
		TEST(test_the_file_does_not_grow_for_ever),
		TEST(test_a_large_file_is_not_rewritten_all_the_time),
		TEST(test_killed_while_rewriting),
		TEST(test_dry_run_keeps_all_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
