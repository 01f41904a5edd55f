/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of the kernel's numbers: accounts of two processes, whose time
 * and whose ksm_stat are the tests'. With them service/holding, which judges
 * at each look.
 */
#include "accounting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <time.h>

#include "accounts.h"
#include "asking.h"
#include "cleanup.h"
#include "clock.h"
#include "faketree.h"
#include "files.h"
#include "holding.h"
#include "watch.h"

#define N    2U
#define PIDS 100
#define KSMD 50

static struct {
	struct root root;
	sd_event *event;
	struct accounting *accounting;
	struct asking *asking;
	struct watched watched[N];
	struct watched *list[N];
	struct watched_region regions[N];
	struct vma registered;
	uint64_t now_sec;
	uint64_t cpu_usec; /* of the daemon */
} m;

/* --- instead of the real ones ------------------------------------------------ */

struct watched *const *watch_list(const struct watch *watch, size_t *ret_n)
{
	(void)watch;
	*ret_n = N;
	return m.list;
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
	(void)id;
	*ret = (struct timespec){ .tv_sec = (time_t)m.now_sec };
	return 0;
}

static uint64_t daemon_cpu(void *userdata)
{
	(void)userdata;
	return m.cpu_usec;
}

/* --- a machine ---------------------------------------------------------------- */

static void put_machine(unsigned int shared, unsigned int sharing,
			long long profit)
{
	static const char *const zeros[] = { "run", "pages_unshared",
					     "pages_volatile", "full_scans" };
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(zeros); i++) {
		snprintf(path, sizeof(path), "sys/kernel/mm/ksm/%s", zeros[i]);
		faketree_file(path, "0\n");
	}
	faketree_file("sys/kernel/mm/ksm/pages_shared", "%u\n", shared);
	faketree_file("sys/kernel/mm/ksm/pages_sharing", "%u\n", sharing);
	faketree_file("sys/kernel/mm/ksm/general_profit", "%lld\n", profit);
}

static void put_process(unsigned int i, unsigned int merging,
			unsigned int zeros, unsigned int records)
{
	char path[64];

	snprintf(path, sizeof(path), "proc/%u/ksm_stat", PIDS + i);
	faketree_file(path,
		      "ksm_rmap_items %u\nksm_zero_pages %u\n"
		      "ksm_merging_pages %u\n",
		      records, zeros, merging);
	m.regions[i].merged = (uint16_t)merging;
}

static void put_ksmd(uint64_t usec)
{
	faketree_file("proc/50/schedstat", "%llu 0 0\n",
		      (unsigned long long)usec * NSEC_PER_USEC);
}

static void put_copied(unsigned int pages)
{
	faketree_file("proc/vmstat", "nr_free_pages 1\ncow_ksm %u\n", pages);
}

/* The first is a guest, both are of one target. */
static void find(unsigned int i)
{
	struct watched *w = &m.watched[i];
	char path[32];

	snprintf(path, sizeof(path), "%u", PIDS + i);
	w->process = PROCESS_NONE;
	w->process.id.pid = (pid_t)(PIDS + i);
	w->process.dir = openat(m.root.proc, path,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(w->process.dir >= 0);
	w->target = "web";
	w->facts.unit = i ? NULL : "a.scope";
	w->facts.guest = i ? NULL : "guest";
	w->vmas.v = &m.registered;
	w->vmas.n = 1;
	w->regions.v = &m.regions[i];
	w->regions.n = 1;
	w->n_passes = 1;
	m.list[i] = w;
	accounting_found(m.accounting, w);
}

static int setup(void **state)
{
	struct accounting_env env = { .root = &m.root,
				      .ksmd = KSMD,
				      .cpu_usec = daemon_cpu };

	(void)state;
	memset(&m, 0, sizeof(m));
	m.now_sec = 1000;
	m.registered.mergeable = true;
	faketree_begin();
	put_machine(0, 0, 0);
	put_ksmd(7000);
	put_copied(40);
	for (unsigned int i = 0; i < N; i++)
		put_process(i, 0, 0, 0);
	assert_int_equal(root_open(faketree_top, &m.root), 0);
	assert_true(sd_event_new(&m.event) >= 0);
	assert_int_equal(asking_new(&m.root, NULL, &m.asking), 0);
	env.event = m.event;
	env.asking = m.asking;
	assert_int_equal(accounting_new(&env, &m.accounting), 0);
	for (unsigned int i = 0; i < N; i++)
		find(i);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < N; i++)
		close_fd(m.watched[i].process.dir);
	accounting_free(m.accounting);
	asking_free(m.asking);
	sd_event_unref(m.event);
	root_close(&m.root);
	faketree_end();
	return 0;
}

/* The account of that name, as a look @seconds later tells it. */
static struct account_row row(enum account_kind kind, const char *name,
			      unsigned int seconds)
{
	const struct account_row *rows;
	size_t n;

	m.now_sec += seconds;
	assert_int_equal(accounting_rows(m.accounting, kind, &rows, &n), 0);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].name, name))
			return rows[i];
	fail_msg("no account of %s", name);
	return (struct account_row){ 0 };
}

