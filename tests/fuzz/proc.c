/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as files of /proc and of /sys that are read as text: stat, status,
 * cgroup, ksm_stat, meminfo, pressure, KSM's counters, nodes, policies, rivals.
 * Processes choose their names and limits. No crash; what comes out is within
 * its bounds.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/inject.h>

#include "cleanup.h"
#include "home.h"
#include "ksm.h"
#include "mempolicy.h"
#include "memstat.h"
#include "pick.h"
#include "process.h"
#include "psi.h"
#include "rivals.h"
#include "runqueue.h"
#include "standalone.h"
#include "topology.h"
#include "tree.h"
#include "vmas.h"

#define PID 7

static void check_text(const char *text, size_t size)
{
	assert(memchr(text, '\0', size));
}

static void check_process(const struct root *root)
{
	struct process_facts facts;
	struct process_stat st;
	uint64_t nsec;
	int r = process_stat_read(root, PID, &st);

	assert(r <= PROCESS_GONE);
	if (r == 0)
		check_text(st.comm, sizeof(st.comm));
	r = process_facts_read(root, PID, true, &facts);
	assert(r <= PROCESS_GONE);
	if (r == 0) {
		check_text(facts.comm, sizeof(facts.comm));
		assert(!facts.unit || (*facts.unit && facts.cgroup));
		process_facts_clear(&facts);
	}
	process_cpu_nsec(root, PID, &nsec);
}

static void check_threads(int dir)
{
	struct pick_stat st;
	pid_t tid;
	int r = pick_thread(dir, &tid);

	assert(r >= 0 && r < INJECT_REASON_MAX_);
	assert(r || tid > 0);
	r = pick_stat_read(dir, "stat", &st);
	assert(r <= 0);
}

static void check_memory(const struct root *root, int dir)
{
	struct vma_classes classes;
	struct process_ksm ksm;
	struct vmas vmas = { 0 };
	size_t n_all = 0;

	if (dir < 0)
		return;
	process_ksm_read(dir, &ksm);
	process_resident(dir);
	if (vmas_read(dir, &vmas, &n_all) == 0)
		assert(vmas.n <= n_all);
	vec_free(&vmas);
	vmas_classify(dir, &classes);
	(void)root;
}

static void check_rivals(const struct root *root)
{
	struct rival rivals[RIVALS_MAX];
	size_t n = rivals_find(root, rivals);
	unsigned int running;

	assert(n <= RIVALS_MAX);
	for (size_t i = 0; i < n; i++)
		assert(*rivals[i].name && rivals[i].pid >= 0);
	runqueue_length(root, &running);
}

static void check_policy(int dir)
{
	struct mempolicy policy;

	if (dir < 0)
		return;
	mempolicy_read(dir, &policy);
	assert(!policy.bound || !policy.preferred);
}

static void check_machine(const struct root *root)
{
	uint64_t total = 0, available = 0, room = 0;
	struct ksm_counters counters;
	uint32_t psi = psi_some(root, "memory");

	assert(psi == PSI_UNKNOWN || psi <= 10099);
	memstat_read(root, &total, &available);
	memstat_headroom(root, PID, &room);
	memstat_resident(root);
	if (ksm_read(root, &counters) == 0)
		ksm_profit(root, &counters);
	ksm_copied(root);
	ksm_max_sharing(root);
	ksm_find_ksmd(root);
	check_rivals(root);
}

static void check_nodes(const struct root *root, int dir)
{
	struct topology *topology = NULL;
	struct home_look look;
	const uint64_t own[64] = { 0 };
	struct home home = { 0 };
	int node;

	if (topology_read(root, &topology))
		return;
	assert(topology_count(topology) <= 64);
	for (uint64_t pfn = 0; pfn < 1ULL << 40; pfn = pfn * 3 + 1) {
		node = topology_frame_node(topology, pfn);
		assert(node >= TOPOLOGY_SHARED && node < 64);
	}
	node = topology_cpu_node(topology, 3);
	assert(node >= TOPOLOGY_SHARED && node < 64);
	topology_has_room(root, 0);
	if (dir >= 0 && home_look(topology, dir, &look) == 0) {
		for (int i = 0; i < 64; i++)
			assert(look.ran[i] <= 100);
		home_policy(&home, dir);
		home_step(&home, topology, &look, own);
		assert(home.nodes);
	}
	topology_free(topology);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct root root;
	int dir;

	tree_begin(data, size, &root);
	dir = openat(root.proc, "7", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check_process(&root);
	if (dir >= 0)
		check_threads(dir);
	check_memory(&root, dir);
	check_machine(&root);
	check_nodes(&root, dir);
	check_policy(dir);
	close_fd(dir);
	tree_end(&root);
	return 0;
}
