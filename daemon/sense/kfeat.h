/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kfeat - what this kernel offers, probed once
 *
 * Everyone else asks here; nobody decides by version number, but for the one
 * defect that cannot be probed everywhere (unmergeable_safe). Each field is
 * found by trying, on our own memory, in a way that leaves nothing behind.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "files.h"

enum kfeat_thp { THP_ABSENT, THP_NEVER, THP_MADVISE, THP_ALWAYS };

struct kfeat {
	char release[65]; /* uname -r */
	bool ksm; /* /sys/kernel/mm/ksm/run */
	bool ksm_writable; /* ... and it can be opened for writing */
	bool smart_scan; /* 6.7 */
	bool advisor; /* 6.8 */
	bool general_profit; /* 6.4 */
	bool zero_pages_counted; /* ksm_zero_pages, 6.6 */
	bool pages_scanned; /* 6.6 */
	bool ksm_stat_mergeable; /* ksm_mergeable in ksm_stat, 6.14 */
	bool prctl_merge; /* PR_SET_MEMORY_MERGE, 6.4 */
	bool pagemap_pfn; /* pagemap shows frame numbers to us */
	bool pagemap_scan; /* PAGEMAP_SCAN, 6.7 */
	bool process_madvise_self; /* MADV_MERGEABLE by vector, 6.13 */
	bool kpf_ksm; /* KPF_KSM tells KSM pages from others */
	bool kcore; /* /proc/kcore can be opened */
	bool ptrace; /* an own child can be seized */
	bool suspend_seccomp; /* PTRACE_O_SUSPEND_SECCOMP is granted */
	int yama; /* kernel.yama.ptrace_scope; -1 absent */
	bool unmergeable_safe; /* MADV_UNMERGEABLE keeps high VMA flags */
	bool psi; /* /proc/pressure/memory can be read */
	bool mglru; /* multi-gen LRU is on */
	enum kfeat_thp thp;
	uint32_t khugepaged_max_ptes_shared; /* 0 if khugepaged is absent */
	uint64_t max_map_count;
	uint64_t ram_bytes;
	int n_cpus; /* that we may run on */
	int n_nodes;
	const char *manager; /* another KSM manager: ksmtuned, ... or NULL */
	int32_t manager_pid;
	bool process_ksm; /* /sys/kernel/process_ksm (pf-kernel) */
};

/*
 * Probe everything. Forks short-lived children. Absence is never an error.
 *
 * Return: 0, or negative errno where not even a child can be made.
 */
int kfeat_probe(const struct root *root, struct kfeat *ret);

/*
 * Whether the kernel that calls itself @release and @version (uname -r, -v)
 * has "mm/ksm: fix flag-dropping behavior in ksm_madvise": the answer where it
 * cannot be probed. Errs towards false.
 */
bool kfeat_has_unmergeable_fix(const char *release, const char *version);