static struct account_row row_of(unsigned int i, unsigned int seconds)
{
	const struct account_row *rows;
	size_t n;

	m.now_sec += seconds;
	assert_int_equal(
		accounting_rows(m.accounting, ACCOUNT_PROCESS, &rows, &n), 0);
	assert_true(i < n);
	assert_int_equal(rows[i].pid, PIDS + i);
	return rows[i];
}

static void saved_is_shared_out(void **state)
{
	struct account_row r;

	(void)state;
	put_machine(100, 300, -4096);
	put_process(0, 300, 20, 400);
	put_process(1, 100, 0, 64000);
	r = row_of(0, 2);
	assert_int_equal(r.account.saved, 20 + 300 * 300 / 400);
	assert_true(r.account.profit == 245 * 4096 - 400 * 64);
	assert_string_equal(r.unit, "a.scope");
	assert_string_equal(r.guest, "guest");
	r = row_of(1, 0);
	assert_int_equal(r.account.saved, 75);
	/* what KSM keeps for it is more than it saves */
	assert_true(r.account.profit == 75 * 4096 - 64000 * 64);
	assert_string_equal(r.unit, ACCOUNT_NO_UNIT);
	assert_string_equal(r.guest, "");
	r = row(ACCOUNT_TARGET, "web", 0);
	assert_int_equal(r.processes, 2);
	assert_int_equal(r.account.saved, 245 + 75);
	assert_true(r.account.profit == 320 * 4096 - 64400 * 64);
	assert_int_equal(row(ACCOUNT_GUEST, "guest", 0).account.saved, 245);
	assert_int_equal(row(ACCOUNT_UNIT, "a.scope", 0).account.saved, 245);
	r = row(ACCOUNT_MACHINE, "", 0);
	assert_int_equal(r.account.saved, 300);
	assert_true(r.account.profit == -4096);
}

/* Halfway in a minute, down at once, and the peak stays. */
static void settled_is_the_lower_envelope(void **state)
{
	struct account_row r;

	(void)state;
	put_machine(0, 1000, 0);
	put_process(0, 1000, 0, 1000);
	assert_int_equal(row_of(0, 2).account.settled, 0);
	for (unsigned int i = 0; i < 12; i++)
		r = row_of(0, 5);
	assert_in_range(r.account.settled, 499, 501);
	put_machine(0, 200, 0);
	put_process(0, 200, 0, 1000);
	r = row_of(0, 5);
	assert_int_equal(r.account.saved, 200);
	assert_int_equal(r.account.settled, 200);
	assert_int_equal(r.account.peak, 1000);
	assert_int_equal(row(ACCOUNT_GUEST, "guest", 0).account.settled, 200);
	/* a short rise leaves hardly a trace */
	put_process(0, 1000, 0, 1000);
	put_machine(0, 1000, 0);
	row_of(0, 5);
	put_process(0, 200, 0, 1000);
	put_machine(0, 200, 0);
	assert_int_equal(row_of(0, 5).account.settled, 200);
}

/* Nobody is told more often than once a second. */
static void figures_are_as_old_as_a_second(void **state)
{
	(void)state;
	row_of(0, 2);
	put_process(0, 0, 50, 50);
	assert_int_equal(row_of(0, 1).account.saved, 0);
	assert_int_equal(row_of(0, 1).account.saved, 50);
}

static void cpu_is_shared_out(void **state)
{
	struct account_row r;

	(void)state;
	put_process(0, 0, 0, 3000);
	put_process(1, 0, 0, 1000);
	row_of(0, 2);
	m.watched[0].account.cpu_nsec = 30 * NSEC_PER_USEC;
	m.watched[1].account.cpu_nsec = 10 * NSEC_PER_USEC;
	m.cpu_usec = 400; /* 360 beside them, in proportion */
	put_ksmd(7000 + 800); /* by records */
	r = row_of(0, 2);
	assert_int_equal(r.account.daemon_usec, 300);
	assert_int_equal(r.account.ksmd_usec, 600);
	r = row_of(1, 0);
	assert_int_equal(r.account.daemon_usec, 100);
	assert_int_equal(r.account.ksmd_usec, 200);
	r = row(ACCOUNT_TARGET, "web", 0);
	assert_int_equal(r.account.daemon_usec, 400);
	assert_int_equal(r.account.ksmd_usec, 800);
	r = row(ACCOUNT_MACHINE, "", 0);
	assert_int_equal(r.account.daemon_usec, 400);
	assert_int_equal(r.account.ksmd_usec, 800);
}

