/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "placement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cleanup.h"
#include "sharing.h"

#define PROCESSES 64
#define PAGES	  40000
#define MAPPERS	  400000

/* A machine: who shares what, filled by page_add(). */
static struct {
	struct placement_process processes[PROCESSES];
	struct placement_mapper mappers[MAPPERS];
	struct placement_page pages[PAGES];
	size_t n_mappers;
	struct placement in;
	uint64_t state; /* of chance */
} m;

static uint64_t chance(uint64_t below)
{
	return sharing_mix(m.state++) % below;
}

static void machine(uint32_t n_nodes, size_t n_processes,
		    enum placement_policy policy)
{
	memset(&m, 0, sizeof(m));
	m.in = (struct placement){
		.policy = policy,
		.seed = 42,
		.n_nodes = n_nodes,
		.processes = m.processes,
		.n_processes = n_processes,
		.mappers = m.mappers,
		.pages = m.pages,
	};
	assert_true(n_processes <= PROCESSES);
	for (size_t p = 0; p < n_processes; p++)
		m.processes[p].home = 1ULL << p % n_nodes;
}

/* @sharers: processes as bits. */
static struct placement_page *page_add(uint64_t sharers, uint8_t node)
{
	struct placement_page *page = &m.pages[m.in.n_pages];

	assert_true(m.in.n_pages < PAGES);
	*page = (struct placement_page){
		.frame = 1000 + m.in.n_pages,
		.first = (uint32_t)m.n_mappers,
		.node = node,
	};
	for (uint32_t p = 0; p < 64; p++) {
		if (!(sharers >> p & 1))
			continue;
		assert_true(m.n_mappers < MAPPERS);
		m.mappers[m.n_mappers++] = (struct placement_mapper){
			.address = m.in.n_pages * 4096,
			.process = p,
		};
		page->n++;
	}
	m.in.n_pages++;
	return page;
}

static void pages_add(size_t n, uint64_t sharers, uint8_t node)
{
	for (size_t i = 0; i < n; i++)
		page_add(sharers, node);
}

/* Plan and do as planned. The number of pages that moved. */
static size_t settle(void)
{
	size_t n = 0;

	assert_int_equal(placement_plan(&m.in), 0);
	for (size_t i = 0; i < m.in.n_pages; i++) {
		struct placement_page *page = &m.pages[i];

		assert_true(page->to < m.in.n_nodes);
		assert_true(!page->fixed || page->to == page->node);
		n += page->to != page->node;
		/* a page that moves has another frame afterwards */
		if (page->to != page->node)
			page->frame = sharing_mix(page->frame);
		page->node = page->to;
	}
	return n;
}

/* The local share of a process in percent, now. */
static double local(uint32_t process)
{
	struct placement_share shares[PROCESSES];

	placement_shares(&m.in, false, shares);
	return 100 * shares[process].local / (double)shares[process].pages;
}

static double fairness(void)
{
	struct placement_share shares[PROCESSES];

	placement_shares(&m.in, false, shares);
	return placement_fairness(&m.in, shares);
}

static void assert_near(double value, double wanted, double within)
{
	if (value < wanted - within || value > wanted + within)
		fail_msg("%.2f, not %.2f +- %.2f", value, wanted, within);
}

/* nuKSM, figure 2: plain KSM leaves one with 0 and one with 100. */
static void test_two_on_two_nodes_have_half_each(void **state)
{
	(void)state;
	machine(2, 2, PLACEMENT_FAIR);
	pages_add(10000, 3, 0);
	assert_near(local(0), 100, 0);
	assert_int_equal(settle(), 5000);
	assert_near(local(0), 50, 0.01);
	assert_near(local(1), 50, 0.01);
	assert_true(fairness() > 0.999);
}

