/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What machines and processes lack that this one may not: on trees of files.
 */
#include "explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "cleanup.h"
#include "faketree.h"

static const struct kfeat fine = {
	.ksm = true,
	.yama = 1,
	.n_nodes = 2,
	.suspend_seccomp = true,
	.thp = THP_MADVISE,
	.khugepaged_max_ptes_shared = 256,
};

static struct root root = { -1, -1 };

static int setup(void **state)
{
	(void)state;
	faketree_begin();
	faketree_file("sys/kernel/mm/ksm/run", "1\n");
	faketree_file("sys/kernel/mm/ksm/merge_across_nodes", "1\n");
	faketree_file("sys/kernel/mm/ksm/stable_node_chains", "0\n");
	faketree_file("sys/kernel/mm/ksm/max_page_sharing", "256\n");
	faketree_file("proc/42/status",
		      "Name:\tx\nState:\tS (sleeping)\nTracerPid:\t0\n"
		      "Seccomp:\t2\n");
	faketree_file("proc/42/ksm_stat", "ksm_merging_pages 12\n");
	return root_open(faketree_top, &root);
}

static int teardown(void **state)
{
	(void)state;
	root_close(&root);
	faketree_end();
	return 0;
}

static const struct explain_row *find(const struct explain_rows *rows,
				      enum reason reason)
{
	for (size_t i = 0; i < rows->n; i++)
		if (rows->v[i].reason == reason)
			return &rows->v[i];
	return NULL;
}

/* @reason is the only one for the machine. */
static const struct explain_row *only(const struct kfeat *kfeat,
				      enum reason reason)
{
	static struct explain_rows rows;

	rows = (struct explain_rows){ 0 };
	explain_host(&root, kfeat, &rows);
	assert_int_equal(rows.n, reason ? 1 : 0);
	return find(&rows, reason);
}

static void machines(void **state)
{
	struct kfeat k = fine;

	(void)state;
	only(&fine, REASON_NONE);
	faketree_file("sys/kernel/mm/ksm/run", "0\n");
	assert_non_null(only(&fine, REASON_KSM_STOPPED));
	faketree_file("sys/kernel/mm/ksm/run", "2\n");
	assert_non_null(only(&fine, REASON_KSM_UNMERGED));
	faketree_file("sys/kernel/mm/ksm/run", "1\n");
	k.yama = 3;
	assert_non_null(only(&k, REASON_YAMA));
	k = fine;
	k.manager = "ksmtuned";
	k.manager_pid = 7;
	assert_string_equal(only(&k, REASON_OTHER_MANAGER)->detail,
			    "ksmtuned, pid 7");
	k.ksm = false;
	assert_non_null(only(&k, REASON_NO_KSM));
}

static void nodes_and_sharers(void **state)
{
	struct kfeat one_node = fine;

	(void)state;
	faketree_file("sys/kernel/mm/ksm/merge_across_nodes", "0\n");
	assert_non_null(only(&fine, REASON_NOT_ACROSS_NODES));
	one_node.n_nodes = 1;
	only(&one_node, REASON_NONE);
	faketree_file("sys/kernel/mm/ksm/stable_node_chains", "3\n");
	assert_string_equal(only(&one_node, REASON_MAX_SHARING)->detail,
			    "3 contents, max_page_sharing is 256");
}

/* A mapping as smaps has it; %s: VmFlags. */
#define SMAPS                                                                  \
	"7f0000000000-7f0000200000 rw-p 00000000 00:00 0 \n"                   \
	"Size:               2048 kB\n"                                        \
	"Rss:                2048 kB\n"                                        \
	"Anonymous:          2048 kB\n"                                        \
	"THPeligible:           1\n"                                           \
	"VmFlags: %s\n"

static struct explained process(const struct kfeat *kfeat, enum mode mode,
				const char *flags)
{
	struct chosen chosen = { .id.pid = 42, .mode = mode };
	struct explained e;

	faketree_file("proc/42/smaps", SMAPS, flags);
	assert_int_equal(explain_process(&root, kfeat, &chosen, &e), 0);
	return e;
}

static void processes(void **state)
{
	struct kfeat k = fine;
	struct explained e = process(&fine, MODE_SELECTIVE, "rd wr mr ac");

	(void)state;
	assert_int_equal(e.rows.n, 0);
	assert_int_equal(e.ksm.merging_pages, 12);
	assert_int_equal(e.classes.by[REASON_CANDIDATE].resident, 2 << 20);
	k.suspend_seccomp = false;
	e = process(&k, MODE_SELECTIVE, "rd wr mr ac");
	assert_non_null(find(&e.rows, REASON_SECCOMP));
	e = process(&k, MODE_MANAGED, "rd wr mr ac");
	assert_int_equal(e.rows.n, 0); /* nothing is to be enrolled */
}

static void khugepaged(void **state)
{
	struct kfeat k = fine;
	struct explained e = process(&fine, MODE_MANAGED, "rd wr mr mg ac");

	(void)state;
	assert_non_null(find(&e.rows, REASON_KHUGEPAGED));
	assert_int_equal(e.classes.by[REASON_REGISTERED].mappings, 1);
	k.khugepaged_max_ptes_shared = 0;
	assert_int_equal(process(&k, MODE_MANAGED, "rd wr mr mg ac").rows.n, 0);
}

static void rows_are_bounded_and_clean(void **state)
{
	struct explain_rows rows = { 0 };

	(void)state;
	for (unsigned int i = 0; i < REASON_MAX_; i++) {
		explain_add(&rows, (enum reason)i, 0, "\033[2J\n\xff");
		explain_add(&rows, (enum reason)i, 0, "again");
	}
	assert_int_equal(rows.n, EXPLAIN_ROWS_MAX);
	assert_string_equal(rows.v[0].detail, "?[2J??");
}

static void the_dead_are_gone(void **state)
{
	struct chosen chosen = { .id.pid = 43, .mode = MODE_SELECTIVE };
	struct explained e;

	(void)state;
	assert_int_equal(explain_process(&root, &fine, &chosen, &e), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(machines),
		TEST(nodes_and_sharers),
		TEST(processes),
		TEST(khugepaged),
		TEST(rows_are_bounded_and_clean),
		TEST(the_dead_are_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