static void broken_is_no_more_than_was_merged(void **state)
{
	struct account_row r;

	(void)state;
	put_machine(10, 90, 0);
	put_process(0, 100, 0, 100);
	put_process(1, 0, 0, 100);
	row_of(0, 2);
	m.watched[0].account.broken = 70;
	m.watched[1].account.broken = 70; /* of a fork: none was merged */
	m.watched[1].account.wasted = 3;
	put_copied(40 + 70);
	assert_int_equal(row_of(0, 2).account.broken, 70);
	assert_int_equal(row_of(1, 0).account.broken, 3);
	assert_int_equal(row(ACCOUNT_TARGET, "web", 0).account.broken, 73);
	assert_int_equal(row(ACCOUNT_MACHINE, "", 0).account.broken, 70);
	r = row_of(0, 2);
	assert_int_equal(r.account.broken, 70); /* once */
}

static void costs_stay_when_processes_end(void **state)
{
	struct account_row r;

	(void)state;
	put_machine(0, 100, 0);
	put_process(0, 100, 0, 100);
	row_of(0, 2);
	m.watched[0].account.cpu_nsec = 5000;
	m.watched[0].account.broken = 9;
	accounting_lost(m.accounting, &m.watched[0]);
	m.list[0] = NULL;
	r = row(ACCOUNT_GUEST, "guest", 2);
	assert_int_equal(r.processes, 0);
	assert_int_equal(r.account.daemon_usec, 5);
	assert_int_equal(r.account.broken, 9);
	assert_int_equal(r.account.saved, 0);
	assert_int_equal(r.account.settled, 0);
	assert_int_equal(r.account.peak, 100);
}

/* Without KSM's counters no part of them is anybody's. */
static void without_counters(void **state)
{
	(void)state;
	put_machine(0, 100, 0);
	put_process(0, 100, 7, 100);
	assert_int_equal(row_of(0, 2).account.saved, 107);
	faketree_drop("sys/kernel/mm/ksm/pages_sharing");
	assert_int_equal(row_of(0, 2).account.saved, 7);
	assert_int_equal(row(ACCOUNT_MACHINE, "", 0).account.saved, 0);
}

/* --- holding ------------------------------------------------------------------ */

/* The first one breaks all that is merged at each look. */
static void break_until_held(void)
{
	put_machine(500, 500, 0);
	put_process(0, 500, 0, 1000);
	put_process(1, 500, 0, 1000);
	for (unsigned int i = 0; i < 4; i++) {
		m.watched[0].account.broken = 500;
		row_of(0, 5);
	}
}

static void who_keeps_breaking_is_held(void **state)
{
	struct account_row r;

	(void)state;
	break_until_held();
	assert_true(m.watched[0].held);
	assert_false(m.watched[1].held);
	assert_int_equal(holding_count(NULL), 1);
	assert_int_equal(row_of(0, 0).reason, REASON_KEEPS_BREAKING);
	assert_int_equal(row_of(1, 0).reason, REASON_NONE);
	/* the target is not held for what one alone does */
	r = row(ACCOUNT_TARGET, "web", 0);
	assert_int_equal(r.reason, REASON_NONE);
	/* he is tried again; what was written meanwhile is not held against
	 * him until he was looked at as a whole */
	m.watched[0].account.broken = 500;
	r = row_of(0, (unsigned int)(WORTH_HOLD_USEC / USEC_PER_SEC));
	assert_int_equal(r.reason, REASON_NONE);
	assert_false(m.watched[0].held);
	assert_int_equal(holding_count(NULL), 0);
	assert_true(m.watched[0].account.judged_from > m.watched[0].n_passes);
	break_until_held();
	assert_false(m.watched[0].held);
	m.watched[0].n_passes = m.watched[0].account.judged_from;
	break_until_held();
	assert_true(m.watched[0].held);
}

static void all_of_a_target_are_held(void **state)
{
	(void)state;
	put_machine(400, 400, 0);
	for (unsigned int i = 0; i < N; i++)
		put_process(i, 120, 0, 1000);
	row_of(0, 2);
	/* each too little to be judged alone */
	for (unsigned int k = 0; k < 2; k++) {
		for (unsigned int i = 0; i < N; i++)
			m.watched[i].account.broken = 120;
		row_of(0, 2);
	}
	assert_false(m.watched[0].account.worth.held);
	assert_false(m.watched[1].account.worth.held);
	assert_true(m.watched[0].held && m.watched[1].held);
	assert_int_equal(row(ACCOUNT_TARGET, "web", 0).reason,
			 REASON_KEEPS_BREAKING);
	accounting_release(m.accounting);
	assert_false(m.watched[0].held || m.watched[1].held);
	assert_int_equal(row(ACCOUNT_TARGET, "web", 0).reason, REASON_NONE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(saved_is_shared_out),
		T(settled_is_the_lower_envelope),
		T(figures_are_as_old_as_a_second),
		T(cpu_is_shared_out),
		T(broken_is_no_more_than_was_merged),
		T(costs_stay_when_processes_end),
		T(without_counters),
		T(who_keeps_breaking_is_held),
		T(all_of_a_target_are_held),
	};

	return cmocka_run_group_tests_name("accounting", tests, NULL, NULL);
}