/* nuKSM, IV-E: N sharers on K nodes. */
static void test_n_processes_on_k_nodes(void **state)
{
	static const struct {
		uint32_t nodes;
		size_t processes;
	} cases[] = { { 2, 2 }, { 2, 6 },  { 3, 3 },  { 4, 4 },
		      { 4, 8 }, { 5, 64 }, { 8, 16 }, { 64, 64 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = cases[i].processes;

		machine(cases[i].nodes, n, PLACEMENT_FAIR);
		pages_add(5000, n == 64 ? UINT64_MAX : (1ULL << n) - 1, 0);
		settle();
		for (uint32_t p = 0; p < n; p++)
			assert_near(local(p), 100.0 / cases[i].nodes, 1);
		assert_true(fairness() >= 0.98);
		assert_int_equal(settle(), 0);
	}
}

/* The table of section III of the paper's nice values. */
static void test_priority_as_in_table_iii(void **state)
{
	static const struct {
		int nice[2];
		double local[2];
	} rows[] = {
		{ { -20, -11 }, { 91, 9 } },  { { -20, -16 }, { 83, 17 } },
		{ { -20, -20 }, { 50, 50 } }, { { -16, -20 }, { 17, 83 } },
		{ { -11, -20 }, { 9, 91 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		machine(2, 2, PLACEMENT_PRIORITY);
		m.processes[0].nice = rows[i].nice[0];
		m.processes[1].nice = rows[i].nice[1];
		pages_add(10000, 3, (uint8_t)(i % 2));
		settle();
		assert_near(local(0), rows[i].local[0], 1);
		assert_near(local(1), rows[i].local[1], 1);
		assert_int_equal(settle(), 0);
	}
}

/* A share for each process, not for each node. */
static void test_priority_of_more_than_two(void **state)
{
	(void)state;
	machine(2, 3, PLACEMENT_PRIORITY); /* 0 and 2 on node 0, 1 on node 1 */
	m.processes[0].nice = -20; /* snice 1, 2, 7: shares .45, .4, .15 */
	m.processes[1].nice = -19;
	m.processes[2].nice = -14;
	pages_add(10000, 7, 1);
	settle();
	assert_near(local(0), 60, 1);
	assert_near(local(1), 40, 1);
	assert_near(local(2), 60, 1);
}

/*
 * nuKSM, table II, by the model of its machine: fairness of plain KSM and
 * ours. An application is modelled by the part of its time in which it waits
 * for memory that may be remote, which follows from what KSM costs it.
 */
static void test_fairness_as_in_table_ii(void **state)
{
	static const struct {
		const char *name;
		double ksm; /* fairness, as measured in the paper */
	} rows[] = { { "XSBench", 0.84 },
		     { "BTree", 0.85 },
		     { "MySQL", 0.85 },
		     { "CG", 0.77 },
		     { "RandomAccess", 0.70 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct placement_share shares[2];
		double whole, waits, slow[2];

		machine(2, 2, PLACEMENT_FAIR);
		pages_add(10000, 3, 1);
		placement_shares(&m.in, false, shares);
		whole = placement_slowdown(&shares[0]) - 1;
		waits = (1 / rows[i].ksm - 1) / whole;
		assert_true(waits > 0 && waits <= 1);
		settle();
		placement_shares(&m.in, false, shares);
		for (int p = 0; p < 2; p++)
			slow[p] = 1 +
				  waits * (placement_slowdown(&shares[p]) - 1);
		print_message("# %s: %.2f with KSM, %.4f placed\n",
			      rows[i].name, rows[i].ksm,
			      MIN(slow[0], slow[1]) / MAX(slow[0], slow[1]));
		assert_true(MIN(slow[0], slow[1]) / MAX(slow[0], slow[1]) >=
			    0.98);
	}
}

/* Each page has other sharers than the next: shares only come out as sums. */
static void test_single_pages_come_out_even(void **state)
{
	struct placement_share shares[PROCESSES];

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		machine(2 + (uint32_t)(seed % 3), 24, PLACEMENT_FAIR);
		m.state = seed << 32;
		for (size_t i = 0; i < 6000; i++) {
			uint64_t a = chance(24), b = chance(24);

			page_add(1ULL << a | 1ULL << b, 0);
		}
		settle();
		placement_shares(&m.in, false, shares);
		for (uint32_t p = 0; p < 24; p++) {
			double due = 0, n = 0;

			for (size_t i = 0; i < m.in.n_pages; i++) {
				struct sharers s = sharers_of(&m.in,
							      &m.pages[i]);
				double w[PLACEMENT_NODES];
				uint32_t q;

				while (sharers_next(&s, &q))
					if (q == p) {
						sharing_weigh(&m.in,
							      &m.pages[i], w);
						due += w[p % m.in.n_nodes];
						n++;
					}
			}
			assert_near(100 * shares[p].local / n, 100 * due / n,
				    1);
		}
		assert_int_equal(settle(), 0);
	}
}

static void test_priority_of_single_pages(void **state)
{
	(void)state;
	machine(2, 2, PLACEMENT_PRIORITY);
	m.processes[0].nice = -20;
	m.processes[1].nice = -11;
	/* a third one without a weight of its own makes every group small */
	for (size_t i = 0; i < 1000; i++)
		page_add(3, (uint8_t)(i % 2));
	settle();
	assert_near(local(0), 91, 1);
}

/* Pages where nobody lives who maps them, and pages of one process alone. */
static void test_pages_come_home(void **state)
{
	(void)state;
	machine(4, 3, PLACEMENT_FAIR);
	pages_add(100, 1, 3);
	pages_add(100, 1, 0);
	pages_add(101, 3, 2);
	settle();
	for (size_t i = 0; i < m.in.n_pages; i++)
		assert_true(m.pages[i].node <= 1);
	assert_near(local(1), 50, 1);
	assert_int_equal(settle(), 0);
}

/* It is everywhere: whoever has a home comes first. */
static void test_a_process_without_a_home(void **state)
{
	(void)state;
	machine(2, 2, PLACEMENT_FAIR);
	m.processes[1].home = 3;
	pages_add(1000, 3, 1);
	settle();
	assert_near(local(0), 75, 1);
	machine(2, 1, PLACEMENT_FAIR);
	m.processes[0].home = 3;
	pages_add(1000, 1, 1);
	settle();
	assert_near(local(0), 50, 0.01);
}

/*
 * nuKSM, IV-A: pages go where they are used, where that is known; else they
 * are split. Processes 0 to 3 are on nodes 0, 1, 0, 1.
 */
static void test_active_before_inactive(void **state)
{
	static const struct {
		uint64_t sharers;
		enum activity is[2]; /* of the first two */
		double first[2]; /* local share of the first, by policy */
	} cases[] = {
		{ 3, { ACTIVITY_BUSY, ACTIVITY_ASLEEP }, { 100, 100 } },
		{ 3, { ACTIVITY_ASLEEP, ACTIVITY_BUSY }, { 0, 0 } },
		{ 3, { ACTIVITY_BUSY, ACTIVITY_BUSY }, { 50, 50 } },
		{ 3, { ACTIVITY_BUSY, ACTIVITY_UNKNOWN }, { 50, 50 } },
		{ 3, { ACTIVITY_UNKNOWN, ACTIVITY_ASLEEP }, { 50, 50 } },
		{ 3, { ACTIVITY_ASLEEP, ACTIVITY_ASLEEP }, { 50, 50 } },
		/* with a third on node 0, about whom nothing is known */
		{ 7, { ACTIVITY_BUSY, ACTIVITY_ASLEEP }, { 100, 100 } },
		{ 7, { ACTIVITY_ASLEEP, ACTIVITY_BUSY }, { 50, 50 } },
		{ 7, { ACTIVITY_ASLEEP, ACTIVITY_ASLEEP }, { 50, 66.7 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (unsigned int policy = 0; policy < 2; policy++) {
			machine(2, 4, policy);
			m.processes[0].activity = cases[i].is[0];
			m.processes[1].activity = cases[i].is[1];
			pages_add(1000, cases[i].sharers, i % 2);
			settle();
			assert_near(local(0), cases[i].first[policy], 0.5);
			assert_int_equal(settle(), 0);
		}
}

/* Who sleeps is not slowed down, whatever is far from it. */
static void test_fairness_is_of_those_who_run(void **state)
{
	(void)state;
	machine(2, 2, PLACEMENT_FAIR);
	m.processes[0].activity = ACTIVITY_BUSY;
	m.processes[1].activity = ACTIVITY_ASLEEP;
	pages_add(1000, 3, 0);
	assert_int_equal(settle(), 0);
	assert_true(fairness() > 0.999);
	m.processes[1].activity = ACTIVITY_UNKNOWN;
	assert_true(fairness() < 0.7);
	/* all sleep: as if all ran */
	m.processes[0].activity = m.processes[1].activity = ACTIVITY_ASLEEP;
	assert_true(fairness() < 0.7);
}

static void test_fixed_pages_stay(void **state)
{
	(void)state;
	machine(2, 2, PLACEMENT_FAIR);
	for (size_t i = 0; i < 1000; i++)
		page_add(3, 0)->fixed = i < 500;
	assert_int_equal(settle(), 250);
}

/* A process moves: one settling later its pages have followed, then rest. */
static void test_a_move_is_followed_once(void **state)
{
	(void)state;
	machine(3, 2, PLACEMENT_FAIR);
	pages_add(9000, 3, 0);
	settle();
	m.processes[1].home = 1ULL << 2;
	assert_int_equal(settle(), 4500);
	assert_near(local(1), 50, 1);
	assert_int_equal(settle(), 0);
}

/* A few pages come and go: that is no reason to move others. */
static void test_small_changes_move_nothing(void **state)
{
	(void)state;
	machine(2, 2, PLACEMENT_FAIR);
	pages_add(10000, 3, 0);
	settle();
	for (unsigned int i = 0; i < 40; i++)
		m.pages[chance(m.in.n_pages)].fixed = true;
	assert_int_equal(settle(), 0);
}

/* Whatever the machine: a plan that was carried out needs no other. */
static void test_plans_come_to_rest(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		uint32_t nodes = 2 + (uint32_t)(seed % 7);
		size_t processes = 2 + seed % 40;

		machine(nodes, processes,
			seed % 2 ? PLACEMENT_FAIR : PLACEMENT_PRIORITY);
		m.state = seed << 20;
		for (size_t p = 0; p < processes; p++) {
			m.processes[p].nice = (int)chance(40) - 20;
			m.processes[p].home = 1ULL << chance(nodes);
			if (chance(5) == 0)
				m.processes[p].home = (1ULL << nodes) - 1;
		}
		while (m.in.n_pages < 1000) {
			uint64_t sharers = 1ULL << chance(processes);

			for (uint64_t k = chance(4); k; k--)
				sharers |= 1ULL << chance(processes);
			pages_add(1 + chance(50), sharers,
				  (uint8_t)chance(nodes));
		}
		for (unsigned int i = 0; settle(); i++)
			assert_true(i < 4);
	}
}

static void test_equal_seeds_equal_plans(void **state)
{
	uint64_t sum[3] = { 0 };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		machine(2, 2, PLACEMENT_FAIR);
		m.in.seed = i / 2;
		pages_add(1000, 3, 0);
		assert_int_equal(placement_plan(&m.in), 0);
		for (size_t k = 0; k < 1000; k++)
			sum[i] += m.pages[k].to * m.pages[k].frame;
	}
	assert_int_equal(sum[0], sum[1]);
	assert_int_not_equal(sum[0], sum[2]);
}

static void test_nothing_to_place(void **state)
{
	(void)state;
	machine(2, 2, PLACEMENT_FAIR);
	assert_int_equal(settle(), 0);
	assert_true(fairness() <= 1);
	machine(2, 0, PLACEMENT_FAIR);
	assert_int_equal(settle(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_on_two_nodes_have_half_each),
		cmocka_unit_test(test_n_processes_on_k_nodes),
		cmocka_unit_test(test_priority_as_in_table_iii),
		cmocka_unit_test(test_priority_of_more_than_two),
		cmocka_unit_test(test_fairness_as_in_table_ii),
		cmocka_unit_test(test_single_pages_come_out_even),
		cmocka_unit_test(test_priority_of_single_pages),
		cmocka_unit_test(test_pages_come_home),
		cmocka_unit_test(test_a_process_without_a_home),
		cmocka_unit_test(test_active_before_inactive),
		cmocka_unit_test(test_fairness_is_of_those_who_run),
		cmocka_unit_test(test_fixed_pages_stay),
		cmocka_unit_test(test_a_move_is_followed_once),
		cmocka_unit_test(test_small_changes_move_nothing),
		cmocka_unit_test(test_plans_come_to_rest),
		cmocka_unit_test(test_equal_seeds_equal_plans),
		cmocka_unit_test(test_nothing_to_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
