/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * placing - what nuKSM's table II comes to if placement decides
 *
 * Runs the daemon's own decisions on a machine as the paper had it: two
 * processes on two nodes share all their pages, and plain KSM has left all of
 * them with one. Latencies are the paper's model, not measured: 89 ns to
 * memory of one's own node, 139 ns to the other's.
 *
 * What part of its time an application waits for such memory is taken from
 * the paper's fairness with KSM: that much makes the one with nothing local so
 * much slower.
 *
 * Prints for each row: its name, the fairness in the paper with KSM and with
 * nuKSM, ours, and the sum of both slowdowns by that with KSM.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "placement.h"

#define PAGES 10000U

struct row {
	const char *name;
	double ksm, nuksm; /* fairness, as measured in the paper */
};

static void slowdowns(const struct placement *in, double waits, double ret[2])
{
	struct placement_share shares[2];

	placement_shares(in, false, shares);
	for (int i = 0; i < 2; i++)
		ret[i] = 1 + waits * (placement_slowdown(&shares[i]) - 1);
}

static double fairness(const double slow[2])
{
	return MIN(slow[0], slow[1]) / MAX(slow[0], slow[1]);
}

static void run(struct placement *in, const struct row *row)
{
	double before[2], after[2], waits;

	for (uint32_t i = 0; i < PAGES; i++)
		in->pages[i] = (struct placement_page){
			.frame = i,
			.first = 2 * i,
			.n = 2,
		};
	slowdowns(in, 1, before);
	waits = (1 / row->ksm - 1) / (MAX(before[0], before[1]) - 1);
	slowdowns(in, waits, before);
	if (placement_plan(in))
		errx(1, "no memory");
	for (uint32_t i = 0; i < PAGES; i++)
		in->pages[i].node = in->pages[i].to;
	slowdowns(in, waits, after);
	printf("%s %.2f %.2f %.4f %.4f\n", row->name, fairness(before),
	       row->nuksm, fairness(after),
	       (after[0] + after[1]) / (before[0] + before[1]));
}

int main(void)
{
	static const struct row rows[] = {
		{ "XSBench", 0.84, 0.98 },	{ "BTree", 0.85, 0.98 },
		{ "MySQL", 0.85, 0.99 },	{ "CG", 0.77, 0.99 },
		{ "RandomAccess", 0.70, 0.94 },
	};
	static struct placement_page pages[PAGES];
	static struct placement_mapper mappers[2 * PAGES];
	static const struct placement_process processes[] = {
		{ .home = 1 },
		{ .home = 2 },
	};
	struct placement in = {
		.policy = PLACEMENT_FAIR,
		.n_nodes = 2,
		.processes = processes,
		.n_processes = 2,
		.mappers = mappers,
		.pages = pages,
		.n_pages = PAGES,
	};

	for (uint32_t i = 0; i < 2 * PAGES; i++)
		mappers[i] = (struct placement_mapper){
			.address = i / 2 * 4096ULL,
			.process = i % 2,
		};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		run(&in, &rows[i]);
	return 0;
}
